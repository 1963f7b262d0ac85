-- Load a part of an event beside the live one: what is loaded is switched in by replace.lua.
--
-- KEYS  the loading keys: meta, records, then the queues
-- ARGV  1    which of the keys
--       2    a flat JSON array: fields and values in turn; of a queue the names of tickets, in order
--       3    seconds after which the loading keys expire, unless another step follows
--
-- Returns nothing.
--
-- Guarantees. No loading key is ever without an expiry: what a load leaves behind that was given up
-- disappears by itself.

-- include chunks.lua

local place, values, expiry_s = tonumber(ARGV[1]), cjson.decode(ARGV[2]), ARGV[3]

in_chunks(place > 2 and 'RPUSH' or 'HSET', KEYS[place], values)
for at = 1, #KEYS do
  redis.call('EXPIRE', KEYS[at], expiry_s)
end
