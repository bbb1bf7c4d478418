"""A worker's counters: one array of 64-bit numbers in shared memory. The worker writes them, the supervisor reads them.

The order of this enum is the order of NAMES in counters.py. Gauges go up and down. After the last connection has
closed, each gauge must be zero: this is how tests find leaks.
"""
from libc.stdint cimport uint64_t

cdef enum Counter:
    # gauges: what exists now
    GAUGE_CLIENTS = 0
    GAUGE_EXCHANGES
    GAUGE_UPSTREAMS         # connections, idle ones included
    GAUGE_UPSTREAMS_IDLE
    GAUGE_BUFFERS           # taken from the pools, without those that the ring keeps ready for receives
    GAUGE_OPERATIONS        # submitted, last completion not yet seen
    GAUGE_FILES             # open files
    GAUGE_MEMORY_BYTES      # copies of files
    GAUGE_TLS
    GAUGE_COUNT             # number of gauges
    # counters: only grow
    COUNT_ACCEPTED = GAUGE_COUNT
    COUNT_ACCEPT_ERRORS
    COUNT_REFUSED           # connections closed at once: `[limits] client_connections` is reached
    COUNT_PROXY_REFUSED     # ... on a listener with `proxy_protocol`: peer not trusted, or no valid header in time
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
    COUNT_IDLE_DROPPED      # pooled connections that the upstream closed, or on which it sent bytes without a request
    COUNT_HANDSHAKES
    COUNT_RESUMED
    COUNT_HANDSHAKE_ERRORS
    COUNT_CLIENT_CERTIFICATE_ERRORS     # client certificates that were missing or not accepted
    COUNT_CERTIFICATES      # sequence number of the certificates in use, see certificates.pxd
    COUNT_PEERS             # sequence number of the block of upstreams with TLS in use, see peers.pxd
    COUNT_KTLS_SEND         # connections that the kernel encrypts
    COUNT_KTLS_RECEIVE      # connections that the kernel decrypts
    COUNT_KTLS_FALLBACK_CIPHER  # connections that stayed with OpenSSL: the kernel cannot use their version and cipher
    COUNT_KTLS_FALLBACK_SOCKET  # ... the kernel refused this socket
    COUNT_KTLS_REFUSED      # ... closed for that reason: `ktls_fallback_enabled = false`
    COUNT_KTLS_ALERTS       # this and the next three: records other than data, received through the kernel
    COUNT_KTLS_HANDSHAKES
    COUNT_KTLS_KEY_UPDATES
    COUNT_KTLS_OTHERS
    COUNT_TIMEOUTS
    COUNT_SENDFILE_BYTES
    COUNT_FILE_HITS
    COUNT_FILE_OPENS
    COUNT_HTTP2             # connections with HTTP/2
    COUNT_HTTP2_REFUSED     # requests that were refused (REFUSED_STREAM): too many at once
    COUNT_HTTP2_BLAMED      # connections with HTTP/2 that ended because of the client's bad manners
    COUNT_GAVE_WAY          # clients that were disconnected because buffers or places for connections were scarce
    COUNT_NO_BUFFERS        # a receive found no buffer and had to wait
    COUNT_STALE             # completions that came after their slot was released
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
