"""Writing heads."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memchr, memcmp, strlen
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http.fields import *


def put_fields(out, data, fields, count, dropped):
    # One copy for a run of adjacent fields that stay, from the name of the first to the line end of the last.
    i: uint16_t = 0
    at: uint32_t
    while i < count:
        if fields[i].hop or dropped >> fields[i].id & 1:
            i += 1
            continue
        at = fields[i].name.at
        while i < count and not fields[i].hop and not dropped >> fields[i].id & 1:
            i += 1
        # A line ends where the next one begins. The caller writes the empty line after the last one.
        if i < count:
            out = put(out, data + at, fields[i].name.at - at)
        else:
            out = put(out, data + at, fields[i - 1].value.at + fields[i - 1].value.length - at)
            out = put(out, b"\r\n", 2)
    return out


def write_request(out, data, head, f):
    begin: cython.p_char = out
    dropped: uint64_t = (
        (1 << FIELD_HOST)
        | (1 << FIELD_CONNECTION)
        | (1 << FIELD_CONTENT_LENGTH)
        | (1 << FIELD_TRANSFER_ENCODING)
        | (1 << FIELD_UPGRADE)
        | (1 << FIELD_KEEP_ALIVE)
        | (1 << FIELD_PROXY_CONNECTION)
        | (1 << FIELD_TE)
        | (1 << FIELD_FORWARDED)
        | (1 << FIELD_X_FORWARDED_FOR)
        | (1 << FIELD_X_FORWARDED_PROTO)
        | (1 << FIELD_X_FORWARDED_HOST)
        | (1 << FIELD_X_FORWARDED_PORT)
        | (1 << FIELD_X_FORWARDED_PREFIX)
        | (1 << FIELD_X_REAL_IP)
        | (1 << FIELD_CLIENT_IDENTITY)
        | (1 << FIELD_PROXY_SAYS)
        | (1 << FIELD_FORBIDDEN)
        | (1 << FIELD_DISGUISED)
    )
    if f.trusted:
        dropped &= ~cast(uint64_t, 1 << FIELD_PROXY_SAYS)
        if f.prefix.length == 0:
            dropped &= ~cast(uint64_t, 1 << FIELD_X_FORWARDED_PREFIX)
    out = put_span(out, piece_span(data, head.method_text))
    out = put(out, b" ", 1)
    out = put_span(out, f.base)
    out = put_span(out, f.path)
    if f.base.length == 0 and f.path.length == 0:
        out = put(out, b"/", 1)
    out = put_span(out, f.query)
    # RFC 9110 7.2: Host directly after the request line. The client's Host is kept.
    out = put(out, b" HTTP/1.1\r\nHost: ", 17)
    out = put_span(out, f.host)
    out = put(out, b"\r\n", 2)
    out = put_fields(out, data, head.fields, head.field_count, dropped)
    if f.chunked:
        out = put(out, b"Transfer-Encoding: chunked\r\n", 28)
    elif f.has_length:
        out = put(out, b"Content-Length: ", 16)
        out = put_number(out, f.content_length)
        out = put(out, b"\r\n", 2)
    if f.upgrade.length:
        out = put_upgrade(out, data, head.fields, head.field_count, f.upgrade)
    out = put_forwarded_for(out, data, head, f)
    out = put(out, b"X-Forwarded-Proto: ", 19)
    out = put_span(out, f.proto)
    out = put(out, b"\r\n", 2)
    if f.asked.length:
        out = put(out, b"X-Forwarded-Host: ", 18)
        out = put_span(out, f.asked)
        out = put(out, b"\r\n", 2)
        out = put_port(out, f)
    if f.prefix.length:
        out = put(out, b"X-Forwarded-Prefix: ", 20)
        out = put_span(out, f.prefix_before)
        out = put_span(out, f.prefix)
        out = put(out, b"\r\n", 2)
    out = put_span(out, f.identity)
    out = put(out, b"\r\n", 2)
    return cast(uint32_t, out - begin)


def put_forwarded_for(out, data, head, f):
    i: uint16_t
    begin: cython.p_char = put(out, b"X-Forwarded-For: ", 17)
    end: cython.p_char = begin
    if f.chain:
        for i in range(head.field_count):
            if head.fields[i].id == FIELD_X_FORWARDED_FOR:
                end = put_listed(end, begin, piece_span(data, head.fields[i].value))
    end = put_listed(end, begin, f.client)
    end = put_listed(end, begin, f.peer)
    return put(end, b"\r\n", 2) if end != begin else out


def put_listed(out, begin, element):
    if element.length == 0:
        return out
    if out != begin:
        out = put(out, b", ", 2)
    return put_span(out, element)


def put_port(out, f):
    """The port that the client requested: applications build links with it."""
    port: Span = f.port
    host: Span = f.asked
    at: uint32_t = host.length
    if port.length == 0:
        while at > 0 and octet_is(host.at[at - 1], OCTET_DIGIT):
            at -= 1
        if 0 < at < host.length <= at + PORT_DIGITS_MAX and host.at[at - 1] == b":":
            port = span(host.at + at, host.length - at)
        elif span_is_text(f.proto, b"https", 5) or span_is_text(f.proto, b"wss", 3):
            return put(out, b"X-Forwarded-Port: 443\r\n", 23)
        else:
            return put(out, b"X-Forwarded-Port: 80\r\n", 22)
    out = put(out, b"X-Forwarded-Port: ", 18)
    out = put_span(out, port)
    return put(out, b"\r\n", 2)


def put_upgrade(out, data, fields, count, allowed):
    i: uint16_t
    at: uint32_t
    n: uint32_t
    value: Span
    begin: cython.p_char
    out = put(out, b"Connection: Upgrade\r\nUpgrade: ", 30)
    begin = out
    for i in range(count):
        if fields[i].id != FIELD_UPGRADE:
            continue
        value = piece_span(data, fields[i].value)
        at = 0
        while True:
            n = list_next(value.at, value.length, address(at))
            if n == 0:
                break
            if allowed.length == 0 or list_index(allowed.at, allowed.length, value.at + at, n) >= 0:
                out = put_listed(out, begin, span(value.at + at, n))
            at += n
    return put(out, b"\r\n", 2)


def upgrades_asked(data, fields, count, allowed):
    found: cython.int = 0
    index: cython.int
    i: uint16_t
    at: uint32_t
    n: uint32_t
    value: Span
    for i in range(count):
        if fields[i].id != FIELD_UPGRADE:
            continue
        value = piece_span(data, fields[i].value)
        at = 0
        while True:
            n = list_next(value.at, value.length, address(at))
            if n == 0:
                break
            index = list_index(allowed.at, allowed.length, value.at + at, n)
            found |= 1 << (UPGRADES_MAX if index < 0 or index >= UPGRADES_MAX else index)
            at += n
    return found


def write_response(out, data, head, r):
    begin: cython.p_char = out
    dropped: uint64_t = (
        (1 << FIELD_CONNECTION)
        | (1 << FIELD_TRANSFER_ENCODING)
        | (1 << FIELD_UPGRADE)
        | (1 << FIELD_KEEP_ALIVE)
        | (1 << FIELD_PROXY_CONNECTION)
        | (1 << FIELD_PROXY_AUTHENTICATE)
    )
    if head.status < 200 or head.status == 204:
        dropped |= 1 << FIELD_CONTENT_LENGTH  # RFC 9110 8.6: not allowed
    out = put(out, b"HTTP/1.1 ", 9)
    out = put_number(out, head.status)
    out = put(out, b" ", 1)
    out = put_span(out, piece_span(data, head.reason))
    out = put(out, b"\r\n", 2)
    if head.status >= 200:
        # RFC 6797 8.1: clients use the first one, so Ringway's fields come before the upstream's.
        out = put_span(out, r.fields)
    out = put_fields(out, data, head.fields, head.field_count, dropped)
    if head.status >= 200:
        if not head.has_date:
            # RFC 9110 6.6.1: a recipient with a clock adds the missing Date.
            out = put(out, r.date_field, DATE_FIELD_BYTES)
        if r.chunked:
            out = put(out, b"Transfer-Encoding: chunked\r\n", 28)
        if head.status == 426 and upgrades_asked(data, head.fields, head.field_count, span(NULL, 0)):
            # RFC 9110 15.5.22: a 426 must have an Upgrade field.
            out = put_upgrade(out, data, head.fields, head.field_count, span(NULL, 0))
        out = put_connection(out, r)
    elif r.upgrade:
        out = put_upgrade(out, data, head.fields, head.field_count, span(NULL, 0))
    out = put(out, b"\r\n", 2)
    return cast(uint32_t, out - begin)


def put_connection(out, r):
    # RFC 9112 9.3: by default HTTP/1.1 keeps the connection open and HTTP/1.0 closes it.
    if not r.keep_alive:
        out = put(out, b"Connection: close\r\n", 19)
    elif r.minor == 0:
        out = put(out, b"Connection: keep-alive\r\n", 24)
    return out


def write_status(out, status):
    begin: cython.p_char = out
    phrase: cython.p_const_char = status_phrase(status)
    out = put(out, b"HTTP/1.1 ", 9)
    out = put_number(out, status)
    out = put(out, b" ", 1)
    out = put(out, phrase, cast(uint32_t, strlen(phrase)))
    out = put(out, b"\r\n", 2)
    return cast(uint32_t, out - begin)


def write_own(out, status, r):
    begin: cython.p_char = out
    if status == 200:
        out = put(out, b"HTTP/1.1 200 OK\r\nServer: ringway\r\n", 34)
    else:
        out += write_status(out, status)
        out = put(out, b"Server: ringway\r\n", 17)
    out = put(out, r.date_field, DATE_FIELD_BYTES)
    out = put_span(out, r.fields)
    out = put_connection(out, r)
    return cast(uint32_t, out - begin)


def write_location(out, room, to, path, query):
    # The bound is on the bytes written, not on the parts: `to` may contain "{path}" any number of times.
    end: cython.p_char = out + room
    p: cython.p_char = put_within(out, end, span(b"Location: ", 10))
    mark: cython.p_const_char
    n: uint32_t
    while to.length and p != NULL:
        if names_path(to.at, to.length):
            p = put_within(p, end, path)
            p = put_within(p, end, query)
            n = 6
        else:
            mark = cast(cython.p_const_char, memchr(to.at + 1, ord("{"), to.length - 1))
            n = cast(uint32_t, mark - to.at) if mark != NULL else to.length
            p = put_within(p, end, span(to.at, n))
        to = span(to.at + n, to.length - n)
    p = put_within(p, end, span(b"\r\n", 2))
    return 0 if p == NULL else cast(uint32_t, p - out)


def names_path(text, length):
    return length >= 6 and memcmp(text, cast(cython.p_char, b"{path}"), 6) == 0


def status_phrase(status):
    if status >= STATUS_END or STATUS_PHRASES[status] == NULL:
        return b"Unknown"
    return STATUS_PHRASES[status]


# For tests.


def location(to: bytes, path: bytes, query: bytes, room: int) -> bytes:
    """The Location line of a redirect, b"" if it does not fit in `room` bytes. IndexError: an overrun."""
    block = bytearray(b"\xa5" * (room + 64))
    out: cython.uchar[::1] = block
    length: uint32_t = write_location(
        cast(cython.p_char, address(out[0])),
        room,
        span(to, len(to)),
        span(path, len(path)),
        span(query, len(query)),
    )
    if block[room:] != b"\xa5" * 64:
        raise IndexError("written beyond the room")
    return bytes(block[:length])
