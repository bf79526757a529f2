-- Takes lanes of one shard whose time has come, each until the end of the lease.
-- KEYS: agenda   ARGV: base of the shard's keys, now, until, then for each: tenant, lane, token
-- Answers one digit a lane: 1 taken, 0 somebody else was first.
local answers = {}
for at = 4, #ARGV, 3 do
  local tenant, lane = ARGV[at], ARGV[at + 1]
  local lanes = ARGV[1] .. 'a:' .. tenant
  local time = redis.call('ZSCORE', lanes, lane)
  if redis.call('HGET', ARGV[1] .. 'l:' .. tenant, lane) == ARGV[at + 2] then
    -- The answer to the same call was lost.
    answers[#answers + 1] = 1
  elseif time and tonumber(time) <= tonumber(ARGV[2]) then
    redis.call('HSET', ARGV[1] .. 'l:' .. tenant, lane, ARGV[at + 2])
    redis.call('ZADD', lanes, ARGV[3], lane)
    refresh(KEYS[1], lanes, tenant)
    answers[#answers + 1] = 1
  else
    answers[#answers + 1] = 0
  end
end
return table.concat(answers)
