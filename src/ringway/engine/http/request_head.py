"""The request head: first its line, then its fields, then what the fields mean together."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.libc.string import memchr, memcmp
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http.fields import *
from cython.cimports.ringway.engine.http.request_head import *


def empty_lines(data, length):
    at: uint32_t = 0
    while at < length:
        if data[at] == LF:
            return -BARE_CR_OR_LF
        if data[at] != CR or at + 1 == length:
            break
        if data[at + 1] != LF:
            return -BARE_CR_OR_LF
        if at == 2 * EMPTY_LINES_MAX:
            return -BAD_REQUEST_LINE
        at += 2
    return at


def request_scan(data, length, seen):
    start: cython.int = empty_lines(data, length)
    if start < 0:
        return start
    if start == cast(cython.int, length) or data[start] == CR:
        return 0
    # Reject TLS on a plain port, or noise, at the first octet.
    if not octet_is(data[start], OCTET_TOKEN):
        return -BAD_METHOD
    return head_scan(data, start, length, seen)


def request_too_long(data, length):
    at: uint32_t = cast(uint32_t, empty_lines(data, length))
    if memchr(data + at, LF, length - at) != NULL:
        return -HEAD_TOO_LARGE
    # The request line is not complete. RFC 9112 3: 501 if its method is too long, 414 if its target is.
    at += token_run(data + at, length - at)
    if at == length:
        return -METHOD_NOT_IMPLEMENTED
    return -TARGET_TOO_LONG if data[at] == SP else -BAD_METHOD


def request_parse(data, length, head):
    g: Gathered
    at: cython.int
    result: cython.int
    # The access log also shows the parsed part of a rejected head: clear what the previous request left here.
    head.method_text.length = 0
    head.target.length = 0
    head.path.length = 0
    head.query.length = 0
    head.host.length = 0
    head.field_count = 0
    if length > HEAD_BYTES_MAX:
        return -HEAD_TOO_LARGE
    at = empty_lines(data, length)
    if at < 0:
        return at
    # The CR LF at the end stops all loops of request_line(), so they need not check `length`.
    if length < cast(uint32_t, at) + 4 or memcmp(data + length - 4, b"\r\n\r\n", 4) != 0:
        return -BAD_REQUEST_LINE
    head.length = length
    at = request_line(data, at, head)
    if at < 0:
        return at
    result = parse_fields(data, at, length, head.fields, address(head.field_count))
    if result < 0:
        return result
    return gather(data, head, address(g))


def request_line(data, at, head):
    # RFC 9112 3: method SP request-target SP HTTP-version CRLF, with single spaces
    start: uint32_t = at
    result: cython.int
    while octet_is(data[at], OCTET_TOKEN):
        at += 1
    if data[at] != SP or at == start:
        return line_fault(data, at, BAD_METHOD if data[at] != CR else BAD_REQUEST_LINE)
    head.method_text.at = cast(uint16_t, start)
    head.method_text.length = cast(uint16_t, at - start)
    head.method = cast(uint8_t, method_of(data + start, at - start))
    at += 1
    start = at
    at += target_run(data + at, head.length - at)
    if data[at] != SP or at == start:
        if at == start or data[at] == CR:
            return line_fault(data, at, BAD_REQUEST_LINE)
        return line_fault(data, at, BAD_TARGET)
    head.target.at = cast(uint16_t, start)
    head.target.length = cast(uint16_t, at - start)
    at += 1
    # This loop cannot pass the CR LF CR LF at the end of the head.
    start = at
    while data[at] != CR and data[at] != LF and at - start < 8:
        at += 1
    if data[at] != CR or data[at + 1] != LF or at - start < 8:
        return line_fault(data, at, BAD_REQUEST_LINE)
    result = read_version(data + start, address(head.minor))
    if result < 0:
        return result
    result = read_target(data, head)
    return result if result < 0 else cast(cython.int, at + 2)


def method_of(text, length):
    # RFC 9110 9.1: methods are case-sensitive
    if length == 3:
        if memcmp(text, b"GET", 3) == 0:
            return METHOD_GET
        return METHOD_PUT if memcmp(text, b"PUT", 3) == 0 else METHOD_OTHER
    elif length == 4:
        if memcmp(text, b"POST", 4) == 0:
            return METHOD_POST
        return METHOD_HEAD if memcmp(text, b"HEAD", 4) == 0 else METHOD_OTHER
    elif length == 5:
        if memcmp(text, b"PATCH", 5) == 0:
            return METHOD_PATCH
        return METHOD_TRACE if memcmp(text, b"TRACE", 5) == 0 else METHOD_OTHER
    elif length == 6:
        return METHOD_DELETE if memcmp(text, b"DELETE", 6) == 0 else METHOD_OTHER
    elif length == 7:
        if memcmp(text, b"OPTIONS", 7) == 0:
            return METHOD_OPTIONS
        return METHOD_CONNECT if memcmp(text, b"CONNECT", 7) == 0 else METHOD_OTHER
    return METHOD_OTHER


def read_version(text, minor):
    # RFC 9112 2.3: "HTTP/" DIGIT "." DIGIT, in upper case
    if memcmp(text, b"HTTP/", 5) != 0 or text[6] != b".":
        return -BAD_REQUEST_LINE
    if not octet_is(text[5], OCTET_DIGIT) or not octet_is(text[7], OCTET_DIGIT):
        return -BAD_REQUEST_LINE
    if text[5] != b"1":
        return -BAD_VERSION
    minor[0] = 0 if text[7] == b"0" else 1
    return 0


def read_target(data, head):
    """RFC 9112 3.2: find out which of the four forms it is. Fills form, path, query, and host of the absolute form."""
    target: cython.p_const_char = data + head.target.at
    length: uint32_t = head.target.length
    authority: Authority
    head.path.at = head.target.at
    head.path.length = 0
    head.query = head.path
    head.host = head.path
    if head.method == METHOD_CONNECT:
        # RFC 9112 3.2.3: host and port, both
        head.form = FORM_AUTHORITY
        if not read_authority(target, length, address(authority)) or authority.port < 0:
            return -BAD_TARGET
        return 0
    if target[0] == b"/":
        head.form = FORM_ORIGIN
        split_query(data, head, head.target.at)
        return 0
    if length == 1 and target[0] == b"*":
        head.form = FORM_ASTERISK
        return 0 if head.method == METHOD_OPTIONS else -BAD_TARGET
    if length > 7 and same_text(target, b"http://", 7):
        return absolute_target(data, head, 7)
    if length > 8 and same_text(target, b"https://", 8):
        return absolute_target(data, head, 8)
    return -BAD_TARGET


def absolute_target(data, head, authority):
    # RFC 9112 3.2.2
    begin: uint32_t = head.target.at + authority
    end: uint32_t = head.target.at + head.target.length
    at: uint32_t = begin
    parts: Authority
    head.form = FORM_ABSOLUTE
    while at < end and data[at] != b"/" and data[at] != b"?":
        at += 1
    # RFC 9110 4.2.4: reject user information, and anything else that is not a host
    if not read_authority(data + begin, at - begin, address(parts)):
        return -BAD_TARGET
    head.host.at = cast(uint16_t, begin)
    head.host.length = cast(uint16_t, at - begin)
    split_query(data, head, at)
    return 0


def split_query(data, head, at):
    end: uint32_t = head.target.at + head.target.length
    mark: cython.p_const_char = cast(cython.p_const_char, memchr(data + at, ord("?"), end - at))
    path_end: uint32_t = end if mark == cython.NULL else cast(uint32_t, mark - data)
    head.path.at = cast(uint16_t, at)
    head.path.length = cast(uint16_t, path_end - at)
    head.query.at = cast(uint16_t, path_end)
    head.query.length = cast(uint16_t, end - path_end)


def gather(data, head, g):
    i: uint16_t
    f: cython.pointer(Field)
    host: Piece = head.host
    result: cython.int
    g.hosts = 0
    g.chunked = g.connection = g.upgrade = g.expect = False
    head.content_length = 0
    head.has_length = False
    for i in range(head.field_count):
        f = address(head.fields[i])
        if f.id == FIELD_HOST:
            g.hosts += 1
            host = f.value
        elif f.id == FIELD_CONNECTION:
            g.connection = True
        elif f.id == FIELD_UPGRADE:
            g.upgrade = True
        elif f.id == FIELD_CONTENT_LENGTH:
            # RFC 9112 6.3 allows "5, 5" or a repeated 5. Rejecting both leaves no room for different interpretations.
            if head.has_length or not content_length(data + f.value.at, f.value.length, address(head.content_length)):
                return -BAD_CONTENT_LENGTH
            head.has_length = True
        elif f.id == FIELD_TRANSFER_ENCODING:
            # RFC 9112 6.1: a single `chunked`, once; Ringway knows no other coding
            if g.chunked or f.value.length != 7 or not same_text(data + f.value.at, b"chunked", 7):
                return -BAD_TRANSFER_CODING
            g.chunked = True
        elif f.id == FIELD_EXPECT:
            # RFC 9110 10.1.1: ignore it from HTTP/1.0 clients
            if head.minor == 1 and not (f.value.length == 12 and same_text(data + f.value.at, b"100-continue", 12)):
                return -BAD_EXPECTATION
            g.expect = True
    result = judge_host(data, head, g, host)
    if result == 0:
        result = judge_framing(head, g)
    return result if result < 0 else judge_connection(data, head, g)


def judge_host(data, head, g, value):
    # RFC 9112 3.2: one valid Host in HTTP/1.1, at most one in HTTP/1.0
    field: Authority
    target: Authority
    i: uint32_t
    usual: cython.int
    begin: Piece = head.host
    if g.hosts == 0:
        return 0 if head.minor == 0 else -BAD_HOST
    if g.hosts > 1 or not read_authority(data + value.at, value.length, address(field)):
        return -BAD_HOST
    if head.form == FORM_AUTHORITY:
        begin = head.target
    elif head.form != FORM_ABSOLUTE:
        head.host = value
        return 0
    # RFC 9112 3.2: the authority in the target and Host must agree, or another server could route by the other one
    read_authority(data + begin.at, begin.length, address(target))
    if head.form == FORM_AUTHORITY:
        head.host = value
        usual = target.port
    else:
        usual = 443 if data[begin.at - 4] == b"s" or data[begin.at - 4] == b"S" else 80
    if (usual if field.port < 0 else field.port) != (usual if target.port < 0 else target.port):
        return -BAD_HOST
    if field.host_length != target.host_length:
        return -BAD_HOST
    for i in range(field.host_length):
        if lower(cast(uint8_t, data[value.at + i])) != lower(cast(uint8_t, data[begin.at + i])):
            return -BAD_HOST
    return 0


def judge_framing(head, g):
    # RFC 9112 6.3
    head.framing = FRAMING_NONE
    if g.chunked:
        if head.has_length:
            return -LENGTH_AND_CODING
        if head.minor == 0:
            return -BAD_TRANSFER_CODING  # RFC 9112 6.1: treat the framing as faulty
        head.framing = FRAMING_CHUNKED
    elif head.content_length > 0:
        head.framing = FRAMING_LENGTH
    head.expect_continue = g.expect and head.minor == 1 and head.framing != FRAMING_NONE
    return 0


def judge_connection(data, head, g):
    options: cython.int = 0
    if g.connection:
        options = connection_options(data, head.fields, head.field_count)
        if options < 0:
            return options
    # RFC 9112 9.3
    if options & CONNECTION_CLOSE:
        head.keep_alive = False
    else:
        head.keep_alive = head.minor == 1 or (options & CONNECTION_KEEP_ALIVE) != 0
    # RFC 9110 7.8: ignored in HTTP/1.0, and unless Connection names it. A server may always ignore it. Ringway does if
    # there is a body: clients that offer h2c with every request expect that.
    head.upgrade = (
        g.upgrade and head.minor == 1 and (options & CONNECTION_UPGRADE) != 0 and head.framing == FRAMING_NONE
    )
    return 0


def read_authority(text, length, out):
    """RFC 3986 3.2.2, but stricter: no "," and no "%", because servers could read such a name in two ways.

    A careless hop joins repeated Host fields with ",". A server that decodes "%" and one that does not would route
    differently. A port has at most five digits.
    """
    at: uint32_t = 0
    port: cython.int = 0
    end: uint32_t
    if length > 0 and text[0] == b"[":
        while at < length and text[at] != b"]":
            at += 1
        if at == length or not is_ipv6(text + 1, at - 1):
            return False
        at += 1
    else:
        while at < length and octet_is(text[at], OCTET_HOST):
            at += 1
    out.host_length = at
    out.port = -1
    if at == 0:
        return False
    if at == length:
        return True
    if text[at] != b":" or length - at > 6:
        return False
    if at + 1 == length:
        return True  # RFC 3986 3.2.3: an empty port means the default port
    end = at + 1
    while end < length:
        if not octet_is(text[end], OCTET_DIGIT):
            return False
        port = port * 10 + (text[end] - ord("0"))
        end += 1
    out.port = port
    return port <= PORT_MAX


def is_ipv6(text, length):
    """RFC 3986 3.2.2: up to eight groups of one to four hex digits, one "::", an IPv4 address in place of the last two.

    Rejects a zone (RFC 6874), which is meaningful only on its own machine.
    """
    at: uint32_t = 0
    groups: cython.int = 0
    begin: uint32_t
    elided: cython.bint = False
    if length >= 2 and text[0] == b":" and text[1] == b":":
        elided = True
        at = 2
    while at < length:
        begin = at
        while at < length and at - begin < 5 and octet_is(text[at], OCTET_HEX):
            at += 1
        if at < length and text[at] == b"." and is_ipv4(text + begin, length - begin):
            groups += 2
            at = length
            break
        if at == begin or at - begin > 4:
            return False
        groups += 1
        if at == length:
            break
        if text[at] != b":" or at + 1 == length:
            return False
        at += 1
        if text[at] == b":":
            if elided:
                return False
            elided = True
            at += 1
    return groups < 8 if elided else groups == 8


def is_ipv4(text, length):
    parts: cython.int = 0
    at: uint32_t = 0
    digits: uint32_t
    value: cython.int
    while True:
        digits = 0
        value = 0
        while at < length and digits < 4 and octet_is(text[at], OCTET_DIGIT):
            value = value * 10 + (text[at] - ord("0"))
            digits += 1
            at += 1
        if digits == 0 or digits > 3 or value > 255 or (digits > 1 and text[at - digits] == b"0"):
            return False
        parts += 1
        if at == length:
            return parts == 4
        if text[at] != b"." or parts == 4:
            return False
        at += 1


def method_is_idempotent(method):
    # RFC 9110 9.2.2: the safe methods, PUT and DELETE
    return (
        method == METHOD_GET
        or method == METHOD_HEAD
        or method == METHOD_PUT
        or method == METHOD_DELETE
        or method == METHOD_OPTIONS
        or method == METHOD_TRACE
    )


# For tests and tools.

FORMS = ("origin", "absolute", "authority", "asterisk")
FRAMINGS = ("none", "length", "chunked", "close", "lane")


def cut(data: bytes, piece: Piece) -> bytes:
    return data[piece.at : piece.at + piece.length]


def scan_request(data: bytes, seen: uint32_t = 0) -> int:
    text: cython.p_const_char = data
    return request_scan(text, len(data), seen)


def parse_request(data: bytes) -> dict:
    """What request_parse() finds in one complete head; only `reason` if that is not "none"."""
    h: RequestHead
    text: cython.p_const_char = data
    result: cython.int = request_parse(text, len(data), address(h))
    if result < 0:
        return {"reason": reason_name(-result).decode()}
    return {
        "reason": "none",
        "method": cut(data, h.method_text),
        "known_method": METHOD_NAMES[h.method].decode(),
        "idempotent": bool(method_is_idempotent(h.method)),
        "minor": h.minor,
        "form": FORMS[h.form],
        "target": cut(data, h.target),
        "path": cut(data, h.path),
        "query": cut(data, h.query),
        "host": cut(data, h.host),
        "framing": FRAMINGS[h.framing],
        "content_length": h.content_length,
        "has_length": bool(h.has_length),
        "keep_alive": bool(h.keep_alive),
        "expect_continue": bool(h.expect_continue),
        "upgrade": bool(h.upgrade),
        "fields": [(cut(data, f.name), cut(data, f.value), f.id, bool(f.hop)) for f in h.fields[: h.field_count]],
    }


def parse_many(data: bytes, rounds: cython.int) -> int:
    """Scan and parse one head `rounds` times, for benchmarks; 0, or -Reason."""
    h: RequestHead
    text: cython.p_const_char = data
    length: uint32_t = len(data)
    result: cython.int = 0
    i: cython.int
    with cython.nogil:
        for i in range(rounds):
            if request_scan(text, length, 0) != cast(cython.int, length):
                result = -BAD_REQUEST_LINE
                break
            result = request_parse(text, length, address(h))
    return result
