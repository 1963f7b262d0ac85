-- What purchase.lua and settle.lua share: an event as it is read, changed in memory, and written.
--
-- KEYS  1 tickets    list: names of the tickets that are left, the next one first
--       2 meta       hash: seq, fence, issued, sold, closed, max_per_order, and what the sale is for
--       3 purchases  hash: request id -> record, one line of JSON (described in records.py)
--
-- Lua does not roll back. So a script reads all that it needs, works out every outcome on the tables
-- below, and then calls write(), once: either nothing of a call happens or all of it. Only write() may
-- change anything. Redis refuses a script for want of memory at its first write or not at all, if that
-- write could take memory: so HSET comes first and LTRIM last.

-- include chunks.lua

local TICKETS, META, PURCHASES = KEYS[1], KEYS[2], KEYS[3]

local event, records, changed, queue

-- Numbers become text only here: by itself Lua would write 1e+15.
local function digits(number)
  return string.format('%d', number)
end

local function to_number(text)
  return tonumber(text) or error('meta lacks a number', 0)
end

-- The event as it is kept; nil where there is none.
local function read_event()
  local meta = redis.call('HMGET', META, 'seq', 'fence', 'issued', 'sold', 'closed', 'max_per_order')
  if not meta[1] then return nil end
  return {
    seq = to_number(meta[1]),
    fence = to_number(meta[2]),
    issued = to_number(meta[3]),
    sold = to_number(meta[4]),
    closed = to_number(meta[5]) == 1,
    limit = tonumber(meta[6] or ''), -- nil: no limit
  }
end

-- The records of those requests that have one. An event has at least that of its creation; and write() must
-- not be the first to meet a key of another type.
local function read_records(request_ids)
  local found = {}
  if redis.call('HLEN', PURCHASES) == 0 then error('the records are gone', 0) end
  for first = 1, #request_ids, CHUNK do
    local last = math.min(first + CHUNK - 1, #request_ids)
    local values = redis.call('HMGET', PURCHASES, unpack(request_ids, first, last))
    for at = first, last do
      found[request_ids[at]] = values[at - first + 1] or nil
    end
  end
  return found
end

-- The head of the queue, up to `wanted` tickets: names[taken + 1] is the next. The whole queue was read
-- if there are fewer; only then can tickets that come back in this call be reached by it, at the tail.
local function read_queue(wanted)
  if redis.call('LLEN', TICKETS) ~= event.issued - event.sold then
    error('the queue is not as long as what is issued less what is sold', 0)
  end
  local names = wanted > 0 and redis.call('LRANGE', TICKETS, 0, wanted - 1) or {}
  return {names = names, taken = 0, whole = #names < wanted, joined = {}}
end

-- How many tickets can be taken: exact if the whole queue was read, else enough for every purchase.
local function left()
  return #queue.names - queue.taken
end

-- Take the next tickets: their first and last place in queue.names.
local function take(quantity)
  local first = queue.taken + 1
  queue.taken = queue.taken + quantity
  event.sold = event.sold + quantity
  return first, queue.taken
end

-- A ticket joins the tail.
local function join(name)
  queue.joined[#queue.joined + 1] = name
  if queue.whole then queue.names[#queue.names + 1] = name end
end

local function remember(request_id, record)
  records[request_id] = record
  changed[#changed + 1] = request_id
end

-- Accepting: each changes the event, the queue and the records as the rules say

local function accept_purchase(seq, request_id, quantity, members)
  local first, last = take(quantity)
  local named = table.concat(queue.names, '","', first, last)
  remember(request_id, '{"type":"purchase","seq":' .. digits(seq) .. members .. ',"tickets":["' .. named .. '"]}')
  return table.concat(queue.names, ',', first, last)
end

local function accept_cancellation(seq, request_id, purchase, tickets, members)
  for _, name in ipairs(tickets) do join(name) end
  event.sold = event.sold - #tickets
  remember(purchase, string.sub(records[purchase], 1, -2) .. ',"cancelled_by":"' .. request_id .. '"}')
  remember(request_id, '{"type":"cancellation","seq":' .. digits(seq) .. members .. '}')
end

local function accept_addition(seq, request_id, event_id, count, members)
  for number = event.issued + 1, event.issued + count do
    join(string.format('%s-%06d', event_id, number))
  end
  event.issued = event.issued + count
  remember(request_id, '{"type":"addition","seq":' .. digits(seq) .. members .. '}')
end

local function accept_closing(seq, request_id, members)
  event.closed = true
  remember(request_id, '{"type":"closing","seq":' .. digits(seq) .. members .. '}')
end

-- The purchase of that request id, decoded; nil where there is none.
local function find_purchase(request_id)
  local record = records[request_id] and cjson.decode(records[request_id])
  return record and record.type == 'purchase' and record or nil
end

-- Writing

local function changed_records()
  local fields_and_values = {}
  for _, request_id in ipairs(changed) do
    fields_and_values[#fields_and_values + 1] = request_id
    fields_and_values[#fields_and_values + 1] = records[request_id]
  end
  return fields_and_values
end

local function write()
  in_chunks('HSET', PURCHASES, changed_records())
  redis.call(
    'HSET', META, 'seq', digits(event.seq), 'fence', digits(event.fence), 'issued', digits(event.issued),
    'sold', digits(event.sold), 'closed', event.closed and '1' or '0'
  )
  in_chunks('RPUSH', TICKETS, queue.joined)
  if queue.taken > 0 then redis.call('LTRIM', TICKETS, digits(queue.taken), '-1') end
end

-- Run `work`, which may not write. What it cannot read, or what cannot be, since somebody else wrote or
-- evicted these keys, is damage that a rebuild mends, and no failure of Redis.
local function work_out(work)
  local readable, complaint = pcall(work)
  return not readable and {Code.DAMAGED, 0, tostring(complaint)} or nil
end
