-- An instance tells of itself. KEYS[1] are all instances. ARGV: now, id, how long that is good for, what it says.

redis.call('HSET', KEYS[1], ARGV[2], whole(now + tonumber(ARGV[3])) .. ' ' .. ARGV[4])
return 0
