-- The first deliveries of a held lane that are due, but for those of events that the holder has.
-- KEYS: queue, events, outcomes, leases   ARGV: lane, lane as JSON, token, now, max, ids of events
-- Answers member, due_ms, packed event (or nil), attempts so far, for each.
if redis.call('HGET', KEYS[4], ARGV[1]) ~= ARGV[3] then return {} end
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[4], 'WITHSCORES', 'LIMIT', 0, ARGV[5])
local taken = {}
for k = 6, #ARGV do taken[ARGV[k]] = true end

local function attempts_of(id)
  local record = redis.call('HGET', KEYS[3], id) or ''
  local from = string.find(record, '\n' .. ARGV[2] .. '\t', 1, true)
  if not from then return 0 end
  local to = string.find(record, '\n', from + 1, true) or #record + 1
  -- Those since the last replay.
  local line = string.sub(record, from, to)
  line = string.match(line, '.*\t!(.*)$') or line
  local _, count = string.gsub(line, '\t{', '')
  -- The schedule does not count these. A quote within a text is escaped, so it does not match.
  local _, resent = string.gsub(line, '"resent":true', '')
  return count - resent
end

local answer = {}
for k = 1, #found, 2 do
  local id = string.match(found[k], ':(.*)$')
  if not taken[id] then
    answer[#answer + 1] = found[k]
    answer[#answer + 1] = found[k + 1]
    answer[#answer + 1] = redis.call('HGET', KEYS[2], id)
    answer[#answer + 1] = attempts_of(id)
  end
end
return answer
