-- A batch, or the part of it that belongs here: checks first, then changes; nothing is changed where a check fails.
-- KEYS[1] is where marks of commits are kept; further keys are named by their number.
-- ARGV: now, mark, how it comes here, channel of rings, then operations. `0` says that it comes for the first time, `1`
-- that it may have been done already, `2` that it is made up for long after: then what makes no sense any more is left.
-- Answers 0, or the number of the check that failed.

local mark, repeated, channel = ARGV[2], ARGV[3], ARGV[4]
local at = 4

local function arg()
  at = at + 1
  return ARGV[at]
end

local function key()
  return KEYS[tonumber(arg())]
end

if repeated ~= '0' then
  local bucket = math.floor(real / 15000)
  for back = 0, 3 do
    local done = KEYS[1] .. ':' .. (bucket - back)
    if redis.call('SISMEMBER', done, mark) == 1 then
      -- A change on this connection, for those who wait for replicas.
      redis.call('PEXPIRE', done, 120000)
      return 0
    end
  end
end

local checks = {
  -- No live record is there.
  absent = function()
    return not is_live(key())
  end,
  -- A live record of that version is there.
  version = function()
    local record, version = key(), arg()
    return is_live(record) and redis.call('GETRANGE', record, 16, 35) == version
  end,
  -- The latest revision of a template is that one; empty: there is none.
  latest = function()
    local record, revision = key(), arg()
    if not is_live(record) then
      return revision == ''
    end
    return redis.call('GETRANGE', record, 16, 31) == revision
  end,
  -- No job of that id is there.
  nojob = function()
    local group, id = key(), arg()
    return redis.call('HEXISTS', group .. ':jobs', id) == 0 and redis.call('HEXISTS', group .. ':dead', id) == 0
  end,
  -- A dead job of that id is there.
  dead = function()
    local group, kind, id = key(), arg(), arg()
    return redis.call('ZSCORE', group .. ':' .. kind .. ':d', id) ~= false
  end,
  -- A job of that id waits in nobody's hands.
  waits = function()
    local group, kind, id = key(), arg(), arg()
    return waiting(group, kind, id) ~= nil
  end,
  -- A small record has that version; empty: there is none.
  record = function()
    local place, kind, owner, id, version = key(), arg(), arg(), arg(), arg()
    local value = redis.call('HGET', (record_names(place, kind, owner, id)), id)
    if not value or tonumber(string.sub(value, 1, 16)) <= now then
      return version == ''
    end
    return string.sub(value, 17, 36) == version
  end,
  -- The lease is held.
  lease = function()
    local group, kind, id, token = key(), arg(), arg(), arg()
    return is_held(group, kind, id, token)
  end,
}

-- Takes a job out of its worker's hands. Gives back its lane; nothing where it is in nobody's hands any more.
local function take_back(group, kind, id, token)
  local queue = group .. ':' .. kind
  if repeated == '2' and not is_held(group, kind, id, token) then
    return nil
  end
  local _, lane = held_parts(redis.call('HGET', queue .. ':h', id))
  redis.call('HDEL', queue .. ':h', id)
  redis.call('ZREM', queue .. ':l', id)
  return lane or '1'
end

-- Takes a waiting job out of its queue. Gives back its lane and due time; nothing where it does not wait any more.
local function take(group, kind, id)
  local lane, due = waiting(group, kind, id)
  if lane then
    local queue = group .. ':' .. kind
    redis.call('ZREM', queue .. ':w' .. lane, id)
    redis.call('HDEL', queue .. ':h', id)
    redis.call('ZREM', queue .. ':l', id)
  end
  return lane, due
end

