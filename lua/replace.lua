-- Switch an event that was loaded beside the live one in, in one step.
--
-- KEYS  the event's keys: meta, records, then the queues; and the same as they were loaded
-- ARGV  1    the seq of what was loaded
--       2    1: put it in the place of whatever is there
--       3    how many records were loaded
--       4..  how many tickets of each queue
--
-- Returns an array:
--   REPLACED, seq    what was loaded is the event now
--   NEWER, seq       the event has a higher seq and a higher fence, and stays; unless ARGV[2] is 1
--   INCOMPLETE, 0    part of what was loaded has expired; the event stays
--
-- Guarantees. Nobody sees a part of the switch. Afterwards no loading key is left, and the live ones do
-- not expire. Where nothing was loaded (no tickets are left) there is no live key either. It takes no
-- time that grows with the event, and no memory, so it also works in a Redis that is full.

local COUNT = #KEYS / 2
local LIVE_META, LOADED_META = KEYS[1], KEYS[COUNT + 1]
local seq = tonumber(ARGV[1])

-- A live key of another type is damage; what was loaded takes its place.
local function live(field)
  local found = redis.pcall('HGET', LIVE_META, field)
  return type(found) == 'string' and tonumber(found) or 0
end

-- A newer event has facts about later commands. A higher seq at no higher fence is damage: those commands
-- are in the ledger that was loaded, with other facts.
local function is_newer()
  return ARGV[2] ~= '1' and live('seq') > seq and live('fence') > (tonumber(redis.call('HGET', LOADED_META, 'fence') or '') or 0)
end

local function is_complete()
  for at = 3, COUNT do
    if redis.call('LLEN', KEYS[COUNT + at]) ~= tonumber(ARGV[at + 1]) then return false end
  end
  return redis.call('HLEN', KEYS[COUNT + 2]) == tonumber(ARGV[3])
    and tonumber(redis.call('HGET', LOADED_META, 'seq') or '') == seq
end

local function unlink(first)
  for at = first, first + COUNT - 1 do redis.call('UNLINK', KEYS[at]) end
end

if is_newer() then
  unlink(COUNT + 1)
  return {Code.NEWER, live('seq')}
end
if not is_complete() then
  unlink(COUNT + 1)
  return {Code.INCOMPLETE, 0}
end

unlink(1)
for at = 1, COUNT do
  if redis.call('EXISTS', KEYS[COUNT + at]) == 1 then
    redis.call('RENAME', KEYS[COUNT + at], KEYS[at])
    redis.call('PERSIST', KEYS[at])
  end
end
return {Code.REPLACED, seq}
