-- Removes events of one tenant with all that belongs to them, whatever their state.
-- KEYS: events, outcomes, log, tenants, seen, the indexes of w, s, x, agenda, lanes, leases, what was
--   erased, usage
-- ARGV: base of the shard's keys, tenant, now, for how long outcomes that come late are passed over,
--   then the ids
-- Answers how many events and how many deliveries.
local base, tenant, now, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local gone, events, deliveries, touched = {}, 0, 0, {}
local bytes, waited = 0, 0
for at = 5, #ARGV do
  local id = ARGV[at]
  local event = redis.call('HGET', KEYS[1], id)
  local record = redis.call('HGET', KEYS[2], id)
    local lines = whole(KEYS[2], id, record)
  if event or record then
    local arrival = string.match(event or record, '^[^\t ]*')
    local member = arrival .. ':' .. id
    local latest = record and 0 or now
    for lane, letter, updated, why in string.gmatch(lines or '',
      '\n([^\t\n]*)\t([dwsx])\t([^\t]*)\t[^\t]*\t[^\t]*\t([^\t\n]*)') do
      local name = cjson.decode('[' .. lane .. ']')[1]
      deliveries = deliveries + 1
      latest = math.max(latest, letter == 'w' and now or tonumber(updated))
      if letter == 'w' then
        waited = waited + redis.call('ZREM', base .. 'q:' .. tenant .. ':' .. name, member)
        touched[name] = true
      elseif letter ~= 'd' then
        redis.call('ZREM', base .. 'end:' .. tenant .. ':' .. name, letter .. '\t' .. why .. '\t' .. id)
      end
    end
    -- What ended long ago has nothing under way.
    if latest + keep > now then
      gone[#gone + 1] = now + keep
      gone[#gone + 1] = arrival
      gone[#gone + 1] = now + keep
      gone[#gone + 1] = redis.sha1hex(id)
    end
    if event then bytes = bytes + #event end
    local number = redis.call('ZSCORE', KEYS[5], member)
    if number then remove_postings(base, tenant, string.format('%016d', number)) end
    redis.call('HDEL', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    remove_parts(KEYS[2], id, record)
    for _, k in ipairs({ 3, 5, 6, 7, 8 }) do redis.call('ZREM', KEYS[k], member) end
    events = events + 1
  end
end
-- A lane that has nothing waiting any more loses its line, unless it is served now.
for lane in pairs(touched) do
  local lease = redis.call('HGET', KEYS[11], lane)
  if (not lease or lease == '!') and redis.call('EXISTS', base .. 'q:' .. tenant .. ':' .. lane) == 0 then
    redis.call('ZREM', KEYS[10], lane)
    redis.call('HDEL', KEYS[11], lane)
  end
end
if next(touched) then refresh(KEYS[9], KEYS[10], tenant) end
if redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('SREM', KEYS[4], tenant)
  redis.call('DEL', KEYS[13])
  drop_segments(base, tenant)
elseif events > 0 then
  stored(KEYS[13], KEYS[1], -bytes)
  waiting(KEYS[13], KEYS[10], base, tenant, -waited)
end
redis.call('ZREMRANGEBYSCORE', KEYS[12], '-inf', now)
if #gone > 0 then
  redis.call('ZADD', KEYS[12], unpack(gone))
  redis.call('PEXPIRE', KEYS[12], keep)
end
return { events, deliveries }
