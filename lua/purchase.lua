-- Sell from one event, in order, and bring it up to what the ledger says of it.
--
-- KEYS  1   meta     hash: seq, fence, how many tickets there are of each kind, and what the sale is for
--       2   records  hash: request id -> record, one line of JSON (described in records.py)
--       3.. queues   lists: names of the tickets that are left, the next one first; those that this call needs
-- ARGV  1  a flat JSON array: the seq that the caller's table has reached before all this; an array of what stands
--          behind "issued", "sold", "held" and "removed" in meta, for each queue; then for each command five values:
--            sale       offset at home, request id, and how many tickets of the first queue, or an array of queues
--            hold       and quantities in turn; members of the record
--            rejection  offset at home
--            effect     offset at home, and what follows from its fact, as effects.py gives it
--          The values that one does not need are empty.
--
-- Returns a flat array:
--   DECIDED, seq reached, then for each command: code, seq, tickets with commas between
--   MISSING, 0           there is no such event
--   BEHIND, seq          Redis has not reached the caller's seq
--   DAMAGED, 0, text     what is kept cannot be read, or an effect cannot follow it
-- All but the first have written nothing.
--
-- Guarantees. A sale gets all its tickets or none, from the heads of the queues. A command at or below the fence was
-- applied before and changes nothing: a sale is answered from its record, if that has the same offset and nothing has
-- changed it since, all else with DECIDED_BEFORE. Every other command takes the next seq, a rejection too; an effect is
-- applied only at its own. All is written, or nothing. Whether a sale is allowed, and all that is no sale, the caller
-- has decided: here alone it is decided whether there are enough tickets.
--
-- Lua does not roll back. So this reads all that it needs, works out every outcome on the tables below, and then
-- writes, once. Redis refuses a script for want of memory at its first write or not at all, if that write could take
-- memory: so HSET comes first and LTRIM last.

-- include chunks.lua

local META, RECORDS = KEYS[1], KEYS[2]
local call = cjson.decode(ARGV[1])
local caller_seq, suffixes = call[1], call[2]
local FIRST, STRIDE = 3, 5
local FIGURES = {'issued', 'sold', 'held', 'removed'}

local event, queues, records, changed, meta_changes = nil, {}, {}, {}, {}

-- Numbers become text only here: by itself Lua would write 1e+15.
local function digits(number)
  return string.format('%d', number)
end

local function to_number(text)
  return tonumber(text) or error('meta lacks a number', 0)
end

-- Reading

