-- Decide commands for one event, in order, as models/inventory.py decides them.
--
-- KEYS  the event's keys, as shared.lua lists them
-- ARGV  1  a flat JSON array: the seq that the caller's table has reached; the event's id; then for each
--          command five values: its type as in a record, offset at home, request id, operand
--          (a purchase's quantity, an addition's count, a cancellation's purchase, with a space and the
--          buyer behind it if it must be that buyer's) and record members
--
-- Returns a flat array:
--   DECIDED, seq reached, then for each command: code, seq, tickets with commas between
--   MISSING, 0           there is no such event
--   BEHIND, seq          Redis has not reached the caller's seq
--   DAMAGED, 0, text     what is kept cannot be read
-- All but the first have written nothing.
--
-- Guarantees. A command at or below the fence was applied before and changes nothing: it is answered from
-- the record with the same offset, or with DECIDED_BEFORE. Every other command takes the next seq, a
-- rejection too. All is written, or nothing. The caller sends neither a repeat of an accepted request nor
-- a command for an event it does not know.

-- include shared.lua

local call = cjson.decode(ARGV[1])
local caller_seq, event_id = call[1], call[2]
local FIRST, STRIDE = 3, 5

local ANSWERS = {
  creation = Code.CREATED,
  purchase = Code.CONFIRMED,
  cancellation = Code.CANCELLED,
  addition = Code.ADDED,
  closing = Code.CLOSED,
}

-- One function to each type of command: the code, and for a sale or a cancellation the tickets
local decide = {}

function decide.purchase(seq, request_id, quantity, members)
  if event.closed then return Code.EVENT_CLOSED end
  if event.limit and quantity > event.limit then return Code.OVER_ORDER_LIMIT end
  if left() == 0 then return Code.SOLD_OUT end
  if quantity > left() then return Code.NOT_ENOUGH_LEFT end
  return Code.CONFIRMED, accept_purchase(seq, request_id, quantity, members)
end

-- A cancellation's purchase, and the buyer if it names one; a request id has no space.
local function of_cancellation(operand)
  return string.match(operand, '^(%S+) ?(.*)$')
end

function decide.cancellation(seq, request_id, operand, members)
  local purchase, buyer = of_cancellation(operand)
  local found = find_purchase(purchase)
  if not found or (buyer ~= '' and buyer ~= found.buyer) then return Code.NO_SUCH_PURCHASE end
  if found.cancelled_by then return Code.ALREADY_CANCELLED end
  accept_cancellation(seq, request_id, purchase, found.tickets, members)
  return Code.CANCELLED, table.concat(found.tickets, ',')
end

function decide.addition(seq, request_id, count, members)
  if event.closed then return Code.EVENT_CLOSED end
  accept_addition(seq, request_id, event_id, count, members)
  return Code.ADDED
end

function decide.closing(seq, request_id, _, members)
  if event.closed then return Code.EVENT_CLOSED end
  accept_closing(seq, request_id, members)
  return Code.CLOSED
end

function decide.creation()
  return Code.EVENT_EXISTS
end

local function decide_next(kind, offset, request_id, operand, members)
  event.seq = event.seq + 1
  event.fence = offset
  if records[request_id] then return Code.REQUEST_ID_REUSED, event.seq end
  local code, tickets = decide[kind](event.seq, request_id, operand, members)
  return code, event.seq, tickets
end

local function answer_before(offset, request_id)
  local record = records[request_id] and cjson.decode(records[request_id])
  if not record or record.offset ~= offset then return Code.DECIDED_BEFORE, 0 end
  local purchase = record.type == 'cancellation' and find_purchase(record.purchase) or record
  -- A hole in the answer would end it.
  local code, seq = ANSWERS[record.type], tonumber(record.seq)
  if not code or not seq then error('a record is of no known type', 0) end
  return code, seq, table.concat(purchase.tickets or {}, ',')
end

-- The request ids whose records matter, and the most tickets that the new commands can take.
local function needs()
  local request_ids, wanted = {}, 0
  for at = FIRST, #call, STRIDE do
    local kind, offset, request_id, operand = call[at], call[at + 1], call[at + 2], call[at + 3]
    request_ids[#request_ids + 1] = request_id
    if kind == 'cancellation' then
      request_ids[#request_ids + 1] = of_cancellation(operand)
    elseif kind == 'purchase' and offset > event.fence and operand <= (event.limit or operand) then
      wanted = wanted + operand
    end
  end
  return request_ids, wanted
end

local answers

local function decide_all()
  event = read_event()
  if not event then
    answers = {Code.MISSING, 0}
    return
  end
  answers = {Code.DECIDED, event.seq}
  if event.seq < caller_seq then
    answers[1] = Code.BEHIND
    return
  end
  local request_ids, wanted = needs()
  records, changed, queue = read_records(request_ids), {}, read_queue(wanted)
  for at = FIRST, #call, STRIDE do
    local kind, offset, request_id, operand, members = unpack(call, at, at + STRIDE - 1)
    local code, seq, tickets
    if offset <= event.fence then
      code, seq, tickets = answer_before(offset, request_id)
    else
      code, seq, tickets = decide_next(kind, offset, request_id, operand, members)
    end
    answers[#answers + 1] = code
    answers[#answers + 1] = seq
    answers[#answers + 1] = tickets or ''
  end
  answers[2] = event.seq
end

local damage = work_out(decide_all)
if damage then return damage end
if answers[1] == Code.DECIDED then write() end
return answers
