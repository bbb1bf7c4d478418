"""The response head: its status line, its fields, then the framing that follows from them and from the request."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint16_t, uint32_t
from cython.cimports.libc.string import memchr, memcmp, memmove
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http.fields import *
from cython.cimports.ringway.engine.http.request_head import *
from cython.cimports.ringway.engine.http.response_head import *


def response_scan(data, length, seen):
    # The first octets show whether this is HTTP/1, so a banner of another protocol fails at once.
    if length > 0 and memcmp(data, b"HTTP/1.", 7 if length > 7 else length) != 0:
        return -UPSTREAM_BAD_HEAD
    result: cython.int = head_scan(data, 0, length, seen)
    return -UPSTREAM_BAD_HEAD if result < 0 else result


def response_mend(b):
    bare: uint32_t = 0
    left: uint32_t = bare_lines(data_of(b), length_of(b), address(bare))
    source: cython.p_char = data_of(b)
    target: cython.p_char
    line: uint32_t
    if bare == 0 or bare > min(b.start, cast(uint32_t, FIELDS_MAX + 2)):
        return False
    b.start -= bare
    target = data_of(b)
    while target != source:
        line = cast(uint32_t, cast(cython.p_char, memchr(source, LF, left)) - source)
        memmove(target, source, line)
        source += line + 1
        left -= line + 1
        target += line
        if line == 0 or (target - 1)[0] != CR:
            target[0] = CR
            target += 1
        target[0] = LF
        target += 1
    return True


def bare_lines(data, length, count):
    at: uint32_t = 0
    line: uint32_t
    end: cython.p_const_char
    while at < length:
        end = cast(cython.p_const_char, memchr(data + at, LF, length - at))
        if end == NULL:
            break
        line = cast(uint32_t, end - (data + at))
        if line == 0 or data[at + line - 1] != CR:
            count[0] += 1
        at += line + 1
        if line == 0 or (line == 1 and data[at - 2] == CR):
            break  # the empty line
    return at


def response_parse(data, length, method, head):
    result: cython.int = response_check(data, length, method, head)
    if result == 0:
        return 0
    if result == -HEAD_TOO_LARGE or result == -TOO_MANY_FIELDS:
        return -UPSTREAM_HEAD_TOO_LARGE
    return -UPSTREAM_BAD_HEAD


def response_check(data, length, method, head):
    d: Described
    at: cython.int
    result: cython.int
    if length > HEAD_BYTES_MAX:
        return -HEAD_TOO_LARGE
    # The shortest head is "HTTP/1.1 200" and two line ends. The last one stops all loops of status_line().
    if length < 16 or memcmp(data + length - 4, b"\r\n\r\n", 4) != 0:
        return -BAD_REQUEST_LINE
    head.length = length
    at = status_line(data, head)
    if at < 0:
        return at
    head.field_count = 0
    result = parse_fields(data, at, length, head.fields, address(head.field_count))
    if result == 0:
        result = describe(data, head, address(d))
    if result == 0:
        result = response_framing(head, address(d), method)
    return result if result < 0 else response_connection(data, head, address(d))


def status_line(data, head):
    # RFC 9112 4: HTTP-version SP 3DIGIT SP [ reason-phrase ]
    at: uint32_t = 12
    i: cython.int
    if memcmp(data, b"HTTP/", 5) != 0 or data[6] != b".":
        return -BAD_REQUEST_LINE
    if not octet_is(data[5], OCTET_DIGIT) or not octet_is(data[7], OCTET_DIGIT):
        return -BAD_REQUEST_LINE
    if data[5] != b"1":
        return -BAD_VERSION
    head.minor = 0 if data[7] == b"0" else 1
    if data[8] != SP or data[9] == b"0":
        return -BAD_REQUEST_LINE
    head.status = 0
    for i in range(9, 12):
        if not octet_is(data[i], OCTET_DIGIT):
            return -BAD_REQUEST_LINE
        head.status = cast(uint16_t, head.status * 10 + (data[i] - ord("0")))
    # Many servers omit the SP before an empty reason. Nothing depends on it.
    if data[at] == SP:
        at += 1
    elif data[at] != CR:
        return line_fault(data, at, BAD_REQUEST_LINE)
    head.reason.at = cast(uint16_t, at)
    at += value_run(data + at, head.length - at)
    head.reason.length = cast(uint16_t, at - head.reason.at)
    if data[at] != CR or data[at + 1] != LF:
        return line_fault(data, at, BAD_FIELD)
    return at + 2


def describe(data, head, d):
    i: uint16_t
    f: cython.pointer(Field)
    d.chunked = d.connection = d.upgrade = False
    head.content_length = 0
    head.has_length = False
    head.has_date = False
    for i in range(head.field_count):
        f = address(head.fields[i])
        if f.id == FIELD_DATE:
            head.has_date = True
        elif f.id == FIELD_CONNECTION:
            d.connection = True
        elif f.id == FIELD_UPGRADE:
            d.upgrade = True
        elif f.id == FIELD_CONTENT_LENGTH:
            # RFC 9112 6.3: as in requests, reject a repeated or listed length even if the values agree
            if head.has_length or not content_length(data + f.value.at, f.value.length, address(head.content_length)):
                return -BAD_CONTENT_LENGTH
            head.has_length = True
        elif f.id == FIELD_TRANSFER_ENCODING:
            # RFC 9112 6.1: a single `chunked`, once; Ringway sends no TE, so no other coding is allowed
            if d.chunked or f.value.length != 7 or not same_text(data + f.value.at, b"chunked", 7):
                return -BAD_TRANSFER_CODING
            d.chunked = True
    if d.chunked and head.has_length:
        return -LENGTH_AND_CODING
    if d.chunked and head.minor == 0:
        return -BAD_TRANSFER_CODING  # RFC 9112 6.1
    return 0


def response_framing(head, d, method):
    # RFC 9112 6.3, in the order of its rules
    head.framing = FRAMING_NONE
    head.keep_alive = True
    if head.status < 200 or head.status == 204:
        # RFC 9110 8.6, RFC 9112 6.1: neither field is allowed. A server that sends one may also send a body, so the
        # connection is not reused.
        head.keep_alive = not d.chunked and head.content_length == 0
        head.has_length = False
        head.content_length = 0
    elif method == METHOD_HEAD or head.status == 304:
        pass
    elif method == METHOD_CONNECT and head.status < 300:
        head.has_length = False
        head.content_length = 0
    elif d.chunked:
        head.framing = FRAMING_CHUNKED
    elif head.has_length:
        head.framing = FRAMING_LENGTH if head.content_length > 0 else FRAMING_NONE
    else:
        head.framing = FRAMING_CLOSE
        head.keep_alive = False
    return 0


def response_connection(data, head, d):
    options: cython.int = 0
    if d.connection:
        options = connection_options(data, head.fields, head.field_count)
        if options < 0:
            return options
    # RFC 9112 9.3
    if options & CONNECTION_CLOSE or (head.minor == 0 and not options & CONNECTION_KEEP_ALIVE):
        head.keep_alive = False
    head.upgrade = d.upgrade and head.minor == 1 and (options & CONNECTION_UPGRADE) != 0
    return 0


# For tests and tools.

FRAMINGS = ("none", "length", "chunked", "close")
METHODS = {"GET": METHOD_GET, "HEAD": METHOD_HEAD, "CONNECT": METHOD_CONNECT}


def cut(data: bytes, piece: Piece) -> bytes:
    return data[piece.at : piece.at + piece.length]


def scan_response(data: bytes, seen: uint32_t = 0) -> int:
    text: cython.p_const_char = data
    return response_scan(text, len(data), seen)


def parse_response(data: bytes, method: str = "GET") -> dict:
    """What response_parse() finds in one complete head; `cause` is the exact reason behind `reason`."""
    h: ResponseHead
    text: cython.p_const_char = data
    number: cython.int = METHODS[method]
    cause: cython.int = response_check(text, len(data), number, address(h))
    result: cython.int = response_parse(text, len(data), number, address(h))
    if result < 0:
        return {"reason": reason_name(-result).decode(), "cause": reason_name(-cause).decode()}
    return {
        "reason": "none",
        "status": h.status,
        "minor": h.minor,
        "phrase": cut(data, h.reason),
        "framing": FRAMINGS[h.framing],
        "content_length": h.content_length,
        "has_length": bool(h.has_length),
        "has_date": bool(h.has_date),
        "keep_alive": bool(h.keep_alive),
        "upgrade": bool(h.upgrade),
        "fields": [(cut(data, f.name), cut(data, f.value), f.id, bool(f.hop)) for f in h.fields[: h.field_count]],
    }


def parse_many(data: bytes, rounds: cython.int) -> int:
    """Scan and parse one head `rounds` times, for benchmarks; 0, or -Reason."""
    h: ResponseHead
    text: cython.p_const_char = data
    length: uint32_t = len(data)
    result: cython.int = 0
    i: cython.int
    with cython.nogil:
        for i in range(rounds):
            if response_scan(text, length, 0) != cast(cython.int, length):
                result = -UPSTREAM_BAD_HEAD
                break
            result = response_parse(text, length, METHOD_GET, address(h))
    return result
