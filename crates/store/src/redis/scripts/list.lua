-- Tenants by id: id, document, id, document, …
-- KEYS: documents, names   ARGV: from ('-' or '(id'), limit, most bytes
-- A version of Fanfare without `names` may have written, so the names are made again if their number
-- is wrong.
if redis.call('ZCARD', KEYS[2]) ~= redis.call('HLEN', KEYS[1]) then
  redis.call('DEL', KEYS[2])
  for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do redis.call('ZADD', KEYS[2], 0, id) end
end
local found, bytes = {}, 0
for _, id in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], '+', 'LIMIT', 0, ARGV[2])) do
  if bytes >= tonumber(ARGV[3]) then break end
  local document = redis.call('HGET', KEYS[1], id)
  if document then
    found[#found + 1] = id
    found[#found + 1] = document
    bytes = bytes + #document
  end
end
return found
