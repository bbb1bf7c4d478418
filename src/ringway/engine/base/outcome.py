"""Why a request ended early: the name of each reason, the status of the response and a sentence.

The sentence appears in the error response and in the documentation. It tells an operator where to look.
"""

import cython
from cython.cimports.ringway.engine.base.outcome import *

# One line for each Reason, in the order of outcome.pxd: name, status (0: no response is possible), sentence.
_TABLE = (
    ("none", 0, "Nothing went wrong."),
    # the request head
    ("bad_request_line", 400, "The request line is not `method SP target SP HTTP/1.x`."),
    ("bad_method", 400, "The request does not begin with a method; perhaps the client speaks TLS to a plain port."),
    ("bad_target", 400, "The request target is malformed, or its path leaves the root."),
    ("bad_version", 505, "The request's version of HTTP is not 1.0 or 1.1."),
    ("bad_field", 400, "A header field has a malformed name or line, or a control character in its value."),
    ("bare_cr_or_lf", 400, "A line does not end with CR and LF together."),
    ("obsolete_fold", 400, "A header field is folded over several lines."),
    ("bad_host", 400, "The Host field is missing, repeated, malformed, or contradicts the request target."),
    ("bad_content_length", 400, "Content-Length is not one decimal number, or the field is repeated."),
    ("length_and_coding", 400, "Content-Length and Transfer-Encoding are both present."),
    ("bad_transfer_coding", 400, "Transfer-Encoding is not the single coding `chunked`, or comes with HTTP/1.0."),
    ("bad_chunk", 400, "The chunked coding of the request body is malformed."),
    ("head_too_large", 431, "The request head is larger than the limit."),
    ("too_many_fields", 431, "The request has more header fields than the limit."),
    ("target_too_long", 414, "The request line alone is larger than the limit for the head."),
    ("body_too_large", 413, "The request body is larger than the limit."),
    ("trailer_too_large", 431, "The trailer section of the request body is larger than the limit."),
    ("method_not_implemented", 501, "This server does not implement the request's method."),
    ("plain_http", 400, "The client sent plain HTTP to an HTTPS port; use https://."),
    ("bad_expectation", 417, "The Expect field asks for something other than 100-continue."),
    ("bad_pseudo_field", 400, "A pseudo field of HTTP/2 is missing, repeated, unknown or in the wrong place."),
    # Ringway's own responses
    ("no_route", 404, "No configured route matches the request's host and path."),
    (
        "misdirected",
        421,
        "The connection belongs to another host with other rules for client certificates; open a new connection.",
    ),
    (
        "client_certificate_missing",
        403,
        "This host wants a client certificate, which plain HTTP cannot carry; use HTTPS.",
    ),
    ("client_certificate_refused", 400, "The client's certificate is not accepted; the log says why."),
    ("file_not_found", 404, "The route's folder has no such file."),
    ("file_forbidden", 403, "This server has no permission to read the file, or it is not a regular file."),
    ("file_error", 500, "Reading the file failed; the disk or its file system may have a fault."),
    ("method_not_allowed", 405, "The route does not allow the request's method."),
    ("precondition_failed", 412, "A condition of the request does not hold."),
    ("range_not_satisfiable", 416, "The requested range is outside the file."),
    ("too_many_open_files", 503, "The process has reached its limit of open files (ulimit -n)."),
    ("out_of_memory", 503, "A limit in [limits] was reached; raise it or lower the load."),
    # the upstream's side
    ("upstream_unresolved", 503, "The upstream's name has no address at the moment; check DNS."),
    ("upstream_refused", 502, "The upstream refused the connection; check that it runs and listens on that port."),
    ("upstream_unreachable", 502, "The upstream cannot be reached over the network."),
    (
        "upstream_connect_timeout",
        504,
        "The upstream did not accept the connection (or finish the TLS handshake) in time.",
    ),
    ("upstream_tls_failed", 502, "TLS with the upstream failed; the log says why."),
    ("upstream_untrusted", 502, "The upstream's certificate is not trusted or is for another name; the log says why."),
    ("upstream_closed", 502, "The upstream closed the connection before it sent a response."),
    ("upstream_bad_head", 502, "The upstream's response head is not HTTP/1.x or is ambiguous."),
    ("upstream_head_too_large", 502, "The upstream's response head is larger than the limit."),
    (
        "upstream_bad_body",
        502,
        "The chunked coding of the upstream's response is malformed; a response that had begun was truncated.",
    ),
    ("upstream_cut", 0, "The upstream closed in the middle of its response; the response was truncated."),
    ("upstream_first_byte_timeout", 504, "The upstream received the request but did not begin to answer in time."),
    ("upstream_progress_timeout", 504, "The upstream sent or accepted no bytes for too long."),
    ("upstream_limit", 503, "All upstream connections that [limits] allows are in use."),
    # the client's side
    ("client_closed", 0, "The client closed the connection in the middle of its request or of the response."),
    ("client_head_timeout", 408, "The client did not finish its request head in time."),
    ("client_body_timeout", 408, "The client stopped sending its request body."),
    ("client_write_timeout", 0, "The client stopped reading the response."),
    ("client_too_slow", 408, "Buffers were scarce, and the client received or sent less than others."),
    ("tunnel_idle", 0, "No byte passed through the upgraded connection for too long."),
    ("file_cut", 0, "The file became shorter while it was sent; the response was truncated."),
    ("stopped", 0, "The server stopped before the request was finished."),
)
# The C table borrows these texts. They live as long as the module.
_TEXTS = tuple((name.encode(), sentence.encode()) for name, _, sentence in _TABLE)


def _fill() -> None:
    if len(_TABLE) != REASON_COUNT:
        raise ImportError("outcome.py must describe every Reason of outcome.pxd")
    i: cython.int
    for i in range(REASON_COUNT):
        rows[i].status = _TABLE[i][1]
        rows[i].name = _TEXTS[i][0]
        rows[i].text = _TEXTS[i][1]


_fill()


def reason_status(reason):
    if reason < 0 or reason >= REASON_COUNT:
        return 500
    return rows[reason].status


def reason_name(reason):
    if reason < 0 or reason >= REASON_COUNT:
        return b"unknown"
    return rows[reason].name


def reason_text(reason):
    if reason < 0 or reason >= REASON_COUNT:
        return b"Unknown reason."
    return rows[reason].text


# For tests and tools.


def describe(reason: cython.int) -> tuple[str, int, str]:
    return reason_name(reason).decode(), reason_status(reason), reason_text(reason).decode()


def all_reasons() -> list[tuple[str, int, str]]:
    """Name, status and sentence of every reason, by number."""
    i: cython.int
    return [describe(i) for i in range(REASON_COUNT)]
