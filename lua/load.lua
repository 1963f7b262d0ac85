-- One step of loading an event beside the live one; replace.lua switches it in.
--
-- KEYS  1-3  the loading keys: tickets, meta, purchases
-- ARGV  1    which of them the values are for: 1, 2 or 3
--       2    a flat JSON array: names of tickets, in order; or fields and values in turn
--       3    seconds after which the loading keys expire, unless another step follows
--
-- Returns nothing.
--
-- Guarantees. No loading key is ever without an expiry: what a load leaves behind that was given up
-- disappears by itself.

-- include chunks.lua

local place, values, expiry_s = tonumber(ARGV[1]), cjson.decode(ARGV[2]), ARGV[3]
local COMMANDS = {'RPUSH', 'HSET', 'HSET'}

in_chunks(COMMANDS[place], KEYS[place], values)
for at = 1, 3 do
  redis.call('EXPIRE', KEYS[at], expiry_s)
end
