-- What a tenant holds.
-- KEYS: usage, events, lanes   ARGV: base of the shard's keys, tenant
-- Answers the bytes of its events, and how many deliveries wait.
if redis.call('HLEN', KEYS[1]) < 2 then
  -- A tenant without events needs no numbers.
  if redis.call('EXISTS', KEYS[2]) == 0 then return { '0', '0' } end
  stored(KEYS[1], KEYS[2], 0)
  waiting(KEYS[1], KEYS[3], ARGV[1], ARGV[2], 0)
end
return redis.call('HMGET', KEYS[1], 'bytes', 'waiting')
