-- wrk's requests: one consume each, with an Idempotency-Key of its own (UUIDv7, as our SDKs send them).
--   wrk -s consume.lua URL -- SUBJECTS HOT(0|1) TOKEN
local ffi = require("ffi")
ffi.cdef [[ typedef struct { long sec; long nsec; } tg_timespec; int clock_gettime(int, tg_timespec *); int getpid(void); ]]
local now = ffi.new("tg_timespec")

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local subjects, head, body_tail
function init(args)
  subjects = args[2] == "1" and 1 or tonumber(args[1])
  ffi.C.clock_gettime(0, now)
  math.randomseed(tonumber(now.nsec) + number * 7919 + ffi.C.getpid())
  local token = args[3] and args[3] ~= "" and "Authorization: Bearer " .. args[3] .. "\r\n" or ""
  head = "POST /api/usage/consume HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port .. "\r\n" .. token ..
    "Content-Type: application/json\r\nIdempotency-Key: "
  body_tail = '","items":[{"feature":"invoice_ocr","amount":1}]}'
end

local sequence = 0
local function uuid()
  ffi.C.clock_gettime(0, now)
  local ms = tonumber(now.sec) * 1000 + math.floor(tonumber(now.nsec) / 1e6)
  -- Twelve bits that count up keep the order within a millisecond, as RFC 9562 suggests.
  sequence = (sequence + 1) % 4096
  return string.format("%08x-%04x-7%03x-%04x-%06x%06x", math.floor(ms / 65536), ms % 65536, sequence,
    math.random(0x8000, 0xbfff), math.random(0, 0xffffff), math.random(0, 0xffffff))
end

function request()
  local body = '{"customer":"s' .. math.random(0, subjects - 1) .. body_tail
  return head .. uuid() .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"microseconds":%d,"p50":%.0f,"p99":%.0f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write + e.timeout))
end
