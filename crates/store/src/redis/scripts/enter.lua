-- Adds an event to the stream; reads the stream's next entry for a replica that waits for one; and
-- makes the event known if that entry is its own. What is read and is not its own is answered.
-- KEYS: stream, events, log, tenants, seen, the last number, usage
-- ARGV: group, replica, tenant, id, received_ms, packed event between arrival and body, base of the
-- shard's keys, hashes of its search keys, then the entry's fields, of which the fourth is the body
-- Answers: was the id known, the entry, 0 fresh or 2 a duplicate or -1 not read, what else was read
local known = redis.call('HEXISTS', KEYS[2], ARGV[4])
local entry = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 9))
-- Whatever keeps it from being read, the entry is in the stream.
local read = redis.pcall('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[1], '>')
local found = read and not read.err and read[1][2] or {}
if not found[1] or found[1][1] ~= entry then return {known, entry, -1, found} end
if known == 1 then return {known, entry, 2, {}} end
local ms, number = string.match(entry, '^(%d+)-(%d+)$')
local arrival = string.char(97 + #ms) .. ms .. string.char(97 + #number) .. number
local packed = arrival .. ARGV[6] .. ARGV[12]
redis.call('HSET', KEYS[2], ARGV[4], packed)
redis.call('ZADD', KEYS[3], ARGV[5], arrival .. ':' .. ARGV[4])
-- As in admit.lua.
local time = redis.call('TIME')
local number = math.max(redis.call('GET', KEYS[6]) or 0, time[1] * 1000000 + time[2]) + 1
number = string.format('%016d', number)
redis.call('SET', KEYS[6], number)
redis.call('ZADD', KEYS[5], number, arrival .. ':' .. ARGV[4])
redis.call('SADD', KEYS[4], ARGV[3])
local postings = {}
add_postings(postings, ARGV[8], number)
write_postings(ARGV[7], ARGV[3], postings, 1, number)
stored(KEYS[7], KEYS[2], #packed)
return {known, entry, 0, {}}
