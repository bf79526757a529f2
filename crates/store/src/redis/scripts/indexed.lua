-- Records that these paths are indexed from now on, and no others.
-- KEYS: path -> since when, in microseconds   ARGV: paths
local time = redis.call('TIME')
local now = string.format('%d', time[1] * 1000000 + time[2])
local wanted = {}
for _, path in ipairs(ARGV) do
  wanted[path] = true
  redis.call('HSETNX', KEYS[1], path, now)
end
for _, path in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not wanted[path] then redis.call('HDEL', KEYS[1], path) end
end
