-- Records by id: id, packed, id, packed, …
-- KEYS: records, ids   ARGV: from ('-' or '(id'), limit
local now, found, from, limit = now_ms(), {}, ARGV[1], tonumber(ARGV[2])
while limit > 0 do
  local ids = redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, limit)
  if #ids == 0 then break end
  for at, packed in ipairs(redis.call('HMGET', KEYS[1], unpack(ids))) do
    if revision_of(packed, now) then
      found[#found + 1] = ids[at]
      found[#found + 1] = packed
      limit = limit - 1
    end
  end
  from = '(' .. ids[#ids]
end
return found
