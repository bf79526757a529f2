-- Prolongs the lease of one lane.
-- KEYS: agenda, lanes, leases   ARGV: tenant, lane, token, until
-- Answers 1, or 0 when it has passed to another.
if redis.call('HGET', KEYS[3], ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[2])
refresh(KEYS[1], KEYS[2], ARGV[1])
return 1
