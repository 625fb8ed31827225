-- Holds a queue back. KEYS[1] is the group. ARGV: now, kind, until when. The latest time counts.

local holds, kind = KEYS[1] .. ':holds', ARGV[2]
local before = tonumber(redis.call('HGET', holds, kind) or '')
if not before or before < tonumber(ARGV[3]) then
  redis.call('HSET', holds, kind, ARGV[3])
end
return 0
