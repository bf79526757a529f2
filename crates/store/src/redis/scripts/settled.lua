-- Up to where the stream is settled: what stands before has its outcome or is in its queues.
-- KEYS: stream   ARGV: group, for how many milliseconds an entry that was read is waited for
-- Answers 'first' and the lowest entry that was read and is not settled. If there is none, the last
-- that was read, after 'all' if nobody has anything left to read, else after 'last'.
local from, count = '-', 1
while true do
  -- Without the stream or its group nothing has been read.
  local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], from, '+', count)
  if pending.err or #pending == 0 then break end
  for _, line in ipairs(pending) do
    if line[3] < tonumber(ARGV[2]) then return { 'first', line[1] } end
  end
  from, count = '(' .. pending[#pending][1], 100
end
local last = '0-0'
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if not groups.err then
  for _, group in ipairs(groups) do
    local facts = {}
    for k = 1, #group, 2 do facts[group[k]] = group[k + 1] end
    if facts.name == ARGV[1] then last = facts['last-delivered-id'] end
  end
end
local unread = redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 1)
return { unread[1] and 'last' or 'all', last }
