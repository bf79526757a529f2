-- A page of an index with the heads of the events and their outcomes.
-- KEYS: index, events, outcomes   ARGV: from, to, score, member, inclusive, count, oldest first
-- Answers 1 at the end of the index, else 0; then member, score, head, outcome for each.
local found, last = page(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1',
  tonumber(ARGV[6]), ARGV[7] == '1')
local answer = { last and 1 or 0 }
if #found == 0 then return answer end
local ids = {}
for k = 1, #found, 2 do ids[#ids + 1] = string.match(found[k], ':(.*)$') end
local events = redis.call('HMGET', KEYS[2], unpack(ids))
local outcomes = redis.call('HMGET', KEYS[3], unpack(ids))
for k = 1, #ids do
  answer[#answer + 1] = found[k * 2 - 1]
  answer[#answer + 1] = found[k * 2]
  answer[#answer + 1] = events[k] and string.match(events[k], '^[^\n]*')
  answer[#answer + 1] = whole(KEYS[3], ids[k], outcomes[k])
end
return answer
