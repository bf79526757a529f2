-- Takes entries from a consumer that is gone, and removes the consumer when it has none left.
-- KEYS: stream   ARGV: group, the gone consumer, the taking one, max
-- Answers 1 when nothing is left of it, else 0; then the entries.
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[4], ARGV[2])
local answer = { 0, {} }
if #pending > 0 then
  local ids = {}
  for k, line in ipairs(pending) do ids[k] = line[1] end
  local taken = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, unpack(ids))
  -- Entries that were deleted meanwhile come back as nil, which would end the answer early.
  for k = 1, #ids do
    if taken[k] then answer[2][#answer[2] + 1] = taken[k] end
  end
end
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
  answer[1] = 1
end
return answer
