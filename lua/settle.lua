-- Bring an event up to the ledger: apply facts in order.
--
-- KEYS  the event's keys, as shared.lua lists them
-- ARGV  1  a flat JSON array, for each fact seven values: the type of its record or "rejection", seq,
--          offset at home, request id, operand (a purchase's quantity, a cancellation's purchase, an
--          addition's count), tickets with commas between, and record members
--       2  the event's id
--
-- Returns a flat array:
--   SETTLED, seq reached
--   MISSING, 0           there is no such event; nothing was written
--   DAMAGED, seq reached, text   the next fact cannot follow; those before it were applied
--   DAMAGED, 0, text     what is kept cannot be read; nothing was written
--
-- Guarantees. A fact whose seq was reached before is skipped. Every other is applied only if its seq is
-- the next, what it sells is the head of the queue, and what it cancels is a purchase of just those
-- tickets, not cancelled yet.

-- include shared.lua

local facts, event_id = cjson.decode(ARGV[1]), ARGV[2]
local STRIDE = 7

-- One function to each type of fact: what is wrong with it, or nil once it is applied
local apply = {}

function apply.purchase(seq, request_id, quantity, tickets, members)
  if quantity > left() then return 'the queue is too short' end
  if table.concat(queue.names, ',', queue.taken + 1, queue.taken + quantity) ~= tickets then
    return 'the queue has another head'
  end
  accept_purchase(seq, request_id, quantity, members)
end

function apply.cancellation(seq, request_id, purchase, tickets, members)
  local found = find_purchase(purchase)
  if not found or found.cancelled_by or table.concat(found.tickets, ',') ~= tickets then
    return 'there is no such purchase to cancel'
  end
  accept_cancellation(seq, request_id, purchase, found.tickets, members)
end

function apply.addition(seq, request_id, count, _, members)
  accept_addition(seq, request_id, event_id, count, members)
end

function apply.closing(seq, request_id, _, _, members)
  accept_closing(seq, request_id, members)
end

function apply.creation()
  return 'the event exists'
end

function apply.rejection()
end

local function apply_next(kind, seq, offset, request_id, operand, tickets, members)
  if seq ~= event.seq + 1 then return 'a seq is missing' end
  local wrong = apply[kind](seq, request_id, operand, tickets, members)
  if wrong then return wrong end
  event.seq = seq
  event.fence = offset
end

-- The request ids of the purchases that are cancelled, and how many tickets are sold.
local function needs()
  local request_ids, wanted = {}, 0
  for at = 1, #facts, STRIDE do
    local kind, seq, operand = facts[at], facts[at + 1], facts[at + 4]
    if seq > event.seq and kind == 'cancellation' then
      request_ids[#request_ids + 1] = operand
    elseif seq > event.seq and kind == 'purchase' then
      wanted = wanted + operand
    end
  end
  return request_ids, wanted
end

local reply, seq_before

local function apply_all()
  event = read_event()
  if not event then
    reply = {Code.MISSING, 0}
    return
  end
  seq_before = event.seq
  local request_ids, wanted = needs()
  records, changed, queue = read_records(request_ids), {}, read_queue(wanted)
  for at = 1, #facts, STRIDE do
    local wrong = facts[at + 1] > event.seq and apply_next(unpack(facts, at, at + STRIDE - 1))
    if wrong then
      reply = {Code.DAMAGED, event.seq, wrong}
      return
    end
  end
  reply = {Code.SETTLED, event.seq}
end

local damage = work_out(apply_all)
if damage then return damage end
if event and event.seq > seq_before then write() end
return reply
