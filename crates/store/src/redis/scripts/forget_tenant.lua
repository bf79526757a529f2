-- Removes what is left of a tenant that has no events. The last number of its events stays: places
-- that were given out are not given again.
-- KEYS: log, tenants, agenda, lanes, hours of rollups, and others that go
-- ARGV: base of the shard's keys, tenant
-- Answers 1 when it had none.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for _, lane in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
  redis.call('DEL', ARGV[1] .. 'q:' .. ARGV[2] .. ':' .. lane)
end
for _, hour in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
  redis.call('DEL', ARGV[1] .. 'r:' .. ARGV[2] .. ':' .. hour)
end
drop_segments(ARGV[1], ARGV[2])
redis.call('SREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
for k = 4, #KEYS do redis.call('DEL', KEYS[k]) end
return 1
