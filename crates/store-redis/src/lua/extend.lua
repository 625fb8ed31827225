-- Makes leases last longer. KEYS[1] is the group. ARGV: now, hold in milliseconds, then kind, id and token of each.
-- Answers the places, counted from 0, of those that had lapsed.

local lost = {}
local lapses = whole(now + tonumber(ARGV[2]))
for n = 3, #ARGV, 3 do
  local kind, id, token = ARGV[n], ARGV[n + 1], ARGV[n + 2]
  if is_held(KEYS[1], kind, id, token) then
    redis.call('ZADD', KEYS[1] .. ':' .. kind .. ':l', lapses, id)
  else
    lost[#lost + 1] = n / 3 - 1
  end
end
return lost
