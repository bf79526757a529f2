-- Acknowledges entries and removes them from the stream, both or none.
-- KEYS: stream, account   ARGV: group, then the entries
local acked = redis.call('XACK', KEYS[1], unpack(ARGV))
local removed = redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
-- What is erased was perhaps not read, and what was read was perhaps trimmed. See trimmed.lua.
if acked > 0 or removed > 0 then
  redis.call('HINCRBY', KEYS[2], 'acked', math.max(acked, removed))
end
return removed