local changes = {
  put = function()
    local record, value = key(), arg()
    put(record, string.sub(value, 1, 16), value)
  end,
  -- A new message has its place among those of its group; sweep.lua takes it away again.
  list = function()
    local group, id = key(), arg()
    redis.call('ZADD', group .. ':ids', 0, id)
  end,
  -- Replaces a record that is there, which is kept at least as long as before.
  renew = function()
    local record, value = key(), arg()
    local before = redis.call('GETRANGE', record, 0, 15)
    if before ~= '' and tonumber(before) > now then
      local till = string.sub(value, 1, 16)
      if before > till then
        till = before
      end
      put(record, till, till .. string.sub(value, 17))
    end
  end,
  -- Keeps a record that is there at least until then.
  keep = function()
    local record, till = key(), arg()
    local before = redis.call('GETRANGE', record, 0, 15)
    if before ~= '' and tonumber(before) > now and before < till then
      redis.call('SETRANGE', record, 0, till)
      redis.call('PEXPIREAT', record, forget_at(till))
    end
  end,
  drop = function()
    redis.call('DEL', key())
  end,
  claim = function()
    local index, till, digest = key(), arg(), arg()
    redis.call('ZADD', index, 'GT', till, digest)
  end,
  enqueue = function()
    local group, kind, id, lane, due, job = key(), arg(), arg(), arg(), arg(), arg()
    if repeated == '2' and redis.call('HEXISTS', group .. ':jobs', id) == 1 then
      return
    end
    redis.call('HSET', group .. ':jobs', id, job)
    queued(group, kind, id, lane, due)
  end,
  finish = function()
    local group, kind, id, token = key(), arg(), arg(), arg()
    if take_back(group, kind, id, token) then
      redis.call('HDEL', group .. ':jobs', id)
      redis.call('HDEL', group .. ':tries', id)
    end
  end,
  back = function()
    local group, kind, id, token, due, failed = key(), arg(), arg(), arg(), arg(), arg()
    local lane = take_back(group, kind, id, token)
    if not lane then
      return
    end
    if failed == '1' then
      redis.call('HINCRBY', group .. ':tries', id, 1)
    end
    queued(group, kind, id, lane, due)
  end,
  bury = function()
    local group, kind, id, token, till, reason = key(), arg(), arg(), arg(), arg(), arg()
    if not take_back(group, kind, id, token) then
      return
    end
    local job = redis.call('HGET', group .. ':jobs', id) or ''
    local tries = (redis.call('HGET', group .. ':tries', id) or 0) + 1
    redis.call('HDEL', group .. ':jobs', id)
    redis.call('HDEL', group .. ':tries', id)
    local about = table.concat({ till, whole(tries), whole(now), #reason, '' }, ' ')
    redis.call('HSET', group .. ':dead', id, about .. reason .. job)
    redis.call('ZADD', group .. ':' .. kind .. ':d', 0, id)
    redis.call('ZADD', group .. ':deadline', tonumber(till), kind .. ':' .. id)
  end,
  revive = function()
    local group, kind, id = key(), arg(), arg()
    local dead = redis.call('HGET', group .. ':dead', id) or ''
    local length, from = string.match(dead, '^%d+ %d+ %d+ (%d+) ()')
    forget_dead(group, kind, id)
    if length then
      redis.call('HSET', group .. ':jobs', id, string.sub(dead, from + length))
      queued(group, kind, id, 1, whole(now))
    end
  end,
  discard = function()
    local group, kind, id = key(), arg(), arg()
    forget_dead(group, kind, id)
  end,
  hasten = function()
    local group, kind, id = key(), arg(), arg()
    local lane, due = take(group, kind, id)
    if lane then
      queued(group, kind, id, lane, whole(math.min(due, now)))
    end
  end,
  remove = function()
    local group, kind, id = key(), arg(), arg()
    if take(group, kind, id) then
      redis.call('HDEL', group .. ':jobs', id)
      redis.call('HDEL', group .. ':tries', id)
    end
  end,
  pause = function()
    local group, kind, pause = key(), arg(), arg()
    redis.call('HSET', group .. ':pauses', kind, pause)
  end,
  resume = function()
    local group, kind = key(), arg()
    redis.call('HDEL', group .. ':pauses', kind)
    ring(group, kind, now, true)
  end,
  file = function()
    local place, kind, owner, id, value = key(), arg(), arg(), arg(), arg()
    local records, ids, member = record_names(place, kind, owner, id)
    redis.call('HSET', records, id, value)
    redis.call('ZADD', ids, 0, id)
    redis.call('ZADD', place .. ':kx', tonumber(string.sub(value, 1, 16)), member)
  end,
  unfile = function()
    local place, kind, owner, id = key(), arg(), arg(), arg()
    local records, ids, member = record_names(place, kind, owner, id)
    redis.call('HDEL', records, id)
    redis.call('ZREM', ids, id)
    redis.call('ZREM', place .. ':kx', member)
  end,
  -- Another server has something to do still; see owed.lua.
  owe = function()
    local place, debt, what = arg(), arg(), arg()
    redis.call('HSET', place .. ':owed', debt, string.format('%016.0f', real) .. what)
  end,
  tally = function()
    local place, owner, till, count = key(), arg(), arg(), tonumber(arg())
    local tally = place .. ':y:' .. owner
    local before = redis.call('ZSCORE', place .. ':yx', owner)
    if before and tonumber(before) <= now then
      redis.call('DEL', tally)
      redis.call('ZREM', place .. ':yx', owner)
    end
    redis.call('ZADD', place .. ':yx', 'GT', till, owner)
    for _ = 1, count do
      -- A counter that is at its end stays there.
      local name, add = arg(), arg()
      redis.pcall('HINCRBY', tally, name, add)
    end
  end,
}

local checked = 0
while at < #ARGV and checks[ARGV[at + 1]] do
  checked = checked + 1
  if not checks[arg()]() then
    return checked
  end
end
local changed = at < #ARGV
while at < #ARGV do
  changes[arg()]()
end
if changed then
  ring_all(channel)
  local done = KEYS[1] .. ':' .. math.floor(real / 15000)
  if redis.call('SADD', done, mark) == 1 and redis.call('SCARD', done) == 1 then
    redis.call('PEXPIRE', done, 120000)
  end
end
return 0
