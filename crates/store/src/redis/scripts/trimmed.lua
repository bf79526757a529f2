-- How many entries were removed from the stream before they were read, since the last look.
-- KEYS: stream, account   ARGV: group
-- Of all entries that were ever added, each is still there, was acknowledged, is pending though it
-- is not there any more, or was removed unread. Pending entries count as not there: what is left is
-- at least the number of those that were removed unread.
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
if info.err or pending.err then return 0 end
local facts = {}
for k = 1, #info, 2 do facts[info[k]] = info[k + 1] end
local added = facts['entries-added']
if not added then return 0 end
local account = redis.call('HMGET', KEYS[2], 'acked', 'gone', 'added')
local gone = added - facts['length'] - tonumber(account[1] or '0') - pending[1]
local known = tonumber(account[2])
redis.call('HSET', KEYS[2], 'added', added)
-- The first look at a stream of an earlier version, or another stream under the same name.
if not known or added < tonumber(account[3] or '0') then
  redis.call('HSET', KEYS[2], 'gone', gone)
  return 0
end
if gone <= known then return 0 end
redis.call('HSET', KEYS[2], 'gone', gone)
return gone - known
