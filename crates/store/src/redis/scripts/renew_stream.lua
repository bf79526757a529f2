-- Replaces a stream that has reached its last possible id, once it is empty.
-- KEYS: stream   ARGV: group   Answers 1 if it did.
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if info.err then return 0 end
local facts = {}
for k = 1, #info, 2 do facts[info[k]] = info[k + 1] end
local last = facts['last-generated-id']
if facts.length > 0 or string.match(last, '^(%d+)') ~= '18446744073709551615' then return 0 end
redis.call('DEL', KEYS[1])
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
return 1
