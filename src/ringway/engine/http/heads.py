"""Writing heads."""

import cython
from cython import NULL, cast
from cython.cimports.libc.stdint import uint16_t, uint32_t
from cython.cimports.libc.string import strlen
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http.fields import *


def put_fields(out, data, fields, count, dropped):
    # Neighbours that stay leave together: from the first one's name to the last one's line end.
    i: uint16_t = 0
    at: uint32_t
    while i < count:
        if fields[i].hop or dropped >> fields[i].id & 1:
            i += 1
            continue
        at = fields[i].name.at
        while i < count and not fields[i].hop and not dropped >> fields[i].id & 1:
            i += 1
        # A line ends where the next one begins; behind the last one stands the empty line, which a caller writes.
        if i < count:
            out = put(out, data + at, fields[i].name.at - at)
        else:
            out = put(out, data + at, fields[i - 1].value.at + fields[i - 1].value.length - at)
            out = put(out, b"\r\n", 2)
    return out


def write_request(out, data, head, f):
    begin: cython.p_char = out
    dropped: uint32_t = (
        (1 << FIELD_HOST)
        | (1 << FIELD_CONNECTION)
        | (1 << FIELD_CONTENT_LENGTH)
        | (1 << FIELD_TRANSFER_ENCODING)
        | (1 << FIELD_UPGRADE)
        | (1 << FIELD_KEEP_ALIVE)
        | (1 << FIELD_PROXY_CONNECTION)
        | (1 << FIELD_PROXY_AUTHORIZATION)
        | (1 << FIELD_TE)
        | (1 << FIELD_FORWARDED)
        | (1 << FIELD_X_FORWARDED_FOR)
        | (1 << FIELD_X_FORWARDED_PROTO)
        | (1 << FIELD_X_FORWARDED_HOST)
        | (1 << FIELD_X_REAL_IP)
        | (1 << FIELD_CLIENT_IDENTITY)
        | (1 << FIELD_DISGUISED)
    )
    out = put_span(out, piece_span(data, head.method_text))
    out = put(out, b" ", 1)
    out = put_span(out, f.base)
    out = put_span(out, f.path)
    if f.base.length == 0 and f.path.length == 0:
        out = put(out, b"/", 1)
    out = put_span(out, f.query)
    # RFC 9110 7.2: Host directly behind the request line; the client's own is kept.
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
    if head.upgrade:
        out = put_upgrade(out, data, head.fields, head.field_count)
    out = put_forwarded_for(out, data, head, f)
    out = put(out, b"X-Forwarded-Proto: ", 19)
    out = put_span(out, f.proto)
    out = put(out, b"\r\n", 2)
    if f.asked.length:
        out = put(out, b"X-Forwarded-Host: ", 18)
        out = put_span(out, f.asked)
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


def put_upgrade(out, data, fields, count):
    i: uint16_t
    out = put(out, b"Connection: Upgrade\r\n", 21)
    for i in range(count):
        if fields[i].id == FIELD_UPGRADE:
            out = put(out, b"Upgrade: ", 9)
            out = put_span(out, piece_span(data, fields[i].value))
            out = put(out, b"\r\n", 2)
    return out


def write_response(out, data, head, r):
    begin: cython.p_char = out
    dropped: uint32_t = (
        (1 << FIELD_CONNECTION)
        | (1 << FIELD_TRANSFER_ENCODING)
        | (1 << FIELD_UPGRADE)
        | (1 << FIELD_KEEP_ALIVE)
        | (1 << FIELD_PROXY_CONNECTION)
        | (1 << FIELD_PROXY_AUTHENTICATE)
    )
    if head.status < 200 or head.status == 204:
        dropped |= 1 << FIELD_CONTENT_LENGTH  # RFC 9110 8.6: not there
    out = put(out, b"HTTP/1.1 ", 9)
    out = put_number(out, head.status)
    out = put(out, b" ", 1)
    out = put_span(out, piece_span(data, head.reason))
    out = put(out, b"\r\n", 2)
    if head.status >= 200:
        # RFC 6797 8.1: the first of a kind counts, so ours stands in front of the upstream's.
        out = put_span(out, r.fields)
    out = put_fields(out, data, head.fields, head.field_count, dropped)
    if head.status >= 200:
        if not head.has_date:
            # RFC 9110 6.6.1: a recipient with a clock adds the missing Date.
            out = put(out, r.date_field, DATE_FIELD_BYTES)
        if r.chunked:
            out = put(out, b"Transfer-Encoding: chunked\r\n", 28)
        out = put_connection(out, r)
    elif r.upgrade:
        out = put_upgrade(out, data, head.fields, head.field_count)
    out = put(out, b"\r\n", 2)
    return cast(uint32_t, out - begin)


def put_connection(out, r):
    # RFC 9112 9.3: 1.1 stays open unless told otherwise, 1.0 closes unless told otherwise.
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


def status_phrase(status):
    if status >= STATUS_END or STATUS_PHRASES[status] == NULL:
        return b"Unknown"
    return STATUS_PHRASES[status]