-- The event as it is kept; nil where there is none.
local function read_event()
  local fields = {'seq', 'fence'}
  for _, suffix in ipairs(suffixes) do
    for _, figure in ipairs(FIGURES) do fields[#fields + 1] = figure .. suffix end
  end
  local meta = redis.call('HMGET', META, unpack(fields))
  if not meta[1] then return nil end
  for at = 1, #suffixes do
    local place = 3 + (at - 1) * #FIGURES
    queues[at] = {
      issued = to_number(meta[place]),
      sold = to_number(meta[place + 1]),
      held = tonumber(meta[place + 2] or '0'),
      removed = tonumber(meta[place + 3] or '0'),
      tells_held = meta[place + 2],
      tells_removed = meta[place + 3],
    }
  end
  return {seq = to_number(meta[1]), fence = to_number(meta[2])}
end

-- The head of a queue, up to `wanted` tickets: names[taken + 1] is the next. The whole queue was read if there are
-- fewer; only then can what joins or leaves its tail in this call be reached by a sale.
local function read_queue(at, wanted)
  local queue, key = queues[at], KEYS[at + 2]
  queue.left = queue.issued - queue.sold - queue.held - queue.removed
  if redis.call('LLEN', key) ~= queue.left then
    error('the queue is not as long as what is issued less what is sold', 0)
  end
  queue.names = wanted > 0 and redis.call('LRANGE', key, 0, wanted - 1) or {}
  queue.taken, queue.dropped, queue.whole, queue.joined = 0, 0, #queue.names < wanted, {}
end

-- The records of those sales that may have one. An event has at least that of its creation; and nothing of this
-- must be the first to meet a key of another type.
local function read_records(request_ids)
  if redis.call('HLEN', RECORDS) == 0 then error('the records are gone', 0) end
  for first = 1, #request_ids, CHUNK do
    local last = math.min(first + CHUNK - 1, #request_ids)
    local values = redis.call('HMGET', RECORDS, unpack(request_ids, first, last))
    for at = first, last do
      records[request_ids[at]] = values[at - first + 1] or nil
    end
  end
end

-- Changing a queue

-- The next tickets: their first and last place in its names.
local function take(queue, quantity)
  local first = queue.taken + 1
  queue.taken = queue.taken + quantity
  queue.left = queue.left - quantity
  return first, queue.taken
end

local function join(queue, name)
  queue.joined[#queue.joined + 1] = name
  if queue.whole then queue.names[#queue.names + 1] = name end
  queue.left = queue.left + 1
end

-- Tickets leave the tail: those that joined it in this call first.
local function drop(queue, count)
  if count > queue.left then error('fewer tickets are left than are removed', 0) end
  for _ = 1, count do
    if #queue.joined > 0 then table.remove(queue.joined) else queue.dropped = queue.dropped + 1 end
    if queue.whole then table.remove(queue.names) end
  end
  queue.left = queue.left - count
end

local function remember(request_id, record)
  records[request_id] = record
  changed[#changed + 1] = request_id
end

-- Deciding

-- What a sale wants is how many tickets of the first queue, as nearly all want; or queues and how many of each, in turn.
local function are_left(wanted)
  if type(wanted) == 'number' then return queues[1].left >= wanted end
  for at = 1, #wanted, 2 do
    if queues[wanted[at]].left < wanted[at + 1] then return false end
  end
  return true
end

local function sell_of(queue, figure, quantity)
  local first, last = take(queue, quantity)
  queue[figure] = queue[figure] + quantity
  return table.concat(queue.names, ',', first, last)
end

local function sell_all(figure, wanted)
  if type(wanted) == 'number' then return sell_of(queues[1], figure, wanted) end
  local names = {}
  for at = 1, #wanted, 2 do names[#names + 1] = sell_of(queues[wanted[at]], figure, wanted[at + 1]) end
  return table.concat(names, ',')
end

local function sell(kind, request_id, wanted, members)
  if not are_left(wanted) then return Code.SHORT end
  local tickets = sell_all(kind == 'hold' and 'held' or 'sold', wanted)
  local named = string.gsub(tickets, ',', '","')
  remember(
    request_id, '{"type":"purchase","seq":' .. digits(event.seq) .. members .. ',"tickets":["' .. named .. '"]}'
  )
  return Code.SOLD, tickets
end

-- What one fact does to one queue, as effects.py gives it.
local function change_queue(change)
  local queue = queues[change.queue]
  for _, figure in ipairs(FIGURES) do queue[figure] = queue[figure] + (change[figure] or 0) end
  if change.take then
    local first, last = take(queue, change.count)
    if queue.left < 0 or table.concat(queue.names, ',', first, last) ~= change.take then
      error('the queue has another head', 0)
    end
  end
  for name in string.gmatch(change.join or '', '[^,]+') do join(queue, name) end
  if change.add then
    local prefix, first, last = unpack(change.add)
    for number = first, last do join(queue, string.format('%s%06d', prefix, number)) end
  end
  if change.drop then drop(queue, change.drop) end
  if change.tell then queue.tells_held, queue.tells_removed = true, true end
end

local function apply(effect)
  if effect.seq ~= event.seq then error('a seq is missing', 0) end
  for _, change in ipairs(effect.queues) do change_queue(change) end
  for at = 1, #effect.records, 2 do remember(effect.records[at], effect.records[at + 1]) end
  for _, value in ipairs(effect.meta) do meta_changes[#meta_changes + 1] = value end
  return Code.APPLIED
end

local function decide_next(kind, offset, request_id, operand, members)
  event.seq = event.seq + 1
  event.fence = offset
  if kind == 'rejection' then return Code.COUNTED, event.seq end
  if kind == 'effect' then return apply(operand), event.seq end
  local code, tickets = sell(kind, request_id, operand, members)
  return code, event.seq, tickets
end

local function answer_before(kind, offset, request_id)
  local text = (kind == 'sale' or kind == 'hold') and records[request_id]
  local record = text and cjson.decode(text)
  if not record or record.offset ~= offset or record.by or record.cancelled_by then return Code.DECIDED_BEFORE, 0 end
  local seq = tonumber(record.seq) or error('a record is of no known type', 0)
  return Code.SOLD, seq, table.concat(record.tickets or {}, ',')
end

-- The request ids of sales that may have records, and how many names each queue has to show: what sales and effects
-- can take, and as many more as effects remove from its tail.
local function needs()
  local request_ids, wanted = {}, {}
  for at = 1, #suffixes do wanted[at] = 0 end
  for at = FIRST, #call, STRIDE do
    local kind, offset, request_id, operand = unpack(call, at, at + STRIDE - 2)
    local is_new = offset > event.fence
    local is_sale = kind == 'sale' or kind == 'hold'
    if is_sale and not is_new then
      request_ids[#request_ids + 1] = request_id
    elseif is_sale and type(operand) == 'number' then
      wanted[1] = wanted[1] + operand
    elseif is_sale then
      for line = 1, #operand, 2 do wanted[operand[line]] = wanted[operand[line]] + operand[line + 1] end
    elseif kind == 'effect' and is_new then
      for _, change in ipairs(operand.queues) do
        wanted[change.queue] = wanted[change.queue] + (change.take and change.count or 0) + (change.drop or 0)
      end
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
  read_records(request_ids)
  for at = 1, #suffixes do read_queue(at, wanted[at]) end
  for at = FIRST, #call, STRIDE do
    local kind, offset, request_id, operand, members = unpack(call, at, at + STRIDE - 1)
    local code, seq, tickets
    if offset <= event.fence then
      code, seq, tickets = answer_before(kind, offset, request_id)
    else
      code, seq, tickets = decide_next(kind, offset, request_id, operand, members)
    end
    answers[#answers + 1] = code
    answers[#answers + 1] = seq
    answers[#answers + 1] = tickets or ''
  end
  answers[2] = event.seq
end

-- Writing

local function changed_meta()
  local values = {'seq', digits(event.seq), 'fence', digits(event.fence)}
  local function set(field, number)
    values[#values + 1] = field
    values[#values + 1] = digits(number)
  end
  for at, suffix in ipairs(suffixes) do
    local queue = queues[at]
    set('issued' .. suffix, queue.issued)
    set('sold' .. suffix, queue.sold)
    if queue.tells_held or queue.held > 0 then set('held' .. suffix, queue.held) end
    if queue.tells_removed or queue.removed > 0 then set('removed' .. suffix, queue.removed) end
  end
  for _, value in ipairs(meta_changes) do values[#values + 1] = value end
  return values
end

local function changed_records()
  local fields_and_values = {}
  for _, request_id in ipairs(changed) do
    fields_and_values[#fields_and_values + 1] = request_id
    fields_and_values[#fields_and_values + 1] = records[request_id]
  end
  return fields_and_values
end

local function write()
  in_chunks('HSET', RECORDS, changed_records())
  in_chunks('HSET', META, changed_meta())
  for at, queue in ipairs(queues) do
    if queue.dropped > 0 then redis.call('LTRIM', KEYS[at + 2], '0', digits(-queue.dropped - 1)) end
    in_chunks('RPUSH', KEYS[at + 2], queue.joined)
    if queue.taken > 0 then redis.call('LTRIM', KEYS[at + 2], digits(queue.taken), '-1') end
  end
end

-- What cannot be read, or what cannot be, since somebody else wrote or evicted these keys, is damage that a rebuild
-- mends, and no failure of Redis.
local readable, complaint = pcall(decide_all)
if not readable then return {Code.DAMAGED, 0, tostring(complaint)} end
if answers[1] == Code.DECIDED then write() end
return answers
