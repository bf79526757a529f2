-- Whether entries are in the stream.
-- KEYS: stream   ARGV: ids   Answers one digit for each.
local answers = {}
for k, id in ipairs(ARGV) do answers[k] = #redis.call('XRANGE', KEYS[1], id, id) end
return table.concat(answers)
