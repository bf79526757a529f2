-- Adds up a part of a tenant's log.
-- KEYS: log, outcomes   ARGV: from, to, score, member, count
-- Answers received, pending, unrouted, delivered, waiting, suppressed, dead, and where to go on.
local found, last = page(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], false, tonumber(ARGV[5]))
local sums = { d = 0, w = 0, s = 0, x = 0 }
local received, pending, unrouted = #found / 2, 0, 0
if #found > 0 then
  local ids = {}
  for k = 1, #found, 2 do ids[#ids + 1] = string.match(found[k], ':(.*)$') end
  for k, record in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
    record = whole(KEYS[2], ids[k], record)
    if not record then
      pending = pending + 1
    elseif not string.find(record, '\n', 1, true) then
      unrouted = unrouted + 1
    else
      for letter in string.gmatch(record, '\n[^\t\n]*\t(%a)\t') do
        sums[letter] = sums[letter] + 1
      end
    end
  end
end
local answer = { received, pending, unrouted, sums.d, sums.w, sums.s, sums.x }
if not last then
  answer[8] = found[#found]
  answer[9] = found[#found - 1]
end
return answer
