-- The outcome of an event with many deliveries is kept in parts, so that writing one delivery does
-- not cost in proportion to the others. The field of the event then holds `arrival received_ms
-- *parts waiting suppressed dead`, and the field `id\2k` holds the lines of part k. See pack.rs.
local function parts_of(record)
  return tonumber(string.match(record, '^%S+ %d+ %*(%d+)'))
end

local function part_names(id, count)
  local names = {}
  for k = 1, count do names[k] = id .. '\2' .. (k - 1) end
  return names
end

-- The whole outcome as one text. `record` is what the event's field holds.
local function whole(outcomes, id, record)
  local count = record and parts_of(record)
  if not count then return record end
  local texts = redis.call('HMGET', outcomes, unpack(part_names(id, count)))
  for k = 1, count do texts[k] = texts[k] or '' end
  return record .. table.concat(texts)
end

-- Whether a delivery of the outcome waits.
local function has_waiting(record)
  local _, waiting = string.match(record, '^%S+ %d+ %*(%d+) (%d+)')
  if waiting then return waiting ~= '0' end
  return string.find(record, '\n[^\t\n]*\tw\t') ~= nil
end

-- Removes the parts of an outcome, besides the event's own field.
local function remove_parts(outcomes, id, record)
  local count = record and parts_of(record)
  if count then redis.call('HDEL', outcomes, unpack(part_names(id, count))) end
end

