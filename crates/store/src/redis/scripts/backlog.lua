-- Adds up what waits in a shard.
-- KEYS: agenda   ARGV: base of the shard's keys
-- Answers how many deliveries wait and, if any, when the oldest of their events was received.
local base, waiting, oldest = ARGV[1], 0, nil
for _, tenant in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  for _, lane in ipairs(redis.call('ZRANGE', base .. 'a:' .. tenant, 0, -1)) do
    waiting = waiting + redis.call('ZCARD', base .. 'q:' .. tenant .. ':' .. lane)
  end
  local first = redis.call('ZRANGE', base .. 'i:w:' .. tenant, 0, 0, 'WITHSCORES')
  if first[2] and (not oldest or tonumber(first[2]) < tonumber(oldest)) then oldest = first[2] end
end
return { waiting, oldest }
