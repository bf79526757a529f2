-- Removes rejected entries that are older than the retention.
-- KEYS: index, data   ARGV: before, max   Answers how many.
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, member in ipairs(gone) do
  redis.call('HDEL', KEYS[2], string.match(member, ':(.*)$'))
  redis.call('ZREM', KEYS[1], member)
end
return #gone
