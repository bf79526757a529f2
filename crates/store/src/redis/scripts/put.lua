-- Writes a tenant's document if its revision is the expected one.
-- KEYS: documents, revisions, version, changes, names   ARGV: id, document, expected ('' for any)
-- Answers 1 and the new revision, or 0 and the one that is there.
local document = redis.call('HGET', KEYS[1], ARGV[1])
local actual = document and string.match(document, '^%d+') or '0'
if ARGV[3] ~= '' and ARGV[3] ~= actual then return { 0, actual } end
local revision = redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
note(KEYS[4], KEYS[3], KEYS[5], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], revision .. '\n' .. ARGV[2])
redis.call('ZADD', KEYS[5], 0, ARGV[1])
return { 1, tostring(revision) }
