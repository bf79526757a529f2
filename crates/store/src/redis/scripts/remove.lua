-- Removes a tenant's document. Its revision is remembered, so that it never repeats.
-- KEYS: documents, version   ARGV: id   Answers 1 when there was one.
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
bump(KEYS[2])
return 1
