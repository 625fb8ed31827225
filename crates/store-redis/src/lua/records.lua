-- Small records of an owner by id. KEYS[1] is the place. ARGV: now, kind, owner, id to begin after, how many at most.
-- Answers id and record of each.

local records, ids = record_names(KEYS[1], ARGV[2], ARGV[3], '')
local from, most = '(' .. ARGV[4], tonumber(ARGV[5])
local answer = {}
while #answer < 2 * most do
  local some = redis.call('ZRANGEBYLEX', ids, from, '+', 'LIMIT', 0, 100)
  if #some == 0 then
    break
  end
  local values = redis.call('HMGET', records, unpack(some))
  for n, id in ipairs(some) do
    local till = values[n] and tonumber(string.sub(values[n], 1, 16))
    if till and till > now and #answer < 2 * most then
      answer[#answer + 1] = id
      answer[#answer + 1] = values[n]
    end
  end
  from = '(' .. some[#some]
end
return answer
