-- Events of one tenant in the order in which they were admitted, after a place.
-- KEYS: seen, events, outcomes
-- ARGV: after, how many at most, how many bytes of them
-- Answers whether there may be more, then for each: place, id, packed event, packed outcome.
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf',
  'WITHSCORES', 'LIMIT', 0, ARGV[2])
local answer, bytes = { #found == 2 * tonumber(ARGV[2]) and 1 or 0 }, 0
for k = 1, #found, 2 do
  local id = string.match(found[k], ':(.*)$')
  local event = redis.call('HGET', KEYS[2], id)
  answer[#answer + 1] = found[k + 1]
  answer[#answer + 1] = id
  answer[#answer + 1] = event
  answer[#answer + 1] = whole(KEYS[3], id, redis.call('HGET', KEYS[3], id))
  bytes = bytes + (event and #event or 0)
  if bytes >= tonumber(ARGV[3]) and k + 2 <= #found then
    answer[1] = 1
    break
  end
end
return answer
