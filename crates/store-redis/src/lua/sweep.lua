-- Forgets what is over. KEYS are places. ARGV: now, how many of each kind at most.
-- Answers how many dead jobs, records, tallies and ids of messages, and the digests of blobs that nobody claims any more.

local most = tonumber(ARGV[2])

local function over(index, left)
  if left <= 0 then
    return {}
  end
  return redis.call('ZRANGEBYSCORE', index, '-inf', whole(now), 'LIMIT', 0, left)
end

local function hex(id)
  return (string.gsub(id, '.', function(octet)
    return string.format('%02x', string.byte(octet))
  end))
end

-- Takes ids away whose messages are gone.
local function strike_off(place, ids)
  local gone = {}
  for _, id in ipairs(ids) do
    if not is_live(place .. ':m:' .. hex(id)) then
      gone[#gone + 1] = id
    end
  end
  if #gone > 0 then
    redis.call('ZREM', place .. ':ids', unpack(gone))
  end
  return #gone
end

-- The server forgets messages by itself, mostly in the order in which they came. So a few of the oldest ids are looked
-- at, and where these have messages still, a few drawn at random, as the server goes about keys that expire: where many
-- of those are gone it is worth looking at more.
local function strike_off_some(place, most)
  local index, few = place .. ':ids', math.min(most, 16)
  local gone = strike_off(place, redis.call('ZRANGE', index, 0, few - 1))
  if gone > 0 and most > few then
    gone = gone + strike_off(place, redis.call('ZRANGE', index, 0, most - few - 1))
  end
  if gone > 0 then
    return gone
  end
  gone = strike_off(place, redis.call('ZRANDMEMBER', index, few))
  if gone * 4 < few then
    return 0
  end
  return gone + strike_off(place, redis.call('ZRANDMEMBER', index, most - few))
end

local dead, records, tallies, ids, blobs = 0, 0, 0, 0, {}
for _, place in ipairs(KEYS) do
  for _, member in ipairs(over(place .. ':deadline', most - dead)) do
    local kind, id = string.match(member, '^(%a+):(.*)$')
    forget_dead(place, kind, id)
    dead = dead + 1
  end
  for _, member in ipairs(over(place .. ':kx', most - records)) do
    local kind, length, from = string.match(member, '^(%a+):(%d+):()')
    local owner, id = string.sub(member, from, from + length - 1), string.sub(member, from + length)
    local of_owner, ids = record_names(place, kind, owner, id)
    redis.call('HDEL', of_owner, id)
    redis.call('ZREM', ids, id)
    redis.call('ZREM', place .. ':kx', member)
    records = records + 1
  end
  for _, owner in ipairs(over(place .. ':yx', most - tallies)) do
    redis.call('DEL', place .. ':y:' .. owner)
    redis.call('ZREM', place .. ':yx', owner)
    tallies = tallies + 1
  end
  if most > ids then
    ids = ids + strike_off_some(place, math.min(most - ids, 1000))
  end
  for _, digest in ipairs(over(place .. ':blobs', most - #blobs)) do
    redis.call('ZREM', place .. ':blobs', digest)
    blobs[#blobs + 1] = digest
  end
end
return { dead, records, tallies, ids, blobs }
