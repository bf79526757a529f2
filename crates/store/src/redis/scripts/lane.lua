-- Writes outcomes of deliveries of one lane that were served from its queue.
-- KEYS: outcomes, events, queue, ended, agenda, lanes, the indexes of w, s, x, leases,
--   what was erased, usage
-- ARGV: base of the shard's keys, tenant, lane, hash of the lane, for how many seconds rollups are
--   kept, then for each delivery:
--   id, letter, due_ms, serve_ms, at_ms, reason, head of its line, attempts, 1 for a replay,
--   hour, field of the rollup or nothing, number of attempts
-- Which changes take effect is the rule of lifecycle::transition: what waits takes every change;
-- what has ended takes a replay and, unless it was delivered, a late success. A change without
-- effect only adds its attempts. A replay marks with '!' from where attempts count.
-- Answers the ids of events that the store does not know.
local base, tenant, lane, hash = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local hours = {}
local missing, earliest, waits = {}, nil, 0
local indexes = { w = KEYS[7], s = KEYS[8], x = KEYS[9] }

local function add_field(fields, field, number)
  if number ~= 0 then fields[field] = (fields[field] or 0) + number end
end

-- Outcomes with an attempt each imply it. What differs is in the field with a plus.
local function add_up(hour, field, number, tries)
  local of = hours[hour]
  if not of then
    of = { {}, {} }
    hours[hour] = of
  end
  local outcome, channel = string.match(field, '^([^\t]*)\t[^\t]*\t([^\t]*)\t')
  if not string.find(outcome, '^[sS]') then tries = tries - number end
  for k, name in ipairs({ field, outcome .. '\t\t' .. channel .. '\t' }) do
    add_field(of[k], name, number)
    add_field(of[k], '+' .. name, tries)
  end
end

-- Writes what was counted, in the form that rollup.lua reads.
local function write_counts()
  local args, number = { ARGV[5], 0 }, 0
  for hour, of in pairs(hours) do
    number = number + 1
    args[#args + 1] = hour
    for _, fields in ipairs(of) do
      local place, size = #args + 1, 0
      args[place] = 0
      for field, sum in pairs(fields) do
        size = size + 1
        args[#args + 1] = field
        args[#args + 1] = string.format('%d', sum)
      end
      args[place] = size
    end
  end
  args[2] = number
  if number > 0 then rollup(base, tenant, args, 1) end
end

-- The record, if need be begun from the event.
local function recall(id)
  local record = redis.call('HGET', KEYS[1], id)
  if record then return record end
  local event = redis.call('HGET', KEYS[2], id)
  if not event then return nil end
  local arrival, received = string.match(event, '^([^\t]*)\t([^\t]*)')
  return arrival .. ' ' .. received
end

-- Where this delivery's line begins and ends, its letter, its reason, its head, its attempts.
local function read(record, head)
  local quoted = string.match(head, '^[^\t]*')
  local from = string.find(record, '\n' .. quoted .. '\t', 1, true)
  if not from then return nil end
  local to = (string.find(record, '\n', from + 1, true) or #record + 1) - 1
  local line = string.sub(record, from + 1, to)
  local was, why = string.match(line, '^[^\t]*\t(%a)\t[^\t]*\t[^\t]*\t[^\t]*\t([^\t]*)')
  local first = string.find(line, '\t[{!]') or #line + 1
  return from, to, was, why, string.sub(line, 1, first - 1), string.sub(line, first)
end

-- Counts a change of one delivery in the header of an outcome in parts. Answers the header, and
-- whether another delivery is still in the state that this one has left.
local function recount(header, was, letter)
  local start, parts, w, s, x = string.match(header, '^(%S+ %d+) %*(%d+) (%d+) (%d+) (%d+)$')
  local counts = { w = tonumber(w), s = tonumber(s), x = tonumber(x) }
  if counts[was] then counts[was] = counts[was] - 1 end
  if counts[letter] then counts[letter] = counts[letter] + 1 end
  header = string.format('%s *%s %d %d %d', start, parts, counts.w, counts.s, counts.x)
  return header, (counts[was] or 0) > 0
end

for at = 6, #ARGV, 12 do
  local id, letter, due, serve, ended, reason, head, tries, replay = unpack(ARGV, at, at + 8)
  local hour, rolled, number = unpack(ARGV, at + 9, at + 11)
  local header = recall(id)
  if not header then
    -- Erased while it was under way: its outcome does not bring it back.
    if not redis.call('ZSCORE', KEYS[11], redis.sha1hex(id)) then missing[#missing + 1] = id end
  else
    local field, old, count = id, header, parts_of(header)
    if count then
      field = id .. '\2' .. hash % count
      old = redis.call('HGET', KEYS[1], field) or ''
    end
    local from, to, was, why, before, kept = read(old, head)
    replay = replay == '1'
    if replay then tries = '\t!' .. tries end
    local accepted = not from or was == 'w' or replay or (letter == 'd' and was ~= 'd')
    local new
    if from then
      -- A batch that is sent again brings the same attempts: they count once.
      if tries ~= '' and not replay and string.find(kept, tries, 1, true) then tries = '' end
      if not accepted then head = before end
      new = string.sub(old, 1, from) .. head .. kept .. tries .. string.sub(old, to + 1)
    else
      new = old .. '\n' .. head .. tries
    end
    if accepted then
      local arrival, received = string.match(header, '^(%S+) (%d+)')
      local member = arrival .. ':' .. id
      if was == 's' or was == 'x' then
        redis.call('ZREM', KEYS[4], was .. '\t' .. why .. '\t' .. id)
      end
      if letter == 'w' then
        waits = waits + redis.call('ZADD', KEYS[3], due, member)
        if not earliest or tonumber(serve) < tonumber(earliest) then earliest = serve end
      else
        waits = waits - redis.call('ZREM', KEYS[3], member)
        if letter ~= 'd' then
          redis.call('ZADD', KEYS[4], ended, letter .. '\t' .. reason .. '\t' .. id)
        end
      end
      if indexes[letter] then redis.call('ZADD', indexes[letter], received, member) end
      if was ~= letter then
        local remains
        if count then
          header, remains = recount(header, was, letter)
          redis.call('HSET', KEYS[1], id, header)
        else
          remains = was and string.find(new, '\n[^\t\n]*\t' .. was .. '\t') ~= nil
        end
        if indexes[was] and not remains then redis.call('ZREM', indexes[was], member) end
      end
    end
    redis.call('HSET', KEYS[1], field, new)
    if rolled ~= '' and not (accepted and letter == 'w' and tries == '') then
      if accepted then
        add_up(hour, rolled, 1, tonumber(number))
      elseif tries ~= '' then
        local test = string.find(rolled, '^%u')
        add_up(hour, string.gsub(rolled, '^[^\t]*', test and 'R0' or 'r0', 1), 0, tonumber(number))
      end
    end
  end
end
write_counts()
-- What waits always has a line: the lane may have been given back meanwhile, or never had one. A
-- claimed or held one stays where it is.
if earliest and (redis.call('HEXISTS', KEYS[10], lane) == 0 or not redis.call('ZSCORE', KEYS[6], lane)) then
  redis.call('ZADD', KEYS[6], 'LT', earliest, lane)
  refresh(KEYS[5], KEYS[6], tenant)
end
if waits ~= 0 then waiting(KEYS[12], KEYS[6], base, tenant, waits) end
return missing
