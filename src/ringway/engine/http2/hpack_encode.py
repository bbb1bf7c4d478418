"""The HPACK encoder: each connection has one in its slot. It allocates no memory."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcmp, memcpy, memmove, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http2.hpack_decode import HPACK_ENTRY_BYTES, HPACK_STATIC
from cython.cimports.ringway.engine.http2.hpack_encode import *

from ringway.engine.http2.hpack_decode import STATIC

INDEXED = """
    :authority accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials
    access-control-allow-headers access-control-allow-methods access-control-allow-origin access-control-expose-headers
    access-control-max-age alt-svc cache-control content-encoding content-language content-type
    cross-origin-opener-policy cross-origin-resource-policy date expires last-modified permissions-policy
    referrer-policy sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform server strict-transport-security te
    upgrade-insecure-requests user-agent vary via x-content-type-options x-forwarded-host x-forwarded-port
    x-forwarded-proto x-frame-options
"""
"""Names that the encoder indexes: many messages repeat their values, and the values are not secret."""


def build_known(statics: list, indexed: list) -> None:
    at: cython.p_char = HPACK_KNOWN_TEXT  # a pointer: for Cython, an array plus a number is an array
    place: uint32_t
    names: dict = {}
    for index, line in enumerate(statics, 1):
        names.setdefault(line.split()[0], index)
    numbers: dict = {name: number for number, name in enumerate(indexed, 1)}
    for name in [*names, *(name for name in indexed if name not in names)]:
        text: bytes = name.encode()
        memcpy(at, cast(cython.p_const_char, text), len(text))
        place = known_hash(cast(cython.p_const_uchar, at), len(text))
        while HPACK_KNOWN_NAMES[place].length != 0:
            place = (place + 1) % HPACK_KNOWN
        HPACK_KNOWN_NAMES[place] = HpackKnown(at, len(text), names.get(name, 0), numbers.get(name, 0))
        at += len(text)
    assert at - HPACK_KNOWN_TEXT <= 2048
    assert len(numbers) < HPACK_NAMES


def known_hash(name, length):
    return (length * 7 + name[0] * 5 + name[length // 2] * 11 + name[length - 1] * 3) % HPACK_KNOWN


def hpack_encoder_begin(e):
    e.size = 0
    e.end = 0
    e.inserted = 0
    e.oldest = 1
    memset(e.last, 0, cython.sizeof(e.last))
    e.most = HPACK_SENT_BYTES
    e.least = HPACK_SENT_BYTES
    e.announce = True  # the peer assumes 4,096


def hpack_encoder_resize(e, bytes):
    e.most = cast(uint16_t, min(bytes, cast(uint32_t, HPACK_SENT_BYTES)))
    e.least = min(e.least, e.most)
    e.announce = True
    sent_shrink(e, e.most)


def hpack_write_begin(e, out):
    """RFC 7541 4.2: announces also the smallest size in between, because the table was shrunk to it."""
    n: uint32_t = 0
    if not e.announce:
        return 0
    if e.least < e.most:
        n = write_integer(out, 0x20, 5, e.least)
    n += write_integer(out + n, 0x20, 5, e.most)
    e.least = e.most
    e.announce = False
    return n


def hpack_write_status(status, out):
    """Seven statuses are in the static table (RFC 7541 Appendix A). Others are literals without indexing."""
    index: uint32_t = 0
    if status == 200:
        index = 8
    elif status == 204:
        index = 9
    elif status == 206:
        index = 10
    elif status == 304:
        index = 11
    elif status == 400:
        index = 12
    elif status == 404:
        index = 13
    elif status == 500:
        index = 14
    if index:
        out[0] = cast(uint8_t, 0x80 | index)
        return 1
    out[0] = 8  # 6.2.2: the name of index 8
    out[1] = 3
    out[2] = cast(uint8_t, ord("0") + status // 100)
    out[3] = cast(uint8_t, ord("0") + status // 10 % 10)
    out[4] = cast(uint8_t, ord("0") + status % 10)
    return 5


def hpack_write(e, name, name_length, value, value_length, out, room):
    low: cython.p_uchar = out + 5  # leaves space for the longest length of a literal name
    known: cython.pointer(HpackKnown)
    index: uint32_t
    i: uint32_t
    n: uint32_t
    # The longest form, with integers of five octets.
    if name_length + value_length + 11 > room:
        return -1
    for i in range(name_length):
        low[i] = lower(cast(uint8_t, name[i]))
    known = cast(cython.pointer(HpackKnown), known_name(low, name_length))
    if known == NULL:
        n = 1 + write_integer(out + 1, 0, 7, name_length)
        out[0] = 0x10  # 6.2.3: never indexed
        memmove(out + n, low, name_length)
        n += name_length
    elif known.number == 0:
        n = write_integer(out, 0x10, 4, known.index)
    else:
        index = find_sent(e, known, value, value_length)
        if index:
            return cast(cython.int, write_integer(out, 0x80, 7, index))
        index = known.index
        if name_length + value_length + HPACK_ENTRY_BYTES > min(cast(uint32_t, e.most), cast(uint32_t, HPACK_SENT_MAX)):
            n = write_integer(out, 0x10, 4, index)
        else:
            n = write_integer(out, 0x40, 6, index)
            sent_insert(e, known, value, value_length)
        if index == 0:
            n += write_integer(out + n, 0, 7, name_length)
            memcpy(out + n, known.text, name_length)
            n += name_length
    n += write_integer(out + n, 0, 7, value_length)
    memcpy(out + n, value, value_length)
    return cast(cython.int, n + value_length)


def known_name(name, length):
    place: uint32_t
    if length == 0:
        return NULL
    place = known_hash(name, length)
    while HPACK_KNOWN_NAMES[place].length != 0:
        if HPACK_KNOWN_NAMES[place].length == length and memcmp(HPACK_KNOWN_NAMES[place].text, name, length) == 0:
            return address(HPACK_KNOWN_NAMES[place])
        place = (place + 1) % HPACK_KNOWN
    return NULL


def find_sent(e, known, value, length):
    number: uint32_t = e.last[known.number]
    while number >= e.oldest:
        entry: cython.pointer(HpackSent) = address(e.entries[number % HPACK_SENT_ENTRIES])
        if entry.value == length and memcmp(e.text + entry.at, value, length) == 0:
            return HPACK_STATIC + 1 + e.inserted - number
        number = entry.before
    return 0


def sent_insert(e, known, value, length):
    size: uint32_t = known.length + length + HPACK_ENTRY_BYTES
    number: uint32_t
    sent_shrink(e, e.most - size)
    if e.end + length > HPACK_SENT_BYTES:
        gap: uint16_t = e.entries[e.oldest % HPACK_SENT_ENTRIES].at if e.oldest <= e.inserted else e.end
        memmove(e.text, e.text + gap, e.end - gap)
        for number in range(e.oldest, e.inserted + 1):
            e.entries[number % HPACK_SENT_ENTRIES].at -= gap
        e.end -= gap
    BUG_ON(e.end + length > HPACK_SENT_BYTES or e.inserted + 1 - e.oldest >= HPACK_SENT_ENTRIES)
    e.inserted += 1
    memcpy(e.text + e.end, value, length)
    e.entries[e.inserted % HPACK_SENT_ENTRIES] = HpackSent(
        e.end, cast(uint16_t, length), cast(uint16_t, size), e.last[known.number]
    )
    e.last[known.number] = e.inserted
    e.end += cast(uint16_t, length)
    e.size += cast(uint16_t, size)


def sent_shrink(e, size):
    while e.size > size:
        e.size -= e.entries[e.oldest % HPACK_SENT_ENTRIES].size
        e.oldest += 1
    if e.oldest > e.inserted:
        e.end = 0


def write_integer(out, first, prefix, value):
    """RFC 7541 5.1, with the bits of `first` before the prefix. Returns the octets written, at most 5."""
    most: uint32_t = (1 << prefix) - 1
    n: uint32_t = 1
    if value < most:
        out[0] = cast(uint8_t, first | value)
        return 1
    out[0] = cast(uint8_t, first | most)
    value -= most
    while value >= 128:
        out[n] = cast(uint8_t, value & 0x7F | 0x80)
        value >>= 7
        n += 1
    out[n] = cast(uint8_t, value)
    return n + 1


build_known(STATIC.strip("\n").split("\n"), INDEXED.split())


# For tests and tools.


def encode_heads(heads: list) -> list:
    """Encodes each head, a list of (name, value), to a block, with one encoder. A number in the list is the peer's
    SETTINGS_HEADER_TABLE_SIZE. hpack_write_status() writes :status."""
    encoder: HpackEncoder
    n: cython.int
    at: uint32_t
    room: uint32_t
    blocks: list = []
    memory: cython.p_uchar
    hpack_encoder_begin(address(encoder))
    for head in heads:
        if isinstance(head, int):
            hpack_encoder_resize(address(encoder), head)
            continue
        room = 6 + sum(len(name) + len(value) + 11 for name, value in head)
        memory = cast(cython.p_uchar, malloc(room))
        at = hpack_write_begin(address(encoder), memory)
        for name, value in head:
            if name == b":status":
                at += hpack_write_status(int(value), memory + at)
                continue
            n = hpack_write(address(encoder), name, len(name), value, len(value), memory + at, room - at)
            if n < 0:
                raise AssertionError("no room")
            at += n
        blocks.append(memory[:at])
        free(memory)
    return blocks
