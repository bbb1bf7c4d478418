"""What a worker counts: one array of 64-bit numbers in shared memory, written by the worker, read by the supervisor.

The order of this enum is the order of NAMES in counters.py. Gauges go up and down; after the last connection has
gone each of them must be zero: that is how tests find leaks.
"""
from libc.stdint cimport uint64_t

cdef enum Counter:
    # gauges: what exists now
    GAUGE_CLIENTS = 0
    GAUGE_EXCHANGES
    GAUGE_UPSTREAMS         # connections, idle ones included
    GAUGE_UPSTREAMS_IDLE
    GAUGE_BUFFERS           # held by a connection (not those that the ring holds ready)
    GAUGE_OPERATIONS        # submitted, without their last completion
    GAUGE_FILES             # open files
    GAUGE_MEMORY_BYTES      # copies of files
    GAUGE_TLS
    GAUGE_COUNT             # how many gauges there are
    # counters: only ever grow
    COUNT_ACCEPTED = GAUGE_COUNT
    COUNT_ACCEPT_ERRORS
    COUNT_REFUSED           # connections closed at once: `[limits] client_connections`
    COUNT_PROXY_REFUSED     # ... on a listener with `proxy_protocol`: not trusted, or no header (in time)
    COUNT_REQUESTS
    COUNT_STATUS_1XX
    COUNT_STATUS_2XX
    COUNT_STATUS_3XX
    COUNT_STATUS_4XX
    COUNT_STATUS_5XX
    COUNT_CLIENT_BYTES_IN
    COUNT_CLIENT_BYTES_OUT
    COUNT_UPSTREAM_BYTES_IN
    COUNT_UPSTREAM_BYTES_OUT
    COUNT_CONNECTS
    COUNT_REUSED
    COUNT_RETRIES
    COUNT_UPSTREAM_HANDSHAKES   # TLS connections to upstreams
    COUNT_UPSTREAM_RESUMED
    COUNT_UPSTREAM_TLS_ERRORS
    COUNT_IDLE_DROPPED      # pooled connections that closed or spoke out of turn
    COUNT_HANDSHAKES
    COUNT_RESUMED
    COUNT_HANDSHAKE_ERRORS
    COUNT_CLIENT_CERTIFICATE_ERRORS     # client certificates that were missing or not accepted
    COUNT_CERTIFICATES      # number of the block of certificates in use, see certificates.pxd
    COUNT_PEERS             # number of the block of upstreams with TLS in use, see peers.pxd
    COUNT_KTLS_SEND         # connections of which the kernel sends, receives
    COUNT_KTLS_RECEIVE
    COUNT_KTLS_FALLBACK_CIPHER  # connections that stayed with OpenSSL: their version and cipher were not found usable
    COUNT_KTLS_FALLBACK_SOCKET  # ... the kernel refused this socket
    COUNT_KTLS_REFUSED      # ... and were closed for it: `ktls_fallback_enabled = false`
    COUNT_KTLS_ALERTS       # records that are no data, received through the kernel
    COUNT_KTLS_HANDSHAKES
    COUNT_KTLS_KEY_UPDATES
    COUNT_KTLS_OTHERS
    COUNT_TIMEOUTS
    COUNT_SENDFILE_BYTES
    COUNT_FILE_HITS
    COUNT_FILE_OPENS
    COUNT_GAVE_WAY          # clients that were let go because buffers or places for connections were scarce
    COUNT_NO_BUFFERS        # a receive found no buffer and had to wait
    COUNT_STALE             # completions that came too late for their slot
    COUNT_RECORDS_DROPPED
    COUNTER_COUNT

cdef struct Counters:
    uint64_t value[COUNTER_COUNT]

cdef inline void count(Counters* counters, int which, uint64_t more) noexcept nogil:
    counters.value[which] += more

cdef inline uint64_t counted(const Counters* counters, int which) noexcept nogil:
    return counters.value[which]

cdef inline void gauge(Counters* counters, int which, int change) noexcept nogil:
    counters.value[which] += <uint64_t><long long>change
