-- Counts a part of what ended in a lane, by state and reason.
-- KEYS: ended   ARGV: from, to, offset, count
-- Answers how many were looked at, then state and reason, count for each.
local start = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[1]) + ARGV[3]
local found = redis.call('ZRANGE', KEYS[1], start, start + ARGV[4] - 1, 'WITHSCORES')
local sums, looked = {}, 0
for k = 1, #found, 2 do
  if tonumber(found[k + 1]) >= tonumber(ARGV[2]) then break end
  local why = string.match(found[k], '^[^\t]*\t[^\t]*')
  sums[why] = (sums[why] or 0) + 1
  looked = looked + 1
end
local answer = { looked }
for why, count in pairs(sums) do
  answer[#answer + 1] = why
  answer[#answer + 1] = count
end
return answer
