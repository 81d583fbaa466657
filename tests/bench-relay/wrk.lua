-- What wrk has seen, as one line of JSON.
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format('{"requests": %d, "bytes": %d, "us": %d, "errors": %d, "p50_us": %d, "p99_us": %d}\n',
        summary.requests, summary.bytes, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
