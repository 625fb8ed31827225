-- The counters of a tally. KEYS[1] is the place. ARGV: now, owner. Answers name and number of each.

local till = redis.call('ZSCORE', KEYS[1] .. ':yx', ARGV[2])
if not till or tonumber(till) <= now then
  return {}
end
return redis.call('HGETALL', KEYS[1] .. ':y:' .. ARGV[2])
