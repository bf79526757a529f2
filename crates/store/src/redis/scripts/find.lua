-- Events whose hash of a search key is this one, segment by segment (index.lua).
-- KEYS: segments, seen, events, outcomes
-- ARGV: base of the shard's keys, tenant, hash, oldest first, the number after which to go on or
--   nothing, how many segments, how many events and how many bytes at most
-- Answers 1 at the end, else 0; the number after which to go on; then for each: number, id, packed
-- event, outcome.
local base, tenant, hash, oldest = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local after = tonumber(ARGV[5])
local most_segments, most, bytes = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local bucket = string.byte(hash) % 16
local segments
if oldest then
  local start = '-inf'
  if after then
    local around = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[5], '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
    start = around[2] or start
  end
  -- One more than are looked into: where the next call begins.
  segments = redis.call('ZRANGEBYSCORE', KEYS[1], start, '+inf', 'WITHSCORES', 'LIMIT', 0, most_segments + 1)
else
  segments = redis.call('ZREVRANGEBYSCORE', KEYS[1], after and ARGV[5] or '+inf', '-inf', 'WITHSCORES',
    'LIMIT', 0, most_segments + 1)
end

local function numbers_of(segment)
  local text = redis.call('GET', base .. 'k:' .. tenant .. ':' .. segment .. ':' .. bucket)
  local numbers, from = {}, 1
  while text do
    local at = string.find(text, hash, from, true)
    if not at then break end
    if (at - 1) % 24 == 0 then
      numbers[#numbers + 1] = string.sub(text, at + 8, at + 23)
      from = at + 24
    else
      from = at + 1
    end
  end
  return numbers
end

local answer = { 1, '' }
local looked = math.min(#segments / 2, most_segments)
for k = 1, looked do
  local numbers = numbers_of(segments[k * 2 - 1])
  for n = 1, #numbers do
    local number = numbers[oldest and n or #numbers + 1 - n]
    local value = tonumber(number)
    if not after or (oldest and value > after) or (not oldest and value < after) then
      local member = redis.call('ZRANGEBYSCORE', KEYS[2], number, number)[1]
      local id = member and string.match(member, ':(.*)$')
      local event = id and redis.call('HGET', KEYS[3], id)
      if event then
        most = most - 1
        bytes = bytes - #event
        answer[#answer + 1] = number
        answer[#answer + 1] = id
        answer[#answer + 1] = event
        answer[#answer + 1] = redis.call('HGET', KEYS[4], id)
        if most <= 0 or bytes <= 0 then
          answer[1], answer[2] = 0, number
          return answer
        end
      end
    end
  end
end
if #segments / 2 > most_segments then
  -- The rest begins with the segment that was not looked into.
  local edge = oldest and segments[most_segments * 2 + 2] - 1 or segments[most_segments * 2]
  answer[1], answer[2] = 0, string.format('%016d', edge)
end
return answer
