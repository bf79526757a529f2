-- Keeps entries that could not be taken as events: the newest so many.
-- KEYS: index, data   ARGV: cap, retention in ms, then for each: member, at_ms, field, what is kept
for at = 3, #ARGV, 4 do
  redis.call('ZADD', KEYS[1], ARGV[at + 1], ARGV[at])
  redis.call('HSET', KEYS[2], ARGV[at + 2], ARGV[at + 3])
end
local over = redis.call('ZCARD', KEYS[1]) - ARGV[1]
if over > 0 then
  local gone = redis.call('ZPOPMIN', KEYS[1], math.min(over, 1000))
  for k = 1, #gone, 2 do redis.call('HDEL', KEYS[2], string.match(gone[k], ':(.*)$')) end
end
for k = 1, 2 do redis.call('PEXPIRE', KEYS[k], ARGV[2]) end
return over
