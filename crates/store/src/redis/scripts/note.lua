-- Notes a change of a tenant. The names of all tenants are made again if changes are missing.
local function note(changes, version, names, id)
  local before = redis.call('GET', version)
  if not before or is_behind(changes, before) then
    redis.call('DEL', names)
    redis.call('ZADD', changes, string.format('%.0f', bump(version)), '')
  end
  redis.call('ZADD', changes, string.format('%.0f', bump(version)), id)
end

