-- Acknowledges entries and removes them from the stream, both or none.
-- KEYS: stream   ARGV: group, then the entries
redis.call('XACK', KEYS[1], unpack(ARGV))
return redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
