-- Sets a tenant's line in its shard's agenda to the earliest line of its lanes.
local function refresh(agenda, lanes, tenant)
  local first = redis.call('ZRANGE', lanes, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', agenda, first[2], tenant)
  else
    redis.call('ZREM', agenda, tenant)
  end
end

