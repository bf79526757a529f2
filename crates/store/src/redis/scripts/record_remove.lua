-- Removes a record if its revision is the expected one.
-- KEYS: records, ids, ends, version   ARGV: id, expected ('' for any)
-- Answers 1 when it is removed, 2 when there was none, or 0 and the revision that is there.
local actual = revision_of(redis.call('HGET', KEYS[1], ARGV[1]), now_ms()) or '0'
if ARGV[2] ~= '' and ARGV[2] ~= actual then return { 0, actual } end
if actual == '0' then return { 2, actual } end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
bump(KEYS[4])
return { 1, actual }
