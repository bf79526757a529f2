-- Finds entries that were read and are pending for no consumer, and gives them to one.
-- KEYS: stream   ARGV: group, consumer ('' to only look), after which entry
-- Answers how many were found, after which entry to continue ('' at the end), and the entries.
local facts
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return { 0, '', {} } end
for _, group in ipairs(groups) do
  local read = {}
  for k = 1, #group, 2 do read[group[k]] = group[k + 1] end
  if read.name == ARGV[1] then facts = read end
end
if not facts then return { 0, '', {} } end
-- There are as many entries as are pending or unread: none is missing.
if ARGV[3] == '0-0' and facts.lag
  and redis.call('XLEN', KEYS[1]) == facts.pending + facts.lag then
  return { 0, '', {} }
end

local most, page = 64, 1000
local from, ids = ARGV[3], {}
-- Entries between the last one that was looked at and `to` are pending for no consumer.
local function look(to)
  while #ids < most do
    local found = redis.call('XRANGE', KEYS[1], '(' .. from, to, 'COUNT', 8)
    for _, entry in ipairs(found) do
      from = entry[1]
      ids[#ids + 1] = from
    end
    if #found < 8 then return end
  end
end

local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '(' .. from, '+', page)
for _, line in ipairs(pending) do
  look('(' .. line[1])
  if #ids >= most then break end
  from = line[1]
end
local next = from
if #ids < most and #pending < page then
  look(facts['last-delivered-id'])
  next = #ids < most and '' or from
end
local taken = {}
if ARGV[2] ~= '' and #ids > 0 then
  ids[#ids + 1] = 'FORCE'
  taken = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))
  ids[#ids] = nil
end
return { #ids, next, taken }
