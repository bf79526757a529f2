-- A tenant's events that are admitted and have no outcome.
-- KEYS: seen, outcomes, log, the mark up to which everything is settled
-- ARGV: received before, how many to look at   Answers their members.
local mark = redis.call('GET', KEYS[4]) or '0'
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. mark, '+inf', 'WITHSCORES',
  'LIMIT', 0, ARGV[2])
local open, moved = {}, nil
for k = 1, #found, 2 do
  local member = found[k]
  if redis.call('HEXISTS', KEYS[2], string.match(member, ':(.*)$')) == 0 then
    local received = redis.call('ZSCORE', KEYS[3], member)
    if received and tonumber(received) < tonumber(ARGV[1]) then open[#open + 1] = member end
    moved = moved or mark
  elseif not moved then
    mark = found[k + 1]
  end
end
if #found > 0 then redis.call('SET', KEYS[4], mark) end
return open
