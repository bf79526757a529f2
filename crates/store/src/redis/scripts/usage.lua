-- What a tenant holds: `bytes` of its packed events, and deliveries `waiting` in its queues. Each
-- change adds to the number. A missing number is counted: the tenant has no data, or its data was
-- written before the numbers were kept. Call both after the change itself.
local function stored(usage, events, change)
  if redis.call('HEXISTS', usage, 'bytes') == 1 then
    redis.call('HINCRBY', usage, 'bytes', string.format('%d', change))
    return
  end
  local bytes = 0
  for _, id in ipairs(redis.call('HKEYS', events)) do
    bytes = bytes + redis.call('HSTRLEN', events, id)
  end
  redis.call('HSET', usage, 'bytes', string.format('%d', bytes))
end

-- A queue that holds something has a line among the tenant's lanes.
local function waiting(usage, lanes, base, tenant, change)
  if redis.call('HEXISTS', usage, 'waiting') == 1 then
    if change ~= 0 then redis.call('HINCRBY', usage, 'waiting', string.format('%d', change)) end
    return
  end
  local count = 0
  for _, lane in ipairs(redis.call('ZRANGE', lanes, 0, -1)) do
    count = count + redis.call('ZCARD', base .. 'q:' .. tenant .. ':' .. lane)
  end
  redis.call('HSET', usage, 'waiting', string.format('%d', count))
end

