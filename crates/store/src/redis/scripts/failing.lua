-- Notes a failure of a lane; a silence longer than the gap before it ends what was before.
-- KEYS: failing, log   ARGV: lane, at, gap   Answers since when, and how often it was told.
local kept = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local since, last, told = string.match(kept, '^(%-?%d+) (%-?%d+) (%d+)$')
local at = ARGV[2]
-- An erased tenant does not come back with a late failure.
if redis.call('EXISTS', KEYS[2]) == 0 then return { tonumber(at), 1 } end
if not since or tonumber(at) - tonumber(last) > tonumber(ARGV[3]) then
  since, last, told = at, at, '0'
end
if tonumber(at) < tonumber(since) then since = at end
if tonumber(at) > tonumber(last) then last = at end
told = tonumber(told) + 1
redis.call('HSET', KEYS[1], ARGV[1], since .. ' ' .. last .. ' ' .. string.format('%d', told))
return { tonumber(since), told }
