-- Gives a lane back: its line moves to the next service, or goes away with an empty queue.
-- KEYS: agenda, lanes, leases, queue   ARGV: tenant, lane, token, not before ('' when due)
if redis.call('HGET', KEYS[3], ARGV[2]) ~= ARGV[3] then return 0 end
-- '!' in the place of a token holds the lane: what comes meanwhile does not bring it forward.
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[2], '!')
else
  redis.call('HDEL', KEYS[3], ARGV[2])
end
local first = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
if not first[1] then
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('HDEL', KEYS[3], ARGV[2])
else
  redis.call('ZADD', KEYS[2], ARGV[4] ~= '' and ARGV[4] or first[2], ARGV[2])
end
refresh(KEYS[1], KEYS[2], ARGV[1])
return 1
