-- What wrk asks, and what has to come: `wrk -s load.lua -t64 -c64 ... URL -- FILE PATH`, a thread for each connection.
-- A line of FILE is a request: its body, the tokens and the texts in it, and how each answer's base64 begins, with tabs
-- in between. Thread N of T asks for every T-th of them, from the N-th on; so no text is under way twice.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
  for _, one in ipairs(threads) do
    one:set("count", #threads)
  end
end

function init(args)
  asked, wrong, refused, tokens, texts = 0, 0, 0, 0, 0
  requests, at = {}, 0
  local row = 0
  for line in io.lines(args[1]) do
    if row % count == number then
      local cells = {}
      for cell in line:gmatch("[^\t]+") do
        table.insert(cells, cell)
      end
      local headers = { ["Content-Type"] = "application/json" }
      local request = wrk.format("POST", args[2], headers, cells[1])
      table.insert(requests, { request = request, tokens = cells[2], texts = cells[3], cells = cells })
    end
    row = row + 1
  end
end

function request()
  at, asked = at % #requests + 1, asked + 1
  return requests[at].request
end

function response(status, headers, body)
  local sent = requests[at]
  if status ~= 200 then
    refused = refused + 1
    return
  end
  tokens, texts = tokens + sent.tokens, texts + sent.texts
  local place = 1
  for cell = 4, #sent.cells do
    local _, found = body:find('"embedding":"' .. sent.cells[cell], place, true)
    if not found then
      wrong = wrong + 1
    end
    place = found or place
  end
end

function done(summary, latency)
  local sums = { asked = 0, wrong = 0, refused = 0, tokens = 0, texts = 0 }
  for _, thread in ipairs(threads) do
    for name, sum in pairs(sums) do
      sums[name] = sum + thread:get(name)
    end
  end
  local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format(
    '\n{"requests": %d, "asked": %d, "wrong": %d, "refused": %d, "tokens": %d, "texts": %d, "broken": %d, '
      .. '"seconds": %f, "p50_ms": %f, "p99_ms": %f}',
    summary.requests, sums.asked, sums.wrong, sums.refused, sums.tokens, sums.texts, broken,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
