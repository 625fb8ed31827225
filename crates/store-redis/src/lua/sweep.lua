-- Forgets what is over. KEYS are places. ARGV: now, how many of each kind at most.
-- Answers how many dead jobs, records and tallies, and the digests of blobs that nobody claims any more.

local most = tonumber(ARGV[2])

local function over(index, left)
  if left <= 0 then
    return {}
  end
  return redis.call('ZRANGEBYSCORE', index, '-inf', whole(now), 'LIMIT', 0, left)
end

local dead, records, tallies, blobs = 0, 0, 0, {}
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
  for _, digest in ipairs(over(place .. ':blobs', most - #blobs)) do
    redis.call('ZREM', place .. ':blobs', digest)
    blobs[#blobs + 1] = digest
  end
end
return { dead, records, tallies, blobs }
