"""The HPACK decoder: each connection has one in its slot. It allocates no memory."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcmp, memcpy, memmove
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.http2.hpack_decode import *
from cython.cimports.ringway.engine.http2.huffman import *

# RFC 7541 Appendix A, from index 1: name, value.
STATIC = """
    :authority
    :method GET
    :method POST
    :path /
    :path /index.html
    :scheme http
    :scheme https
    :status 200
    :status 204
    :status 206
    :status 304
    :status 400
    :status 404
    :status 500
    accept-charset
    accept-encoding gzip, deflate
    accept-language
    accept-ranges
    accept
    access-control-allow-origin
    age
    allow
    authorization
    cache-control
    content-disposition
    content-encoding
    content-language
    content-length
    content-location
    content-range
    content-type
    cookie
    date
    etag
    expect
    expires
    from
    host
    if-match
    if-modified-since
    if-none-match
    if-range
    if-unmodified-since
    last-modified
    link
    location
    max-forwards
    proxy-authenticate
    proxy-authorization
    range
    referer
    refresh
    retry-after
    server
    set-cookie
    strict-transport-security
    transfer-encoding
    user-agent
    vary
    via
    www-authenticate
"""

# ------------------------------------------------------------------------------------------------- tables


def build_static(lines: list) -> None:
    at: cython.int = 0
    index: cython.int = 0
    for line in lines:
        name, _, value = line.strip().partition(" ")
        text: bytes = f"{name}: {value}\r\n".encode()
        index += 1
        memcpy(HPACK_STATIC_TEXT + at, cast(cython.p_const_char, text), len(text))
        HPACK_STATIC_ENTRIES[index] = HpackEntry(
            at, len(name), len(value), name_id(HPACK_STATIC_TEXT + at, len(name)), 0
        )
        at += len(text)
    assert index == HPACK_STATIC
    assert at <= 2048


# ------------------------------------------------------------------------------------------------- decoding


def hpack_decoder_begin(d):
    d.most = HPACK_TABLE_BYTES
    d.size = 0
    d.end = 0
    d.newest = 0
    d.count = 0
    d.begun = False


def hpack_read(d, block, length, at, out, room, field):
    """RFC 7541 6: the first bits of a representation give its kind."""
    value: uint32_t = 0
    while at[0] < length:
        first: uint8_t = block[at[0]]
        if first & 0x80:  # 6.1
            begin: uint32_t = at[0]
            if read_integer(block, length, at, 7, address(value)) < 0:
                return HPACK_BROKEN
            d.begun = True
            result: cython.int = read_indexed(d, value, out, room, field)
            if result == HPACK_NO_ROOM:
                at[0] = begin
            return result
        elif first & 0xE0 == 0x20:  # 6.3, only before the first field (4.2)
            if d.begun or read_integer(block, length, at, 5, address(value)) < 0 or value > HPACK_TABLE_BYTES:
                return HPACK_BROKEN
            d.most = cast(uint16_t, value)
            table_shrink(d, value)
        else:
            d.begun = True
            return read_literal(d, block, length, at, out, room, field)
    return HPACK_END


def read_indexed(d, index, out, room, field):
    text: cython.p_const_char = NULL
    entry: cython.pointer(HpackEntry) = entry_of(d, index, address(text))
    if entry == NULL:
        return HPACK_BROKEN
    bytes: uint32_t = cast(uint32_t, entry.name) + entry.value + 4
    if bytes > room:
        return HPACK_LONG if room >= HPACK_LINE_MAX else HPACK_NO_ROOM
    memcpy(out, text + entry.at, bytes)
    field.name = entry.name
    field.value = entry.value
    field.id = entry.id
    field.faults = entry.faults
    return HPACK_FIELD


def read_literal(d, block, length, at, out, room, field):
    """6.2.1 to 6.2.3: with indexing, without indexing, never indexed. Reads nothing if there is not enough room."""
    begin: uint32_t = at[0]
    first: uint8_t = block[begin]
    indexing: cython.bint = (first & 0x40) != 0
    index: uint32_t = 0
    text: cython.p_const_char = NULL
    n: cython.int
    if read_integer(block, length, at, 6 if indexing else 4, address(index)) < 0:
        return HPACK_BROKEN
    if index:
        entry: cython.pointer(HpackEntry) = entry_of(d, index, address(text))
        if entry == NULL:
            return HPACK_BROKEN
        n = entry.name
        if cast(uint32_t, n) + 4 <= room:
            memcpy(out, text + entry.at, n)
        else:
            n = HUFFMAN_NO_ROOM
        field.id = entry.id
        field.faults = entry.faults & HPACK_BAD_NAME
    else:
        n = read_string(block, length, at, out, room)
        if n >= 0:
            field.id = name_id(out, n)
            field.faults = name_faults(out, n)
    if n >= 0:
        field.name = n
        n = read_string(block, length, at, out + n + 2, room - n - 4) if field.name + 4 <= room else HUFFMAN_NO_ROOM
    if n == HUFFMAN_BROKEN:
        return HPACK_BROKEN
    if n == HUFFMAN_NO_ROOM:
        at[0] = begin
        return read_over(d, block, length, at) if room >= HPACK_LINE_MAX else HPACK_NO_ROOM
    field.value = n
    out[field.name] = b":"
    out[field.name + 1] = b" "
    out[field.name + 2 + field.value] = CR
    out[field.name + 3 + field.value] = LF
    field.faults |= value_faults(out + field.name + 2, field.value)
    if indexing:
        table_insert(d, out, field)
    return HPACK_FIELD


def read_over(d, block, length, at):
    """Skips a literal that is too long for the table too: it empties the table (RFC 7541 4.4)."""
    indexing: cython.bint = (block[at[0]] & 0x40) != 0
    index: uint32_t = 0
    strings: cython.int
    if read_integer(block, length, at, 6 if indexing else 4, address(index)) < 0:
        return HPACK_BROKEN
    for strings in range(1 if index else 2):
        bytes: uint32_t = 0
        if at[0] >= length or read_integer(block, length, at, 7, address(bytes)) < 0 or bytes > length - at[0]:
            return HPACK_BROKEN
        at[0] += bytes
    if indexing:
        table_shrink(d, 0)
    return HPACK_LONG


def read_integer(block, length, at, prefix, value):
    """RFC 7541 5.1. 0, or -1: truncated, or above HPACK_INTEGER_MAX."""
    most: uint32_t = (1 << prefix) - 1
    total: uint32_t = block[at[0]] & most
    shift: uint32_t = 0
    at[0] += 1
    if total == most:
        while True:
            # Four more octets hold 28 bits. No encoder needs a longer form, such as one padded with zeros.
            if at[0] >= length or shift > 21:
                return -1
            octet: uint8_t = block[at[0]]
            at[0] += 1
            total += cast(uint32_t, octet & 0x7F) << shift
            shift += 7
            if not octet & 0x80:
                break
    value[0] = total
    return 0 if total <= HPACK_INTEGER_MAX else -1


def read_string(block, length, at, out, room):
    """RFC 7541 5.2. Returns the octets written, HUFFMAN_BROKEN or HUFFMAN_NO_ROOM."""
    bytes: uint32_t = 0
    if at[0] >= length:
        return HUFFMAN_BROKEN
    coded: cython.bint = (block[at[0]] & 0x80) != 0
    if read_integer(block, length, at, 7, address(bytes)) < 0 or bytes > length - at[0]:
        return HUFFMAN_BROKEN
    begin: uint32_t = at[0]
    at[0] += bytes
    if coded:
        return huffman_decode(block + begin, bytes, out, room)
    if bytes > room:
        return HUFFMAN_NO_ROOM
    memcpy(out, block + begin, bytes)
    return cast(cython.int, bytes)


def entry_of(d, index, text):
    """Returns the entry at an index (RFC 7541 2.3.3), and in `text` the base of its offset. NULL: no such entry."""
    if 0 < index <= HPACK_STATIC:
        text[0] = HPACK_STATIC_TEXT
        return address(HPACK_STATIC_ENTRIES[index])
    if index == 0 or index - HPACK_STATIC > d.count:
        return NULL
    text[0] = d.text
    return address(d.entries[(d.newest + HPACK_ENTRIES + HPACK_STATIC + 1 - index) % HPACK_ENTRIES])


def table_insert(d, line, field):
    """RFC 7541 4.4. `line` is not in the table, so evictions do not overwrite it."""
    bytes: uint32_t = field.name + field.value + 4
    size: uint32_t = field.name + field.value + HPACK_ENTRY_BYTES
    oldest: uint32_t
    i: uint32_t
    if size > d.most:
        table_shrink(d, 0)
        return
    table_shrink(d, d.most - size)
    if d.end + bytes > HPACK_TABLE_BYTES:
        # Move the lines to the front. This is rare: an entry counts 28 octets more than its line has.
        oldest = (d.newest + HPACK_ENTRIES + 1 - d.count) % HPACK_ENTRIES
        gap: uint16_t = d.entries[oldest].at if d.count else d.end
        memmove(d.text, d.text + gap, d.end - gap)
        for i in range(d.count):
            d.entries[(oldest + i) % HPACK_ENTRIES].at -= gap
        d.end -= gap
    BUG_ON(d.end + bytes > HPACK_TABLE_BYTES or d.count >= HPACK_ENTRIES)
    memcpy(d.text + d.end, line, bytes)
    d.newest = (d.newest + 1) % HPACK_ENTRIES
    d.entries[d.newest] = HpackEntry(
        d.end, cast(uint16_t, field.name), cast(uint16_t, field.value), field.id, field.faults
    )
    d.end += cast(uint16_t, bytes)
    d.count += 1
    d.size += cast(uint16_t, size)


def table_shrink(d, size):
    """Evicts the oldest entries until at most `size` octets are left (RFC 7541 4.3)."""
    while d.size > size:
        oldest: cython.pointer(HpackEntry) = address(
            d.entries[(d.newest + HPACK_ENTRIES + 1 - d.count) % HPACK_ENTRIES]
        )
        d.size -= cast(uint16_t, oldest.name + oldest.value + HPACK_ENTRY_BYTES)
        d.count -= 1
    if d.count == 0:
        d.end = 0


def name_id(name, length):
    if length == 0 or name[0] != b":":
        return cast(uint8_t, field_id(name, length))
    elif length == 5:
        return PSEUDO_PATH if memcmp(name, b":path", 5) == 0 else PSEUDO_OTHER
    elif length == 7:
        if memcmp(name, b":method", 7) == 0:
            return PSEUDO_METHOD
        elif memcmp(name, b":scheme", 7) == 0:
            return PSEUDO_SCHEME
        return PSEUDO_STATUS if memcmp(name, b":status", 7) == 0 else PSEUDO_OTHER
    elif length == 9:
        return PSEUDO_PROTOCOL if memcmp(name, b":protocol", 9) == 0 else PSEUDO_OTHER
    return PSEUDO_AUTHORITY if length == 10 and memcmp(name, b":authority", 10) == 0 else PSEUDO_OTHER


def name_faults(name, length):
    """RFC 9113 8.2.1: a token (RFC 9110 5.1) without upper-case letters. A pseudo field has a colon before it."""
    begin: uint32_t = 1 if length and name[0] == b":" else 0
    i: uint32_t
    if length == begin or token_run(name + begin, length - begin) != length - begin:
        return HPACK_BAD_NAME
    for i in range(begin, length):
        if b"A" <= name[i] <= b"Z":
            return HPACK_BAD_NAME
    return 0


def value_faults(value, length):
    """RFC 9113 8.2.1: what RFC 9110 5.5 allows, without white space at the start or end."""
    if length == 0:
        return 0
    if value_run(value, length) != length or value[0] == SP or value[0] == HT:
        return HPACK_BAD_VALUE
    return HPACK_BAD_VALUE if value[length - 1] == SP or value[length - 1] == HT else 0


build_static(STATIC.strip("\n").split("\n"))


# For tests and tools.


def decode_blocks(blocks: list, room: int = 1 << 16, table: int = HPACK_TABLE_BYTES) -> list:
    """Decodes the blocks in order with one decoder. Returns a list of (name, value, id, faults) for each block, with
    None for a field that is longer than `room`. Stops at a broken block, with "broken"."""
    decoder: HpackDecoder
    field: HpackField
    at: uint32_t
    result: cython.int
    found: list = []
    memory: cython.p_uchar
    length: cython.Py_ssize_t
    small: cython.p_char = cast(cython.p_char, malloc(room + 1))
    large: cython.p_char = cast(cython.p_char, malloc(HPACK_LINE_MAX))
    hpack_decoder_begin(address(decoder))
    for block in blocks:
        # Memory of exactly this length, so that a sanitizer detects a read beyond it.
        length = len(block)
        memory = cast(cython.p_uchar, malloc(length if length else 1))
        memcpy(memory, cast(cython.p_const_char, block), length)
        fields: list = []
        decoder.begun = False
        at = 0
        while True:
            out: cython.p_char = small
            result = hpack_read(address(decoder), memory, length, address(at), small, room, address(field))
            if result == HPACK_NO_ROOM:
                out = large
                result = hpack_read(
                    address(decoder), memory, length, address(at), large, HPACK_LINE_MAX, address(field)
                )
                result = HPACK_LONG if result == HPACK_FIELD else result
            if result == HPACK_FIELD:
                end: uint32_t = field.name + 2 + field.value
                if out[field.name : field.name + 2] != b": " or out[end : end + 2] != b"\r\n":
                    raise AssertionError("not a line")
                fields.append((out[: field.name], out[field.name + 2 : end], field.id, field.faults))
            elif result == HPACK_LONG:
                fields.append(None)
            else:
                break
        free(memory)
        found.append("broken" if result == HPACK_BROKEN else fields)
        if result == HPACK_BROKEN:
            break
    free(small)
    free(large)
    return found
