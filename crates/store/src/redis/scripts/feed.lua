-- The change feed: tenants by the directory's version at their last change. The empty id marks a
-- place before which changes are missing: the server lost data, or a version of Fanfare without the
-- feed wrote to it.

-- Whether the feed has no line for the current version.
local function is_behind(changes, version)
  return (redis.call('ZRANGE', changes, -1, -1, 'WITHSCORES')[2] or '') ~= version
end

