-- Takes places of a pace. KEYS: the pace, which is the time at which all of its places are free again,
-- in microseconds   ARGV: from one place to the next in microseconds, burst, how many at most
-- Answers how many were taken and, if none, how many microseconds until the next one is free.
-- The server's clock decides, so it is the same for all.
local interval, burst, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local whole = interval * burst
local next = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
-- A clock that was set back, or a rate that was raised, must not stop the lane.
if next > now + whole then next = now + whole end
local taken = math.min(math.floor((whole - (next - now)) / interval), most)
if taken <= 0 then return { 0, next + interval - whole - now } end
next = next + taken * interval
redis.call('SET', KEYS[1], string.format('%d', next), 'PX', math.ceil((next - now) / 1000) + 1)
return { taken, 0 }
