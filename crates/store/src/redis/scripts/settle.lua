-- Writes what became of entries of one tenant; an event that has an outcome keeps the one it has.
-- KEYS: outcomes, events, agenda, lanes, leases, what was erased, usage
-- ARGV: base of the shard's keys, tenant, where the events begin, what is added to the rollups, then
--   for each event: id, packed outcome, n, and n times:
--   'w', lane, due_ms, serve_ms    or    's' or 'x', lane, at_ms, reason
-- Answers the ids of events that the store does not know though something of them waits, and the ids
-- of those that need no outcome. If there are any, it writes nothing: the rollups count all or none.
local base, tenant = ARGV[1], ARGV[2]
local ids, starts = {}, {}
local at = tonumber(ARGV[3])
while at <= #ARGV do
  ids[#ids + 1] = ARGV[at]
  starts[#starts + 1] = at
  at = at + 3 + 4 * tonumber(ARGV[at + 2])
end
local have = redis.call('HMGET', KEYS[1], unpack(ids))
local values, missing, done, earliest, parked = {}, {}, {}, nil, 0
local erasures = redis.call('EXISTS', KEYS[6]) == 1

-- Erased while it was on its way: its outcome is of no concern any more.
local function erased(outcome)
  return erasures and redis.call('ZSCORE', KEYS[6], string.match(outcome, '^%S+'))
end

local function park(id, outcome, from, count)
  local arrival, received = string.match(outcome, '^(%S+) (%d+)')
  local member = arrival .. ':' .. id
  local letters = {}
  for extra = from, from + 4 * (count - 1), 4 do
    local letter, lane = ARGV[extra], ARGV[extra + 1]
    letters[letter] = true
    if letter == 'w' then
      local queue = base .. 'q:' .. tenant .. ':' .. lane
      parked = parked + redis.call('ZADD', queue, ARGV[extra + 2], member)
      if redis.call('HEXISTS', KEYS[5], lane) == 0 then
        local serve = ARGV[extra + 3]
        redis.call('ZADD', KEYS[4], 'LT', serve, lane)
        if not earliest or tonumber(serve) < tonumber(earliest) then earliest = serve end
      end
    else
      redis.call('ZADD', base .. 'end:' .. tenant .. ':' .. lane, ARGV[extra + 2],
        letter .. '\t' .. ARGV[extra + 3] .. '\t' .. id)
    end
  end
  for letter in pairs(letters) do
    redis.call('ZADD', base .. 'i:' .. letter .. ':' .. tenant, received, member)
  end
end

-- Writes the parts of an outcome, if it has some. Answers what the event's own field holds.
local function in_parts(id, outcome)
  local from, k = string.find(outcome, '\2', 1, true), 0
  local head = from and string.sub(outcome, 1, from - 1) or outcome
  while from do
    local to = string.find(outcome, '\2', from + 1, true)
    redis.call('HSET', KEYS[1], id .. '\2' .. k, string.sub(outcome, from + 1, (to or 0) - 1))
    from, k = to, k + 1
  end
  return head
end

for k = 1, #ids do
  if have[k] or erased(ARGV[starts[k] + 1]) then
    done[#done + 1] = ids[k]
  elseif ARGV[starts[k] + 2] ~= '0' and redis.call('HEXISTS', KEYS[2], ids[k]) == 0 then
    missing[#missing + 1] = ids[k]
  end
end
if #done > 0 or #missing > 0 then return { missing, done } end
for k = 1, #ids do
  local start = starts[k]
  local count = tonumber(ARGV[start + 2])
  if count > 0 then park(ids[k], ARGV[start + 1], start + 3, count) end
  values[k * 2 - 1], values[k * 2] = ids[k], in_parts(ids[k], ARGV[start + 1])
end
redis.call('HSET', KEYS[1], unpack(values))
if earliest then redis.call('ZADD', KEYS[3], 'LT', earliest, tenant) end
if parked > 0 then waiting(KEYS[7], KEYS[4], base, tenant, parked) end
rollup(base, tenant, ARGV, 4)
return { missing, done }
