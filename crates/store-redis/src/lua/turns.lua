-- Reserves turns at a distance. KEYS[1] is the group. ARGV: now, how many, distance in microseconds.
-- Answers the microseconds until the first one. Goes by the server's time, whatever time is given.

local present = clock[1] * 1000000 + clock[2]
local first = math.max(present, tonumber(redis.call('GET', KEYS[1] .. ':turn') or 0))
redis.call('SET', KEYS[1] .. ':turn', whole(first + ARGV[2] * ARGV[3]))
return whole(first - present)
