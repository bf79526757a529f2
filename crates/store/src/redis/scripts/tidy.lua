-- Removes old events of one tenant that have nothing waiting, with all that belongs to them.
-- KEYS: log, events, outcomes, tenants, the indexes of s and x, seen, usage
-- ARGV: base of the shard's keys, tenant, before, how many to pass over, how many to look at
-- Answers how many were removed, and how many must stay.
local base, tenant, before = ARGV[1], ARGV[2], tonumber(ARGV[3])
local found = redis.call('ZRANGE', KEYS[1], ARGV[4], ARGV[4] + ARGV[5] - 1, 'WITHSCORES')
local ids, members, stay, bytes = {}, {}, 0, 0
for k = 1, #found, 2 do
  if tonumber(found[k + 1]) >= before then break end
  local member = found[k]
  local id = string.match(member, ':(.*)$')
  local record = redis.call('HGET', KEYS[3], id)
  -- Not settled yet, or something waits: it stays.
  if not record or has_waiting(record) then
    stay = stay + 1
  else
    ids[#ids + 1] = id
    members[#members + 1] = member
    bytes = bytes + redis.call('HSTRLEN', KEYS[2], id)
    for lane, letter, why in string.gmatch(whole(KEYS[3], id, record),
      '\n([^\t\n]*)\t([sx])\t[^\t]*\t[^\t]*\t[^\t]*\t([^\t\n]*)') do
      redis.call('ZREM', base .. 'end:' .. tenant .. ':' .. cjson.decode('[' .. lane .. ']')[1],
        letter .. '\t' .. why .. '\t' .. id)
    end
    remove_parts(KEYS[3], id, record)
  end
end
if #ids > 0 then
  local from, to
  for _, number in ipairs(redis.call('ZMSCORE', KEYS[7], unpack(members))) do
    if number then
      from = math.min(from or number, number)
      to = math.max(to or number, number)
    end
  end
  redis.call('HDEL', KEYS[2], unpack(ids))
  redis.call('HDEL', KEYS[3], unpack(ids))
  for _, key in ipairs({ KEYS[1], KEYS[5], KEYS[6], KEYS[7] }) do
    redis.call('ZREM', key, unpack(members))
  end
  if redis.call('EXISTS', KEYS[1]) == 0 then
    drop_segments(base, tenant)
    redis.call('SREM', KEYS[4], tenant)
    redis.call('DEL', KEYS[8])
  else
    if from then tidy_segments(base, tenant, KEYS[7], from, to) end
    stored(KEYS[8], KEYS[2], -bytes)
  end
end
return { #ids, stay }
