-- wrk's requests: one AI call each on the demo upstream, for a customer drawn at random.
--   wrk -s analyze.lua URL -- SUBJECTS - TOKEN
local subjects, token
function init(args)
  subjects = tonumber(args[1])
  token = args[3] and args[3] ~= "" and "Authorization: Bearer " .. args[3] .. "\r\n" or ""
  math.randomseed(os.time())
end

local body = '{"invoiceData":"Invoice INV-2025-0042\\nDate: 2025-01-15\\nFrom: Nordwind GmbH\\nTo: Acme Ltd\\n' ..
  'Consulting 10 x 120.00 = 1200.00\\nTravel 1 x 80.00 = 80.00\\nSubtotal 1280.00\\nVAT 19% 243.20\\nTotal EUR 1523.20"}'

function request()
  return "POST /api/ai/invoice-ocr/analyze HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port .. "\r\n" .. token ..
    "Content-Type: application/json\r\nX-Customer: s" .. math.random(0, subjects - 1) ..
    "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"microseconds":%d,"p50":%.0f,"p99":%.0f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write + e.timeout))
end
