-- wrk: random users of a data set whose users are numbered 1 to USERS, each connection at its own
-- pace: PAUSE is the longest pause in ms, so that CONNECTIONS / (PAUSE / 2 + latency) is the rate.
local users = tonumber(os.getenv("USERS"))
local pause = tonumber(os.getenv("PAUSE"))
local headers = {["Content-Type"] = "application/json"}
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("seed", threads)
end

function init(args)
  math.randomseed(seed)
end

function delay()
  return math.random(0, pause)
end

function request()
  local body = '{"user": "' .. math.random(1, users) .. '"}'
  return wrk.format("POST", "/recommend", headers, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '{"requests": %d, "seconds": %.1f, "failed": %d, "ms": {"p50": %.1f, "p95": %.1f, '
      .. '"p99": %.1f, "p99.9": %.1f, "max": %.1f}}\n',
    summary.requests, summary.duration / 1e6, failed, latency:percentile(50) / 1e3,
    latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3,
    latency.max / 1e3))
end
