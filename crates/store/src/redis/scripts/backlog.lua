-- Adds up what waits in a shard. Each tenant knows how many of its deliveries wait, so the cost does
-- not depend on the number of lanes.
-- KEYS: agenda   ARGV: base of the shard's keys
-- Answers how many deliveries wait and, if any, when the oldest of their events was received.
local base, total, oldest = ARGV[1], 0, nil
for _, tenant in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local count = redis.call('HGET', base .. 'use:' .. tenant, 'waiting')
  if not count then
    waiting(base .. 'use:' .. tenant, base .. 'a:' .. tenant, base, tenant, 0)
    count = redis.call('HGET', base .. 'use:' .. tenant, 'waiting')
  end
  total = total + count
  local first = redis.call('ZRANGE', base .. 'i:w:' .. tenant, 0, 0, 'WITHSCORES')
  if first[2] and (not oldest or tonumber(first[2]) < tonumber(oldest)) then oldest = first[2] end
end
return { total, oldest }
