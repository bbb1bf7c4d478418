"""Who the client is, according to trusted proxies."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint16_t, uint32_t
from cython.cimports.libc.string import memchr, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http.fields import *
from cython.cimports.ringway.engine.http.request_head import *
from cython.cimports.ringway.engine.plan import *


def forwarded_read(s, data, head, out):
    said: Span
    memset(out, 0, cython.sizeof(Said))
    out.trusted = True
    out.chain = last_value(data, head, FIELD_X_FORWARDED_FOR).length > 0
    walk(s, data, head, FIELD_X_FORWARDED_FOR if out.chain else FIELD_FORWARDED, out)
    said = said_of_client(data, head, FIELD_X_FORWARDED_PROTO, out.hops)
    if said.length:
        out.proto = said
    said = said_of_client(data, head, FIELD_X_FORWARDED_HOST, out.hops)
    if said.length:
        out.host = said
    out.port = said_of_client(data, head, FIELD_X_FORWARDED_PORT, out.hops)
    out.prefix = last_value(data, head, FIELD_X_FORWARDED_PREFIX)
    while out.prefix.length and out.prefix.at[out.prefix.length - 1] == b"/":
        out.prefix.length -= 1


def said_of_client(data, head, id, hops):
    i: uint16_t = head.field_count
    entry: Span
    found: Span = span(NULL, 0)
    value: Span
    begin: uint32_t
    end: uint32_t
    hops = max(hops, cast(uint32_t, 1))
    while i > 0 and hops > 0:
        i -= 1
        if head.fields[i].id != id:
            continue
        value = piece_span(data, head.fields[i].value)
        end = value.length
        while end > 0 and hops > 0:
            begin = end
            while begin > 0 and value.at[begin - 1] != b",":
                begin -= 1
            entry = trimmed(value.at + begin, end - begin)
            end = begin - 1 if begin else 0
            if entry.length:
                found = entry
                hops -= 1
    return found


def walk(s, data, head, id, out):
    """Walk from the last entry to the first. A malformed entry ends the walk; what was found before it stays."""
    i: uint16_t = head.field_count
    value: Span
    e: Element
    ip: Ip
    begin: uint32_t
    end: uint32_t
    entries: uint32_t = 0
    while i > 0:
        i -= 1
        if head.fields[i].id != id:
            continue
        value = piece_span(data, head.fields[i].value)
        end = value.length
        while end > 0:
            entries += 1
            if entries > FORWARDED_ENTRIES_MAX:
                return
            # Split at commas and ignore quotes. Otherwise a client could open a quote that hides what the proxies
            # appended.
            begin = end
            while begin > 0 and value.at[begin - 1] != b",":
                begin -= 1
            memset(address(e), 0, cython.sizeof(Element))
            e.node = trimmed(value.at + begin, end - begin)
            end = begin - 1 if begin else 0
            if e.node.length == 0:
                continue  # RFC 9110 5.6.1.2: ignore empty elements
            if id == FIELD_FORWARDED and not read_element(e.node, address(e)):
                return
            if not node_parse(e.node.at, e.node.length, address(ip)):
                return
            out.found = True
            out.hops += 1
            out.client = ip
            out.proto = e.proto
            out.host = e.host
            if not ip_trusted(s, address(ip)):
                return


def read_element(text, out):
    at: uint32_t = 0
    end: uint32_t
    equals: cython.p_const_char
    pair: Span
    name: Span
    value: Span
    out.node.length = 0
    while at < text.length:
        end = at
        while end < text.length and text.at[end] != b";":
            end += 1
        pair = trimmed(text.at + at, end - at)
        at = end + 1
        if pair.length == 0:
            continue
        equals = cast(cython.p_const_char, memchr(pair.at, ord("="), pair.length))
        if equals == NULL:
            return False
        name = span(pair.at, cast(uint32_t, equals - pair.at))
        value = span(equals + 1, pair.length - name.length - 1)
        if not read_value(address(value)):
            return False
        if span_is_text(name, b"for", 3):
            out.node = value
        elif span_is_text(name, b"proto", 5):
            out.proto = value
        elif span_is_text(name, b"host", 4):
            out.host = value
    return out.node.length > 0


def read_value(value):
    quoted: cython.bint = value.length > 1 and value.at[0] == b'"' and value.at[value.length - 1] == b'"'
    if quoted:
        value[0] = span(value.at + 1, value.length - 2)
    # An address, scheme or host never needs an escape.
    return (
        value.length > 0
        and memchr(value.at, ord('"'), value.length) == NULL
        and memchr(value.at, ord("\\"), value.length) == NULL
    )


def trimmed(text, length):
    while length and (text[0] == SP or text[0] == HT):
        text += 1
        length -= 1
    while length and (text[length - 1] == SP or text[length - 1] == HT):
        length -= 1
    return span(text, length)


def last_value(data, head, id):
    i: uint16_t = head.field_count
    while i > 0:
        i -= 1
        if head.fields[i].id == id and head.fields[i].value.length:
            return piece_span(data, head.fields[i].value)
    return span(NULL, 0)


# For tests.


@cython.cfunc
def span_str(s: Span):
    return s.at[: s.length].decode("latin-1")


def said(block: bytes, head: bytes) -> dict:
    """What a request head from a trusted peer says: client ("" if it names none), proto, host."""
    parsed: RequestHead
    out: Said
    text: cython.char[IP_TEXT_MAX]
    length: uint32_t = 0
    data: cython.p_const_char = block
    lines: cython.p_const_char = head
    if not snapshot_valid(data, len(block)) or request_parse(lines, len(head), address(parsed)) != 0:
        raise ValueError("invalid snapshot or head")
    forwarded_read(cast(cython.pointer(cython.const[Snapshot]), data), lines, address(parsed), address(out))
    if out.found:
        length = ip_text(address(out.client), text)
    return {"client": text[:length].decode(), "proto": span_str(out.proto), "host": span_str(out.host)}
