-- Puts waiting deliveries of one tenant back into their queues, and their lanes into the agenda.
-- KEYS: index of w, events, outcomes, agenda, lanes, leases, usage
-- ARGV: base of the shard's keys, tenant, after how many events, how many to look at, now, when a
--   lane is free whose holder has no line, 1 to change what is wrong
-- Answers how many events were looked at, and how many things were wrong.
local base, tenant, repairs = ARGV[1], ARGV[2], ARGV[7] == '1'
local found = redis.call('ZRANGE', KEYS[1], ARGV[3], ARGV[3] + ARGV[4] - 1)
local known, wrong = {}, 0
for _, member in ipairs(found) do
  local id = string.match(member, ':(.*)$')
  local record = redis.call('HEXISTS', KEYS[2], id) == 1 and redis.call('HGET', KEYS[3], id) or ''
  record = whole(KEYS[3], id, record)
  for lane, due in string.gmatch(record, '\n([^\t\n]*)\tw\t[^\t]*\t([^\t]*)\t') do
    local name = cjson.decode('[' .. lane .. ']')[1]
    local queue = base .. 'q:' .. tenant .. ':' .. name
    if not redis.call('ZSCORE', queue, member) then
      wrong = wrong + 1
      if repairs then redis.call('ZADD', queue, due, member) end
    end
    if not known[name] then
      known[name] = true
      if not redis.call('ZSCORE', KEYS[5], name) then
        wrong = wrong + 1
        if repairs then
          local token = redis.call('HGET', KEYS[6], name)
          redis.call('ZADD', KEYS[5], token and token ~= '!' and ARGV[6] or ARGV[5], name)
        end
      end
    end
  end
end
local first = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
if first[2] and redis.call('ZSCORE', KEYS[4], tenant) ~= first[2] then
  wrong = wrong + 1
  if repairs then refresh(KEYS[4], KEYS[5], tenant) end
end
-- How many wait is counted again by the next script that needs it: whatever was done to the keys, a
-- wrong number does not last.
if repairs and (ARGV[3] == '0' or wrong > 0) then redis.call('HDEL', KEYS[7], 'waiting') end
return { #found, wrong }
