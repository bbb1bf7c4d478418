-- With a number after the URL, each request has a body of that many bytes.
function init(arguments)
  if arguments[1] then
    wrk.method = "POST"
    wrk.body = string.rep("x", tonumber(arguments[1]))
  end
end

-- wrk calls this once, after the last response. Prints the results as one line of JSON. Times are in microseconds.
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nBENCH {"requests":%d,"bytes":%d,"duration_us":%d,"p50_us":%.1f,"p99_us":%.1f,"max_us":%.1f,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
