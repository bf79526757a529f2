-- Writes a record if its revision is the expected one; clears away a few that came to their end.
-- KEYS: records, ids, ends, version   ARGV: id, document, expected ('' for any), ttl ms ('' for none)
-- Answers 1 and the new revision, or 0 and the one that is there.
local now = now_ms()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 16)) do
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
end
local actual = revision_of(redis.call('HGET', KEYS[1], ARGV[1]), now) or '0'
if ARGV[3] ~= '' and ARGV[3] ~= actual then return { 0, actual } end
local revision = string.format('%.0f', bump(KEYS[4]))
local ends = '-'
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[3], ARGV[1])
else
  ends = string.format('%.0f', now + ARGV[4])
  redis.call('ZADD', KEYS[3], ends, ARGV[1])
end
redis.call('HSET', KEYS[1], ARGV[1], revision .. ' ' .. ends .. '\n' .. ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return { 1, revision }
