-- The first deliveries of a held lane that are due, but for those of events that the holder has.
-- KEYS: queue, events, outcomes, leases
-- ARGV: lane, lane as JSON, hash of the lane, token, now, max, most bytes of events, ids of events
-- Answers member, due_ms, packed event (or nil), attempts so far, for each.
if redis.call('HGET', KEYS[4], ARGV[1]) ~= ARGV[4] then return {} end
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[5], 'WITHSCORES', 'LIMIT', 0, ARGV[6])
local taken = {}
for k = 8, #ARGV do taken[ARGV[k]] = true end

local function attempts_of(id)
  local record = redis.call('HGET', KEYS[3], id) or ''
  local count = parts_of(record)
  if count then record = redis.call('HGET', KEYS[3], id .. '\2' .. ARGV[3] % count) or '' end
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

local answer, bytes, most = {}, 0, tonumber(ARGV[7])
for k = 1, #found, 2 do
  local id = string.match(found[k], ':(.*)$')
  if not taken[id] then
    answer[#answer + 1] = found[k]
    answer[#answer + 1] = found[k + 1]
    local event = redis.call('HGET', KEYS[2], id)
    answer[#answer + 1] = event
    answer[#answer + 1] = attempts_of(id)
    bytes = bytes + (event and #event or 0)
    if bytes >= most then break end
  end
end
return answer
