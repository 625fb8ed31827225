-- What the queues of a group hold. KEYS[1] is the group. ARGV: now.
-- Answers for each kind: waiting, leased, dead, due time of the first that waits, pause, time until which it is held
-- back; the last three may be empty.

local answer = {}
for _, kind in ipairs(KINDS) do
  local queue = KEYS[1] .. ':' .. kind
  return_lapsed(KEYS[1], kind)
  local lanes = { queue .. ':w0', queue .. ':w1', queue .. ':w2' }
  local waiting = 0
  for _, lane in ipairs(lanes) do
    waiting = waiting + redis.call('ZCARD', lane)
  end
  local oldest = earliest(lanes)
  local held = tonumber(redis.call('HGET', KEYS[1] .. ':holds', kind) or '')
  answer[#answer + 1] = waiting
  answer[#answer + 1] = redis.call('ZCARD', queue .. ':l')
  answer[#answer + 1] = redis.call('ZCARD', queue .. ':d')
  answer[#answer + 1] = oldest and whole(oldest) or ''
  answer[#answer + 1] = redis.call('HGET', KEYS[1] .. ':pauses', kind) or ''
  answer[#answer + 1] = held and held > now and whole(held) or ''
end
return answer
