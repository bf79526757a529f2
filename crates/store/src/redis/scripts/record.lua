-- A record is kept as `revision end⏎document`; its end is Unix milliseconds, or `-` for none.
local function now_ms()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- The revision of a packed record that has not come to its end.
local function revision_of(packed, now)
  if not packed then return nil end
  local revision, ends = string.match(packed, '^(%d+) ([%d-]+)\n')
  if ends ~= '-' and tonumber(ends) <= now then return nil end
  return revision
end

