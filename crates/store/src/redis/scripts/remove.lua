-- Removes a tenant's document. Its revision is remembered, so that it never repeats.
-- KEYS: documents, version, changes, names   ARGV: id   Answers 1 when there was one.
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
note(KEYS[3], KEYS[2], KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
return 1
