-- The directory's version after a change. It starts at the server's clock, so that one that was
-- lost (FLUSHALL) is never met again.
local function bump(key)
  if redis.call('EXISTS', key) == 0 then
    local now = redis.call('TIME')
    redis.call('SET', key, now[1] .. string.format('%06d', now[2]))
  end
  return redis.call('INCR', key)
end

