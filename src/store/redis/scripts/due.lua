-- The first deliveries of a held lane that are due.
-- KEYS: queue, events, outcomes, leases   ARGV: lane, lane as JSON, token, now, max
-- Answers member, due_ms, packed event (or nil), attempts so far, for each.
if redis.call('HGET', KEYS[4], ARGV[1]) ~= ARGV[3] then return {} end
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[4], 'WITHSCORES', 'LIMIT', 0, ARGV[5])
local answer = {}
for k = 1, #found, 2 do
  local id = string.match(found[k], ':(.*)$')
  local record = redis.call('HGET', KEYS[3], id) or ''
  local from = string.find(record, '\n' .. ARGV[2] .. '\t', 1, true)
  local attempts = 0
  if from then
    local to = string.find(record, '\n', from + 1, true) or #record + 1
    -- Those since the last replay.
    local line = string.sub(record, from, to)
    local _, count = string.gsub(string.match(line, '.*\t!(.*)$') or line, '\t{', '')
    attempts = count
  end
  answer[#answer + 1] = found[k]
  answer[#answer + 1] = found[k + 1]
  answer[#answer + 1] = redis.call('HGET', KEYS[2], id)
  answer[#answer + 1] = attempts
end
return answer
