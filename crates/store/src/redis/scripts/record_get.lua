-- One record, packed, or nil.
-- KEYS: records   ARGV: id
local packed = redis.call('HGET', KEYS[1], ARGV[1])
if revision_of(packed, now_ms()) then return packed end
return false
