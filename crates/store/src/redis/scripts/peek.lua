-- The earliest lanes of one shard that may be served, at most so many of one tenant.
-- KEYS: agenda   ARGV: base of the shard's keys, now, max, per tenant, then tenants with
--   another limit, each followed by it
-- Answers tenant, lane, time for each, earliest first.
local found, limits, none = {}, {}, 0
for at = 5, #ARGV, 2 do
  limits[ARGV[at]] = ARGV[at + 1]
  if ARGV[at + 1] == '0' then none = none + 1 end
end
local tenants = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3] + none)
for _, tenant in ipairs(tenants) do
  local most = math.min(ARGV[4], limits[tenant] or ARGV[4])
  local lanes = most > 0 and redis.call('ZRANGEBYSCORE', ARGV[1] .. 'a:' .. tenant, '-inf',
    ARGV[2], 'WITHSCORES', 'LIMIT', 0, most) or {}
  for k = 1, #lanes, 2 do
    found[#found + 1] = { tenant, lanes[k], lanes[k + 1] }
  end
end
table.sort(found, function(a, b) return tonumber(a[3]) < tonumber(b[3]) end)
local answer = {}
for k = 1, math.min(#found, tonumber(ARGV[3])) do
  for part = 1, 3 do answer[#answer + 1] = found[k][part] end
end
return answer
