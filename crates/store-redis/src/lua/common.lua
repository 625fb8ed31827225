-- What all scripts begin with. ARGV[1] is the present in milliseconds; empty: the server's own time.
-- KEYS[1] leads to the node. Other keys are made from names with the same hash tag.

local function whole(number)
  return string.format('%.0f', number)
end

local clock = redis.call('TIME')
local real = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now = real
-- A given time only moves when somebody moves it: the server must not forget by its own before that.
local ahead = 0
if ARGV[1] ~= '' then
  now = tonumber(ARGV[1])
  ahead = real - now + 3600000
end

local KINDS = { 'tx', 'ev', 'rx', 'callback' }

-- Queues in which something can be found sooner, with the earliest due time, to wake those who wait.
local rings = {}

local function ring(group, kind, due, anyway)
  local queue = group .. ':' .. kind
  local known = rings[queue]
  due = tonumber(due)
  if not known then
    rings[queue] = { group = group, kind = kind, due = due, anyway = anyway }
  else
    known.due = math.min(known.due, due)
    known.anyway = known.anyway or anyway
  end
end

local function queued(group, kind, id, lane, due)
  redis.call('ZADD', group .. ':' .. kind .. ':w' .. lane, due, id)
  ring(group, kind, due)
end

-- When a queue hands something out again: nothing where it does, false where that is not known.
local function held_back(group, kind)
  if redis.call('HEXISTS', group .. ':pauses', kind) == 1 then
    return false
  end
  local till = tonumber(redis.call('HGET', group .. ':holds', kind) or '')
  if till and till > now then
    return till
  end
  return nil
end

-- `next` is what the last look into the queue told: nobody needs to hear of later jobs before then.
local function ring_all(channel)
  for queue, ring in pairs(rings) do
    local held = held_back(ring.group, ring.kind)
    local due = math.max(ring.due, held or ring.due)
    local told = redis.call('GET', queue .. ':next')
    if held ~= false and (ring.anyway or not told or told == '' or due < tonumber(told)) then
      redis.call('SET', queue .. ':next', whole(due))
      redis.call('PUBLISH', channel, queue .. ' ' .. whole(due))
    end
  end
end

-- Held jobs are `token lane due owner`.
local function held_parts(held)
  return string.match(held or '', '^(%d+) (%d) (%-?%d+) (.*)$')
end

-- Puts held jobs back to where they waited. Nobody is woken: whoever looked knows when leases lapse.
local function put_back(group, kind, ids)
  local queue = group .. ':' .. kind
  local held = redis.call('HMGET', queue .. ':h', unpack(ids))
  for n, id in ipairs(ids) do
    local _, lane, due = held_parts(held[n])
    if lane then
      redis.call('ZADD', queue .. ':w' .. lane, due, id)
    end
  end
  redis.call('ZREM', queue .. ':l', unpack(ids))
  redis.call('HDEL', queue .. ':h', unpack(ids))
end

local function return_lapsed(group, kind)
  while true do
    local ids = redis.call('ZRANGEBYSCORE', group .. ':' .. kind .. ':l', '-inf', whole(now), 'LIMIT', 0, 500)
    if #ids == 0 then
      return
    end
    put_back(group, kind, ids)
  end
end

local function is_held(group, kind, id, token)
  local queue = group .. ':' .. kind
  local held = redis.call('HGET', queue .. ':h', id)
  if not held or string.match(held, '^%d+') ~= token then
    return false
  end
  local lapses = redis.call('ZSCORE', queue .. ':l', id)
  return lapses and tonumber(lapses) > now
end

-- Lane and due time of a job that waits, also of one whose lease has lapsed; nothing where it does not.
local function waiting(group, kind, id)
  local queue = group .. ':' .. kind
  for lane = 0, 2 do
    local due = redis.call('ZSCORE', queue .. ':w' .. lane, id)
    if due then
      return lane, tonumber(due)
    end
  end
  local lapses = redis.call('ZSCORE', queue .. ':l', id)
  if lapses and tonumber(lapses) <= now then
    local _, lane, due = held_parts(redis.call('HGET', queue .. ':h', id))
    return tonumber(lane), tonumber(due)
  end
  return nil
end

local function head(key)
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return tonumber(first[2])
end

local function earliest(keys)
  local found = nil
  for _, key in ipairs(keys) do
    local due = head(key)
    if due and (not found or due < found) then
      found = due
    end
  end
  return found
end

-- Records begin with the time until which they are kept, in 16 digits.
local NEVER = '9999999999999999'

local function kept_until(key)
  return tonumber(redis.call('GETRANGE', key, 0, 15))
end

local function is_live(key)
  local till = kept_until(key)
  return till and till > now
end

local function forget_at(till)
  return whole(math.max(1, tonumber(till) + ahead))
end

local function put(key, till, value)
  if till == NEVER then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PXAT', forget_at(till))
  end
end

-- Small records: a hash and an order by id for each owner, and for each place an order by when their time is over.
local function record_names(place, kind, owner, id)
  local of_owner = place .. ':k:' .. kind .. ':' .. owner
  return of_owner, of_owner .. ':ids', table.concat({ kind, #owner, owner .. id }, ':')
end

-- Dead jobs: `until tries died length`, a reason of that length and the job.
local function forget_dead(group, kind, id)
  redis.call('ZREM', group .. ':deadline', kind .. ':' .. id)
  redis.call('ZREM', group .. ':' .. kind .. ':d', id)
  redis.call('HDEL', group .. ':dead', id)
end
