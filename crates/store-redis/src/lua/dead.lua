-- Dead jobs by id. KEYS[1] is the group. ARGV: now, kind, id to begin after or an empty text, how many at most.
-- Answers id and record of each.

local group, kind, from, most = KEYS[1], ARGV[2], '-', tonumber(ARGV[4])
if ARGV[3] ~= '' then
  from = '(' .. ARGV[3]
end
local answer = {}
while #answer < 2 * most do
  local ids = redis.call('ZRANGEBYLEX', group .. ':' .. kind .. ':d', from, '+', 'LIMIT', 0, 100)
  if #ids == 0 then
    break
  end
  local records = redis.call('HMGET', group .. ':dead', unpack(ids))
  for n, id in ipairs(ids) do
    local till = records[n] and tonumber(string.sub(records[n], 1, 16))
    if till and till > now and #answer < 2 * most then
      answer[#answer + 1] = id
      answer[#answer + 1] = records[n]
    end
  end
  from = '(' .. ids[#ids]
end
return answer
