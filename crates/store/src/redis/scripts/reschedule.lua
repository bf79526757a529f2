-- Moves the line of a lane that nobody holds and that has something waiting.
-- KEYS: agenda, lanes, leases, queue   ARGV: tenant, lane, at
local token = redis.call('HGET', KEYS[3], ARGV[2])
if token and token ~= '!' then return 0 end
if redis.call('EXISTS', KEYS[4]) == 0 then return 0 end
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
refresh(KEYS[1], KEYS[2], ARGV[1])
return 1
