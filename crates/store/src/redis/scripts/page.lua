-- A part of an index, newest first or oldest first: scores in [from, to), after (or at) a position.
-- Positions are (score, member), so a page stands where it stood though others come and go.
local function rank_after(index, score, member, inclusive, oldest)
  local rank = redis.call(oldest and 'ZRANK' or 'ZREVRANK', index, member)
  if rank then return inclusive and rank or rank + 1 end
  -- The member is gone: find its place among those of the same score.
  local low
  if oldest then
    low = redis.call('ZCOUNT', index, '-inf', '(' .. score)
  else
    low = redis.call('ZCOUNT', index, '(' .. score, '+inf')
  end
  local high = low + redis.call('ZCOUNT', index, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local there = redis.call(oldest and 'ZRANGE' or 'ZREVRANGE', index, middle, middle)[1]
    local is_before
    if oldest then is_before = there < member else is_before = there > member end
    if is_before then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- Answers member, score, member, score, …, and whether this is the end.
local function page(index, from, to, score, member, inclusive, count, oldest)
  local start = 0
  if oldest then
    if from ~= '' then start = redis.call('ZCOUNT', index, '-inf', '(' .. from) end
  elseif to ~= '' then
    start = redis.call('ZCOUNT', index, to, '+inf')
  end
  if member ~= '' then
    start = math.max(start, rank_after(index, score, member, inclusive, oldest))
  end
  local found = redis.call(oldest and 'ZRANGE' or 'ZREVRANGE', index, start, start + count - 1,
    'WITHSCORES')
  local last = #found < count * 2
  local function is_outside(at)
    if oldest then return to ~= '' and tonumber(at) >= tonumber(to) end
    return from ~= '' and tonumber(at) < tonumber(from)
  end
  while #found > 0 and is_outside(found[#found]) do
    found[#found] = nil
    found[#found] = nil
    last = true
  end
  return found, last
end

