-- What the server of queues is owed for some time. KEYS[1] is the place. ARGV: now, for how many milliseconds.
-- Answers mark and debt of each.

local all = redis.call('HGETALL', KEYS[1] .. ':owed')
local answer = {}
for n = 1, #all, 2 do
  -- The time of a debt is the server's own, whatever time is given.
  if tonumber(string.sub(all[n + 1], 1, 16)) + ARGV[2] <= real and #answer < 200 then
    answer[#answer + 1] = all[n]
    answer[#answer + 1] = string.sub(all[n + 1], 17)
  end
end
return answer
