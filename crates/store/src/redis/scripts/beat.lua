-- Writes the heartbeat of a replica, and the key of marks if it is missing.
-- KEYS: replicas, key of marks   ARGV: replica, sign, the key that this replica offers
-- Answers the key that was there.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('SET', KEYS[2], ARGV[3], 'NX', 'GET')
