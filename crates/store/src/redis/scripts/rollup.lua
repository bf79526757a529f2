-- Adds to hourly rollups. A hash per tenant and hour, and one per shard and hour for all tenants,
-- with an index of the hours of each. They expire by themselves.
-- args from `at` on: for how many seconds they are kept, how many hours follow, and for each: the
-- hour, then twice (the tenant's, those of all): how many fields, and field and number of each.
local function add_to(key, index, hour, keep, args, at, most)
  local count = tonumber(args[at])
  if count == 0 then return at + 1 end
  local size = redis.call('HLEN', key)
  for k = at + 1, at + 2 * count, 2 do
    local field = args[k]
    -- A tenant chooses its event types: further ones count together.
    if size >= most and redis.call('HEXISTS', key, field) == 0 then
      field = string.match(field, '^[^\t]*\t[^\t]*\t[^\t]*\t') .. '*'
    end
    redis.call('HINCRBY', key, field, args[k + 1])
  end
  if size == 0 then
    redis.call('EXPIRE', key, keep)
    redis.call('ZADD', index, hour, hour)
    redis.call('ZREMRANGEBYSCORE', index, '-inf', hour - math.ceil(keep / 3600))
    redis.call('EXPIRE', index, keep)
  end
  return at + 2 * count + 1
end

local function rollup(base, tenant, args, at)
  local keep, hours = args[at], tonumber(args[at + 1])
  at = at + 2
  for _ = 1, hours do
    local hour = args[at]
    at = add_to(base .. 'r:' .. tenant .. ':' .. hour, base .. 'rh:' .. tenant, hour, keep, args,
      at + 1, 4096)
    at = add_to(base .. 'all:' .. hour, base .. 'allh', hour, keep, args, at, 4096)
  end
end

