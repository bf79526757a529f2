-- Moves the line of a lane that nobody holds and that has something waiting.
-- KEYS: agenda, lanes, leases, queue   ARGV: tenant, lane, at
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then return 0 end
if redis.call('EXISTS', KEYS[4]) == 0 then return 0 end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
refresh(KEYS[1], KEYS[2], ARGV[1])
return 1
