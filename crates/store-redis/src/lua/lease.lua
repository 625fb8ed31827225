-- Hands out due jobs. KEYS[1] is the group.
-- ARGV: now, kind, most jobs, hold in milliseconds, token, owner, most octets, `1` where it may have been done already.
-- Answers the present, the next due time or an empty text, then id, failed tries and job for each job.

local group, kind, most, hold, token, owner = KEYS[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local limit = tonumber(ARGV[7])
local queue = group .. ':' .. kind

return_lapsed(group, kind)
if ARGV[8] == '1' then
  -- The answer was lost on its way: nobody knows what it handed out.
  local ids = redis.call('ZRANGE', queue .. ':l', 0, -1)
  for _, id in ipairs(ids) do
    if held_parts(redis.call('HGET', queue .. ':h', id)) == token then
      put_back(group, kind, { id })
    end
  end
end

local function tell(due)
  if redis.call('GET', queue .. ':next') ~= due then
    redis.call('SET', queue .. ':next', due)
  end
  return due
end

local held = held_back(group, kind)
if held ~= nil then
  return { whole(now), tell(held and whole(held) or '') }
end

local lapses = whole(now + tonumber(hold))
local answer = { whole(now), '' }
local left, octets, full = most, 0, false

for lane = 0, 2 do
  local waiting = queue .. ':w' .. lane
  while left > 0 and not full do
    local most_now = math.min(left, 128)
    local found = redis.call('ZRANGEBYSCORE', waiting, '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, most_now)
    if #found == 0 then
      break
    end
    local ids = {}
    for n = 1, #found, 2 do
      ids[#ids + 1] = found[n]
    end
    local jobs = redis.call('HMGET', group .. ':jobs', unpack(ids))
    local tries = redis.call('HMGET', group .. ':tries', unpack(ids))
    local taken, holders, lapse = {}, {}, {}
    for n, id in ipairs(ids) do
      local job = jobs[n] or ''
      if octets > 0 and octets + #job > limit then
        full = true
        break
      end
      octets = octets + #job
      taken[n] = id
      holders[2 * n - 1], holders[2 * n] = id, token .. ' ' .. lane .. ' ' .. found[2 * n] .. ' ' .. owner
      lapse[2 * n - 1], lapse[2 * n] = lapses, id
      answer[#answer + 1] = id
      answer[#answer + 1] = tries[n] or '0'
      answer[#answer + 1] = job
    end
    if #taken > 0 then
      redis.call('ZREM', waiting, unpack(taken))
      redis.call('HSET', queue .. ':h', unpack(holders))
      redis.call('ZADD', queue .. ':l', unpack(lapse))
      left = left - #taken
    end
  end
end

local due = earliest({ queue .. ':w0', queue .. ':w1', queue .. ':w2', queue .. ':l' })
answer[2] = tell(due and whole(due) or '')
return answer
