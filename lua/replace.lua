-- Switch an event that was loaded beside the live one in, in one step.
--
-- KEYS  1-3  the event's keys: tickets, meta, purchases
--       4-6  the same three as they were loaded
-- ARGV  1    the seq of what was loaded
--       2-3  how many tickets and how many records were loaded
--       4    1: put it in the place of whatever is there
--
-- Returns an array:
--   REPLACED, seq    what was loaded is the event now
--   NEWER, seq       the event has a higher seq and a higher fence, and stays; unless ARGV[4] is 1
--   INCOMPLETE, 0    part of what was loaded has expired; the event stays
--
-- Guarantees. Nobody sees a part of the switch. Afterwards no loading key is left, and the live ones do
-- not expire. Where nothing was loaded (no tickets are left) there is no live key either. It takes no
-- time that grows with the event, and no memory, so it also works in a Redis that is full.

local LIVE_META, LOADED_META = KEYS[2], KEYS[5]
local seq, tickets, records = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- A live key of another type is damage; what was loaded takes its place.
local function live(field)
  local found = redis.pcall('HGET', LIVE_META, field)
  return type(found) == 'string' and tonumber(found) or 0
end

-- A newer event has facts about later commands. A higher seq at no higher fence is damage: those commands
-- are in the ledger that was loaded, with other facts.
local function is_newer()
  return ARGV[4] ~= '1' and live('seq') > seq and live('fence') > (tonumber(redis.call('HGET', LOADED_META, 'fence') or '') or 0)
end

local function is_complete()
  return redis.call('LLEN', KEYS[4]) == tickets
    and redis.call('HLEN', KEYS[6]) == records
    and tonumber(redis.call('HGET', LOADED_META, 'seq') or '') == seq
end

if is_newer() then
  redis.call('UNLINK', KEYS[4], KEYS[5], KEYS[6])
  return {Code.NEWER, live('seq')}
end
if not is_complete() then
  redis.call('UNLINK', KEYS[4], KEYS[5], KEYS[6])
  return {Code.INCOMPLETE, 0}
end

redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
for at = 1, 3 do
  if redis.call('EXISTS', KEYS[at + 3]) == 1 then
    redis.call('RENAME', KEYS[at + 3], KEYS[at])
    redis.call('PERSIST', KEYS[at])
  end
end
return {Code.REPLACED, seq}
