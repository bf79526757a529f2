-- Search keys of the events of a tenant. Events are numbered as they are admitted. Each 4,096 of them
-- are a segment, which has 16 texts of postings: the hash of a key (8 characters) and the number of the
-- event (16 digits). `ks` has the first number of each segment, `kn` counts the events.
local POSTING, SEGMENT, BUCKETS = 24, 4096, 16

local function bucket_key(base, tenant, segment, bucket)
  return base .. 'k:' .. tenant .. ':' .. segment .. ':' .. bucket
end

-- Adds the postings of an event to lists by bucket. hashes: 8 characters each, or nothing.
local function add_postings(lists, hashes, number)
  for at = 1, #hashes, 8 do
    local bucket = string.byte(hashes, at) % BUCKETS
    local list = lists[bucket]
    if not list then
      list = {}
      lists[bucket] = list
    end
    list[#list + 1] = string.sub(hashes, at, at + 7) .. number
  end
end

-- Writes them. `first` is the number of the first of these events.
local function write_postings(base, tenant, lists, events, first)
  if next(lists) == nil then return end
  local count = redis.call('INCRBY', base .. 'kn:' .. tenant, events)
  local segment = string.format('%d', math.floor((count - events) / SEGMENT))
  for bucket, list in pairs(lists) do
    redis.call('APPEND', bucket_key(base, tenant, segment, bucket), table.concat(list))
  end
  redis.call('ZADD', base .. 'ks:' .. tenant, 'NX', first, segment)
end

local function drop_segment(base, tenant, segment)
  for bucket = 0, BUCKETS - 1 do redis.call('UNLINK', bucket_key(base, tenant, segment, bucket)) end
  redis.call('ZREM', base .. 'ks:' .. tenant, segment)
end

-- Removes the postings of one event, whatever they are.
local function remove_postings(base, tenant, number)
  local segment = redis.call('ZREVRANGEBYSCORE', base .. 'ks:' .. tenant, number, '-inf', 'LIMIT', 0, 1)[1]
  if not segment then return end
  for bucket = 0, BUCKETS - 1 do
    local key = bucket_key(base, tenant, segment, bucket)
    local text = redis.call('GET', key)
    local from, changed = 1, false
    while text do
      local at = string.find(text, number, from, true)
      if not at then break end
      if (at - 9) % POSTING == 0 then
        text = string.sub(text, 1, at - 9) .. string.sub(text, at + 16)
        from, changed = at - 8, true
      else
        from = at + 1
      end
    end
    if changed then
      if text == '' then redis.call('DEL', key) else redis.call('SET', key, text) end
    end
  end
end

-- Removes the segments between two numbers whose events are all gone. The last one goes on.
local function tidy_segments(base, tenant, seen, from, to)
  local key = base .. 'ks:' .. tenant
  local start = redis.call('ZREVRANGEBYSCORE', key, from, '-inf', 'LIMIT', 0, 1)[1]
  if not start then return end
  local first = redis.call('ZRANK', key, start)
  local last = redis.call('ZCOUNT', key, '-inf', to)
  local segments = redis.call('ZRANGE', key, first, last, 'WITHSCORES')
  for k = 1, #segments - 2, 2 do
    if redis.call('ZCOUNT', seen, segments[k + 1], '(' .. segments[k + 3]) == 0 then
      drop_segment(base, tenant, segments[k])
    end
  end
end

local function drop_segments(base, tenant)
  for _, segment in ipairs(redis.call('ZRANGE', base .. 'ks:' .. tenant, 0, -1)) do
    drop_segment(base, tenant, segment)
  end
  redis.call('DEL', base .. 'kn:' .. tenant)
end

