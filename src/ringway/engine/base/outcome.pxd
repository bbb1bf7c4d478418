"""Why a request ended early: one enum, and beside each value its name, HTTP status and sentence (outcome.py).

`reason_status()` is the answer to the client (0: no answer is possible, the connection is closed). Names are stable:
they stand in the access log and in the body of the error response.
"""
from libc.stdint cimport uint8_t

cdef enum Reason:
    REASON_NONE = 0
    # the request head: refused at the door, answered and closed
    BAD_REQUEST_LINE      # RFC 9112 3
    BAD_METHOD            # not a token
    BAD_TARGET            # RFC 9112 3.2, or a path that leaves the root
    BAD_VERSION           # not HTTP/1.x: 505
    BAD_FIELD             # name or value with octets that RFC 9110 5.5 forbids, white space before the colon
    BARE_CR_OR_LF         # RFC 9112 2.2
    OBSOLETE_FOLD         # RFC 9112 5.2
    BAD_HOST              # missing, repeated, invalid, or contradicted by an absolute-form target: RFC 9112 3.2
    BAD_CONTENT_LENGTH    # malformed or differing: RFC 9112 6.3
    LENGTH_AND_CODING     # Content-Length with Transfer-Encoding: RFC 9112 6.1
    BAD_TRANSFER_CODING   # anything but one final `chunked`: RFC 9112 6.1
    BAD_CHUNK             # RFC 9112 7.1
    HEAD_TOO_LARGE        # 431
    TOO_MANY_FIELDS       # 431
    TARGET_TOO_LONG       # 414: the request line alone exceeds the head's bound
    BODY_TOO_LARGE        # 413
    TRAILER_TOO_LARGE     # 431
    METHOD_NOT_IMPLEMENTED  # 501
    PLAIN_HTTP            # 400: to a port where TLS is spoken
    BAD_EXPECTATION       # 417
    BAD_PSEUDO_FIELD      # HTTP/2: missing, repeated, unknown or behind another field: RFC 9113 8.3
    # answers of our own
    NO_ROUTE              # 404
    MISDIRECTED           # 421: the connection was made for a host with other demands on its clients
    CLIENT_CERTIFICATE_MISSING  # 403: plain HTTP, for a host that demands one
    CLIENT_CERTIFICATE_REFUSED  # 400: shown, and not accepted
    FILE_NOT_FOUND        # 404
    FILE_FORBIDDEN        # 403
    FILE_ERROR            # 500
    METHOD_NOT_ALLOWED    # 405
    PRECONDITION_FAILED   # 412
    RANGE_NOT_SATISFIABLE # 416
    TOO_MANY_OPEN_FILES   # 503
    OUT_OF_MEMORY         # 503: a bound of `[limits]` is met
    DRAINING              # 503
    # the upstream's side
    UPSTREAM_UNRESOLVED   # 503: its name has no address now
    UPSTREAM_REFUSED      # 502
    UPSTREAM_UNREACHABLE  # 502
    UPSTREAM_CONNECT_TIMEOUT  # 504
    UPSTREAM_TLS_FAILED   # 502: the handshake failed, or TLS broke before a response
    UPSTREAM_UNTRUSTED    # 502: its certificate is not trusted, expired, or another host's
    UPSTREAM_CLOSED       # 502: closed or reset before a response
    UPSTREAM_BAD_HEAD     # 502: its response head is not HTTP/1.x, or ambiguous
    UPSTREAM_HEAD_TOO_LARGE  # 502
    UPSTREAM_BAD_BODY     # cut: broken chunked coding
    UPSTREAM_CUT          # cut: closed in the middle of a response
    UPSTREAM_FIRST_BYTE_TIMEOUT  # 504
    UPSTREAM_PROGRESS_TIMEOUT    # 504, or cut when the response had begun
    UPSTREAM_LIMIT        # 503: `[limits] upstream_connections` is met
    # the client's side
    CLIENT_CLOSED         # closed or reset in the middle of a request
    CLIENT_HEAD_TIMEOUT   # 408
    CLIENT_BODY_TIMEOUT   # 408
    CLIENT_WRITE_TIMEOUT  # it does not read
    CLIENT_TOO_SLOW       # 408, or cut: buffers were scarce, and it took or sent less than others
    HANDSHAKE_FAILED
    HANDSHAKE_TIMEOUT
    TUNNEL_IDLE
    FILE_CUT              # the file became shorter while it was sent
    STOPPED               # the drain deadline passed
    REASON_COUNT

cdef struct Row:
    int status          # answer to the client; 0: none is possible
    const char* name    # both live as long as the module
    const char* text

cdef Row rows[REASON_COUNT]   # filled once, when the module is imported; read with the functions below

cdef int reason_status(int reason) noexcept nogil
cdef const char* reason_name(int reason) noexcept nogil
cdef const char* reason_text(int reason) noexcept nogil
