"""Why a request ended early: one enum. outcome.py gives each value a name, an HTTP status and a sentence.

`reason_status()` is the status of the response to the client. 0: no response is possible, the worker closes the
connection. Names are stable: they appear in the access log and in the body of the error response.
"""
from libc.stdint cimport uint8_t

cdef enum Reason:
    REASON_NONE = 0
    # the request head: the worker rejects the request and closes the connection
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
    TARGET_TOO_LONG       # 414: the request line alone exceeds the limit for the head
    BODY_TOO_LARGE        # 413
    TRAILER_TOO_LARGE     # 431
    METHOD_NOT_IMPLEMENTED  # 501
    PLAIN_HTTP            # 400: plain HTTP on a TLS port
    BAD_EXPECTATION       # 417
    BAD_PSEUDO_FIELD      # 400: HTTP/2: missing, repeated, unknown or after another field (RFC 9113 8.3)
    # Ringway's own responses
    NO_ROUTE              # 404
    MISDIRECTED           # 421: the handshake was for a host that demands other client certificates
    CLIENT_CERTIFICATE_MISSING  # 403: plain HTTP, for a host that demands one
    CLIENT_CERTIFICATE_REFUSED  # 400: the client sent one that is not accepted
    FILE_NOT_FOUND        # 404
    FILE_FORBIDDEN        # 403
    FILE_ERROR            # 500
    METHOD_NOT_ALLOWED    # 405
    PRECONDITION_FAILED   # 412
    RANGE_NOT_SATISFIABLE # 416
    TOO_MANY_OPEN_FILES   # 503
    OUT_OF_MEMORY         # 503: a bound of `[limits]` is reached
    # the upstream's side
    UPSTREAM_UNRESOLVED   # 503: its name has no address at the moment
    UPSTREAM_REFUSED      # 502
    UPSTREAM_UNREACHABLE  # 502
    UPSTREAM_CONNECT_TIMEOUT  # 504
    UPSTREAM_TLS_FAILED   # 502: the handshake failed, or TLS broke before a response
    UPSTREAM_UNTRUSTED    # 502: its certificate is not trusted, expired, or for another name
    UPSTREAM_CLOSED       # 502: closed or reset before a response
    UPSTREAM_BAD_HEAD     # 502: its response head is not HTTP/1.x, or ambiguous
    UPSTREAM_HEAD_TOO_LARGE  # 502
    UPSTREAM_BAD_BODY     # 502, or truncated response: malformed chunked coding
    UPSTREAM_CUT          # truncated response: the upstream closed in the middle of it
    UPSTREAM_FIRST_BYTE_TIMEOUT  # 504
    UPSTREAM_PROGRESS_TIMEOUT    # 504, or truncated response
    UPSTREAM_LIMIT        # 503: `[limits] upstream_connections` is reached
    # the client's side
    CLIENT_CLOSED         # closed or reset in the middle of a request
    CLIENT_HEAD_TIMEOUT   # 408
    CLIENT_BODY_TIMEOUT   # 408
    CLIENT_WRITE_TIMEOUT  # the client does not read
    CLIENT_TOO_SLOW       # 408, or truncated response: buffers were scarce, and it read or sent less than others
    TUNNEL_IDLE
    FILE_CUT              # the file became shorter while it was sent
    STOPPED               # the drain deadline passed
    REASON_COUNT

cdef struct Row:
    int status          # of the response to the client; 0: no response is possible
    const char* name    # both live as long as the module
    const char* text

cdef Row rows[REASON_COUNT]   # filled once, when the module is imported; read with the functions below

cdef int reason_status(int reason) noexcept nogil
cdef const char* reason_name(int reason) noexcept nogil
cdef const char* reason_text(int reason) noexcept nogil
