-- Jobs of a queue in the order in which they leave it, those in hands among them. KEYS[1] is the group.
-- ARGV: now, kind, how many at most, lane, due time and id of the place to begin behind; no lane: that job alone; no id:
-- from the first one on.
-- Answers id, lane, due time, failed tries, who holds it or an empty text, and job for each.

local group, kind, most = KEYS[1], ARGV[2], tonumber(ARGV[3])
local queue = group .. ':' .. kind
return_lapsed(group, kind)

-- Texts compare by the server's language, ids by their octets.
local function compare(a, b)
  for n = 1, math.max(#a, #b) do
    local x, y = string.byte(a, n) or -1, string.byte(b, n) or -1
    if x ~= y then
      return x - y
    end
  end
  return 0
end

local function is_before(a, b)
  if a.lane ~= b.lane then
    return a.lane < b.lane
  elseif a.due ~= b.due then
    return a.due < b.due
  end
  return compare(a.id, b.id) < 0
end

local function held_job(id, held)
  local _, lane, due, owner = held_parts(held)
  return { lane = tonumber(lane), due = tonumber(due), id = id, owner = owner }
end

-- How many members of a lane are not behind the place.
local function rank_behind(lane, place)
  local key = queue .. ':w' .. lane
  local low, high = 0, redis.call('ZCARD', key)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('ZRANGE', key, middle, middle, 'WITHSCORES')
    if is_before(place, { lane = lane, due = tonumber(found[2]), id = found[1] }) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local function one(id)
  local lane, due = waiting(group, kind, id)
  if lane then
    return { { lane = lane, due = due, id = id } }
  end
  local held = redis.call('HGET', queue .. ':h', id)
  return held and { held_job(id, held) } or {}
end

local function page(after)
  local jobs = {}
  for lane = after.lane, 2 do
    local from = lane == after.lane and rank_behind(lane, after) or 0
    local left = most - #jobs
    if left > 0 then
      local found = redis.call('ZRANGE', queue .. ':w' .. lane, from, from + left - 1, 'WITHSCORES')
      for n = 1, #found, 2 do
        jobs[#jobs + 1] = { lane = lane, due = tonumber(found[n + 1]), id = found[n] }
      end
    end
  end
  local all = redis.call('HGETALL', queue .. ':h')
  for n = 1, #all, 2 do
    local job = held_job(all[n], all[n + 1])
    if is_before(after, job) then
      jobs[#jobs + 1] = job
    end
  end
  table.sort(jobs, is_before)
  return jobs
end

local jobs
if ARGV[4] == '' then
  jobs = one(ARGV[6])
else
  jobs = page({ lane = tonumber(ARGV[4]), due = tonumber(ARGV[5]), id = ARGV[6] })
end
local answer = {}
for n = 1, math.min(#jobs, most) do
  local job = jobs[n]
  answer[#answer + 1] = job.id
  answer[#answer + 1] = job.lane
  answer[#answer + 1] = whole(job.due)
  answer[#answer + 1] = redis.call('HGET', group .. ':tries', job.id) or '0'
  answer[#answer + 1] = job.owner or ''
  answer[#answer + 1] = redis.call('HGET', group .. ':jobs', job.id) or ''
end
return answer
