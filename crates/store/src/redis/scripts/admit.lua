-- Makes events of one tenant known, each (id) once.
-- They are numbered as they become visible, so that whoever follows them passes none over.
-- KEYS: events, outcomes, log, tenants, seen, the last number, what was erased, and usage
-- ARGV: base of the shard's keys, tenant, then for each event: id, arrival, received_ms, packed event,
--   hashes of its search keys
-- Answers one digit an event: 0 fresh, 1 settled, 2 another entry's duplicate.
local ids = {}
for at = 3, #ARGV, 5 do ids[#ids + 1] = ARGV[at] end
local have = redis.call('HMGET', KEYS[1], unpack(ids))
local values, index, seen, answers = {}, {}, {}, {}
local erasures = redis.call('EXISTS', KEYS[7]) == 1
local fresh, bytes, keys = 0, 0, {}
for k = 1, #ids do
  local at = k * 5 - 2
  local id, arrival = ids[k], ARGV[at + 1]
  local known = seen[id] or (have[k] and string.match(have[k], '^[^\t]*'))
  if erasures and redis.call('ZSCORE', KEYS[7], arrival) then
    -- Read before it was erased: there is nothing left to do with it.
    answers[k] = 1
  elseif not known then
    fresh = fresh + 1
    seen[id] = arrival
    values[fresh * 2 - 1], values[fresh * 2] = id, ARGV[at + 3]
    bytes = bytes + #ARGV[at + 3]
    index[fresh * 2 - 1], index[fresh * 2] = ARGV[at + 2], arrival .. ':' .. id
    keys[fresh] = ARGV[at + 4]
    answers[k] = 0
  elseif known ~= arrival then
    answers[k] = 2
  else
    answers[k] = redis.call('HEXISTS', KEYS[2], id)
  end
end
if fresh > 0 then
  redis.call('HSET', KEYS[1], unpack(values))
  redis.call('ZADD', KEYS[3], unpack(index))
  -- The same members by their number. It is at least the time in microseconds: if the server loses
  -- its last numbers, those that follow are still beyond every place that was given out. Written as
  -- a whole one: Redis would write Lua's as it writes fractions, which takes longer.
  local time = redis.call('TIME')
  local before = math.max(redis.call('GET', KEYS[6]) or 0, time[1] * 1000000 + time[2])
  redis.call('SET', KEYS[6], string.format('%d', before + fresh))
  local postings = {}
  for k = 1, fresh do
    local number = string.format('%016d', before + k)
    index[k * 2 - 1] = number
    add_postings(postings, keys[k], number)
  end
  redis.call('ZADD', KEYS[5], unpack(index))
  redis.call('SADD', KEYS[4], ARGV[2])
  write_postings(ARGV[1], ARGV[2], postings, fresh, index[1])
  stored(KEYS[8], KEYS[1], bytes)
end
return table.concat(answers)
