-- Gives back the jobs in somebody's hands. KEYS[1] is the group. ARGV: now, owner, channel of rings.
-- Answers how many.

local group, owner, back = KEYS[1], ARGV[2], 0
for _, kind in ipairs(KINDS) do
  local queue = group .. ':' .. kind
  for _, id in ipairs(redis.call('ZRANGE', queue .. ':l', 0, -1)) do
    local _, _, due, holder = held_parts(redis.call('HGET', queue .. ':h', id))
    if holder == owner then
      put_back(group, kind, { id })
      ring(group, kind, due)
      back = back + 1
    end
  end
end
ring_all(ARGV[3])
return back
