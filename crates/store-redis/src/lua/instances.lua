-- All instances. KEYS[1] are all instances. ARGV: now. Answers the present, then id and what it said for each.

local answer = redis.call('HGETALL', KEYS[1])
table.insert(answer, 1, whole(now))
return answer
