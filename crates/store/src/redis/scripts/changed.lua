-- The tenants that changed after a version.
-- KEYS: documents, version, changes   ARGV: version, limit
-- Answers the version that the answer reaches, 1 if there may be more, 1 if changes are missing, and
-- then ids, each with its revision ('' if it was removed).
local now = redis.call('GET', KEYS[2]) or '0'
if now == ARGV[1] then return { now, 0, 0 } end
local is_missing = (tonumber(now) < tonumber(ARGV[1]) or is_behind(KEYS[3], now)) and 1 or 0
local range = { '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2] }
local found = redis.call('ZRANGEBYSCORE', KEYS[3], unpack(range))
local has_more = #found / 2 == tonumber(ARGV[2])
local answer = { has_more and found[#found] or now, has_more and 1 or 0, is_missing }
for at = 1, #found, 2 do
  local id = found[at]
  if id == '' then
    answer[3] = 1
  else
    local document = redis.call('HGET', KEYS[1], id)
    answer[#answer + 1] = id
    answer[#answer + 1] = document and string.match(document, '^%d+') or ''
  end
end
return answer
