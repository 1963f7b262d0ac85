-- Commands with many values, in chunks: unpack() has a limit of about 8000.

local CHUNK = 2000

local function in_chunks(command, key, values)
  for first = 1, #values, CHUNK do
    redis.call(command, key, unpack(values, first, math.min(first + CHUNK - 1, #values)))
  end
end
