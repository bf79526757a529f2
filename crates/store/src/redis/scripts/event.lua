-- One event and its outcome.
-- KEYS: events, outcomes   ARGV: id
return { redis.call('HGET', KEYS[1], ARGV[1]),
  whole(KEYS[2], ARGV[1], redis.call('HGET', KEYS[2], ARGV[1])) }
