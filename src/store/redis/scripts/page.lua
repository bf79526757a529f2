-- A part of an index, newest first: scores in [from, to), after (or at) a position.
-- Positions are (score, member), so a page stands where it stood though others come and go.
local function rank_after(index, score, member, inclusive)
  local rank = redis.call('ZREVRANK', index, member)
  if rank then return inclusive and rank or rank + 1 end
  -- The member is gone: find its place among those of the same score.
  local low = redis.call('ZCOUNT', index, '(' .. score, '+inf')
  local high = low + redis.call('ZCOUNT', index, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZREVRANGE', index, middle, middle)[1] > member then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- Answers member, score, member, score, …, and whether this is the end.
local function page(index, from, to, score, member, inclusive, count)
  local start = 0
  if to ~= '' then start = redis.call('ZCOUNT', index, to, '+inf') end
  if member ~= '' then
    start = math.max(start, rank_after(index, score, member, inclusive))
  end
  local found = redis.call('ZREVRANGE', index, start, start + count - 1, 'WITHSCORES')
  local last = #found < count * 2
  if from ~= '' then
    while #found > 0 and tonumber(found[#found]) < tonumber(from) do
      found[#found] = nil
      found[#found] = nil
      last = true
    end
  end
  return found, last
end

