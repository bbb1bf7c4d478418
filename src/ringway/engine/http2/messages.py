"""HTTP/2 messages as field lines: pseudo fields become the first line, crumbs become one cookie, and back."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcmp, memcpy, memmove
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.http2.hpack_decode import *
from cython.cimports.ringway.engine.http2.hpack_encode import *
from cython.cimports.ringway.engine.http2.messages import *

# ------------------------------------------------------------------------------------------------- reading


def request_read(d, block, length, end, bounds, out, room, scratch, scratch_room, head):
    r: Reading
    field: HpackField
    line: cython.p_char = NULL
    result: cython.int
    reading_begin(address(r), d, block, length, bounds, out, room, scratch, scratch_room)
    # The access log also has rejected heads, as far as they were read: clear what the last head left.
    head.method_text.length = head.target.length = head.path.length = head.query.length = head.host.length = 0
    head.field_count = 0
    while True:
        result = next_field(address(r), address(field), address(line))
        if result != HPACK_FIELD:
            break
        if r.reason:
            continue
        if field.id >= FIELD_COUNT:
            take_pseudo(address(r), address(field), line)
            continue
        if not r.lined:
            write_line(address(r), head)
        if r.reason == 0:
            take_field(address(r), address(field), line, head)
    if result == HPACK_BROKEN:
        return MESSAGE_BROKEN
    if r.reason == 0 and not r.lined:
        write_line(address(r), head)
    if r.reason == 0 and r.used:
        write_cookie(address(r), head)
    return r.reason if r.reason else judge_request(address(r), end, head)


def trailer_read(d, block, length, bounds, out, room, scratch, scratch_room):
    r: Reading
    field: HpackField
    line: cython.p_char = NULL
    result: cython.int
    reading_begin(address(r), d, block, length, bounds, out, room, scratch, scratch_room)
    r.lined = True
    while True:
        result = next_field(address(r), address(field), address(line))
        if result != HPACK_FIELD:
            break
        if r.reason:
            continue
        if field.id >= FIELD_COUNT:
            refuse(address(r), BAD_PSEUDO_FIELD)  # RFC 9113 8.1
        elif field.faults or connection_field(line, field.name, field.id):
            refuse(address(r), BAD_FIELD)
        elif not trailer_forbidden(line, field.name, field.id):
            r.n += field.name + field.value + 4
    if result == HPACK_BROKEN:
        return MESSAGE_BROKEN
    return r.reason if r.reason else cast(cython.int, r.n)


def reading_begin(r, d, block, length, bounds, out, room, scratch, scratch_room):
    BUG_ON(scratch_room < MESSAGE_SCRATCH or room < 4)
    r.decoder = d
    r.block = block
    r.length = length
    r.at = 0
    r.bounds = bounds
    r.out = out
    r.room = min(room, cast(uint32_t, HEAD_BYTES_MAX))
    r.n = 0
    r.scratch = scratch
    r.scratch_room = scratch_room
    r.used = 0
    r.listed = 0
    r.count = 0
    r.reason = 0
    r.lined = False
    r.hosted = False
    r.method.length = r.scheme.length = r.path.length = r.authority.length = 0
    r.method.at = r.scheme.at = r.path.at = r.authority.at = NULL
    d.begun = False


def refuse(r, reason):
    if r.reason == 0:
        r.reason = -reason


def next_field(r, field, line):
    into: cython.p_char
    left: uint32_t
    result: cython.int
    while True:
        if r.reason:
            into = r.scratch
            left = r.scratch_room
        elif r.lined:
            into = r.out + r.n
            left = r.room - r.n - 2  # for the empty line
        else:
            into = r.scratch + r.used
            left = r.scratch_room - r.used
        result = hpack_read(r.decoder, r.block, r.length, address(r.at), into, left, field)
        if result == HPACK_NO_ROOM:
            refuse(r, HEAD_TOO_LARGE)  # and decode it again, into the scratch
            continue
        if result == HPACK_LONG:
            refuse(r, HEAD_TOO_LARGE)
            continue
        if result == HPACK_FIELD:
            r.count += 1
            r.listed += field.name + field.value + HPACK_ENTRY_BYTES
            if r.count > r.bounds.fields:
                refuse(r, TOO_MANY_FIELDS)
            if r.listed > r.bounds.bytes:
                refuse(r, HEAD_TOO_LARGE)
        line[0] = into
        return result


def take_pseudo(r, field, line):
    if r.lined:
        refuse(r, BAD_PSEUDO_FIELD)  # RFC 9113 8.3: pseudo fields come before other fields
    elif field.faults:
        refuse(
            r, BAD_TARGET if field.id == PSEUDO_PATH else BAD_HOST if field.id == PSEUDO_AUTHORITY else BAD_PSEUDO_FIELD
        )
    elif field.id == PSEUDO_METHOD:
        take_once(r, address(r.method), field, line)
    elif field.id == PSEUDO_SCHEME:
        take_once(r, address(r.scheme), field, line)
    elif field.id == PSEUDO_PATH:
        take_once(r, address(r.path), field, line)
    elif field.id == PSEUDO_AUTHORITY:
        take_once(r, address(r.authority), field, line)
    else:
        refuse(r, BAD_PSEUDO_FIELD)


def take_once(r, into, field, line):
    if into.at != NULL:
        refuse(r, BAD_PSEUDO_FIELD)
        return
    into.at = line + field.name + 2
    into.length = field.value
    r.used += field.name + field.value + 4


def line_reason(r):
    """RFC 9113 8.3.1, and the targets of RFC 9112 3.2 that we accept."""
    if r.method.length == 0 or token_run(r.method.at, r.method.length) != r.method.length:
        return -BAD_PSEUDO_FIELD if r.method.length == 0 else -BAD_METHOD
    if method_of(r.method.at, r.method.length) == METHOD_CONNECT:
        # 8.5: for forward proxies only. We reject it, as in HTTP/1.1.
        return -METHOD_NOT_IMPLEMENTED if r.scheme.at == NULL and r.path.at == NULL else -BAD_PSEUDO_FIELD
    if not span_is(r.scheme, b"https", 5) and not span_is(r.scheme, b"http", 4):
        return -BAD_PSEUDO_FIELD
    if r.path.length == 0:
        return -BAD_PSEUDO_FIELD
    if target_run(r.path.at, r.path.length) != r.path.length:
        return -BAD_TARGET
    if r.path.at[0] == b"/" or (
        r.path.length == 1 and r.path.at[0] == b"*" and method_of(r.method.at, r.method.length) == METHOD_OPTIONS
    ):
        return 0
    return -BAD_TARGET


def write_line(r, head):
    """Writes the request line of HTTP/1.1, and Host from the authority. Later fields go to `out`."""
    p: cython.p_char = r.out
    r.reason = line_reason(r)
    if r.reason:
        return
    if r.method.length + r.path.length + r.authority.length + 24 > r.room:
        refuse(r, HEAD_TOO_LARGE)
        return
    head.method_text.at = 0
    head.method_text.length = cast(uint16_t, r.method.length)
    head.target.at = cast(uint16_t, r.method.length + 1)
    head.target.length = cast(uint16_t, r.path.length)
    p = put(p, r.method.at, r.method.length)
    p = put(p, b" ", 1)
    p = put(p, r.path.at, r.path.length)
    p = put(p, b" HTTP/1.1\r\n", 11)
    r.n = cast(uint32_t, p - r.out)
    if r.authority.at != NULL:
        p = put(p, b"Host: ", 6)
        p = put(p, r.authority.at, r.authority.length)
        put(p, b"\r\n", 2)
        add_field(r, head, 4, r.authority.length, FIELD_HOST)
    r.lined = True
    r.used = 0


def take_field(r, field, line, head):
    bytes: uint32_t = field.name + field.value + 4
    value: cython.p_const_char = line + field.name + 2
    if field.faults or connection_field(line, field.name, field.id):
        refuse(r, BAD_FIELD)
        return
    if field.id == FIELD_TE and not (field.value == 8 and same_text(value, b"trailers", 8)):
        refuse(r, BAD_FIELD)  # RFC 9113 8.2.2
        return
    if field.id == FIELD_HOST and r.authority.at != NULL:
        # 8.3.1: both must be equal, or another server may route by the other one. write_line() has written Host.
        # Several are malformed, as in HTTP/1.1.
        if r.hosted or not same_authority(r.out, head.fields[0].value, value, field.value):
            refuse(r, BAD_HOST)
        r.hosted = True
        return
    if field.name == 6 and memcmp(line, b"cookie", 6) == 0:
        take_crumb(r, field, line)
        return
    if line != r.out + r.n:
        # The first field after the pseudo fields.
        if bytes + 2 > r.room - r.n:
            refuse(r, HEAD_TOO_LARGE)
            return
        memcpy(r.out + r.n, line, bytes)
    add_field(r, head, field.name, field.value, field.id)


def same_authority(lines, authority, value, length):
    i: uint32_t
    if authority.length != length:
        return False
    for i in range(length):
        if lower(cast(uint8_t, lines[authority.at + i])) != lower(cast(uint8_t, value[i])):
            return False
    return True


def take_crumb(r, field, line):
    """RFC 9113 8.2.3: a cookie may come in several fields. HTTP/1.1 needs one."""
    if field.value == 0:
        return  # it would end the cookie with "; "
    if r.used + field.value + 2 > r.scratch_room:
        refuse(r, HEAD_TOO_LARGE)
        return
    # The first crumb may be in the scratch itself, after its destination.
    if r.used:
        memcpy(r.scratch + r.used, b"; ", 2)
        r.used += 2
    memmove(r.scratch + r.used, line + field.name + 2, field.value)
    r.used += field.value


def write_cookie(r, head):
    if r.used + 12 > r.room - r.n:
        refuse(r, HEAD_TOO_LARGE)
        return
    p: cython.p_char = put(r.out + r.n, b"Cookie: ", 8)
    p = put(p, r.scratch, r.used)
    put(p, b"\r\n", 2)
    add_field(r, head, 6, r.used, FIELD_OTHER)


def add_field(r, head, name, value, id):
    field: cython.pointer(Field) = address(head.fields[head.field_count])
    BUG_ON(head.field_count >= FIELDS_MAX)
    field.name.at = cast(uint16_t, r.n)
    field.name.length = cast(uint16_t, name)
    field.value.at = cast(uint16_t, r.n + name + 2)
    field.value.length = cast(uint16_t, value)
    field.id = cast(uint8_t, id)
    field.hop = 0
    head.field_count += 1
    r.n += name + value + 4


def judge_request(r, end, head):
    """Checks the fields as HTTP/1.1 does, except for the framing of the body."""
    g: Gathered
    result: cython.int
    memcpy(r.out + r.n, b"\r\n", 2)
    r.n += 2
    head.length = r.n
    head.minor = 1
    head.method = cast(uint8_t, method_of(r.out, head.method_text.length))
    result = read_target(r.out, head)
    if result == 0:
        result = gather(r.out, head, address(g))
    if result < 0:
        return result
    BUG_ON(not parsed_alike(r.out, head))
    if end and head.content_length > 0:
        return -BAD_CONTENT_LENGTH  # RFC 9113 8.1.1
    if not end and not head.has_length:
        head.framing = FRAMING_LANE
        head.expect_continue = g.expect
    return cast(cython.int, r.n)


def connection_field(name, length, id):
    """Tells fields that belong to one HTTP/1.1 connection."""
    if (
        id == FIELD_CONNECTION
        or id == FIELD_KEEP_ALIVE
        or id == FIELD_PROXY_CONNECTION
        or id == FIELD_TRANSFER_ENCODING
        or id == FIELD_UPGRADE
    ):
        return True
    return length == 14 and memcmp(name, b"http2-settings", 14) == 0


def parsed_alike(lines, head):
    """Compares a head with the result of the HTTP/1.1 parser, in debug builds."""
    other: RequestHead
    i: uint32_t
    if request_parse(lines, head.length, address(other)) != 0:
        return False
    if (
        other.method != head.method
        or other.form != head.form
        or other.framing != head.framing
        or other.content_length != head.content_length
        or other.has_length != head.has_length
        or other.keep_alive != head.keep_alive
        or other.expect_continue != head.expect_continue
        or other.upgrade != head.upgrade
        or other.field_count != head.field_count
        or memcmp(address(other.method_text), address(head.method_text), 5 * cython.sizeof(Piece)) != 0
    ):
        return False
    for i in range(head.field_count):
        if (
            other.fields[i].name.at != head.fields[i].name.at
            or other.fields[i].name.length != head.fields[i].name.length
            or (head.fields[i].value.length and other.fields[i].value.at != head.fields[i].value.at)
            or other.fields[i].value.length != head.fields[i].value.length
            or other.fields[i].id != head.fields[i].id
        ):
            return False
    return True


# ------------------------------------------------------------------------------------------------- writing


def message_write(e, kind, lines, length, scheme, out, room):
    at: uint32_t = 0
    n: cython.int
    written: cython.int
    begin: uint32_t
    name: uint32_t
    if room < 6:
        return -1
    n = hpack_write_begin(e, out)
    if kind != MESSAGE_TRAILER:
        written = write_first(e, kind, lines, length, scheme, out + n, room - n)
        if written < 0:
            return -1
        n += written
        at = value_run(lines, length) + 2
    while at < length and lines[at] != CR:
        begin = at
        name = token_run(lines + at, length - at)
        at += name + 1
        while lines[at] == SP or lines[at] == HT:
            at += 1
        value: uint32_t = at
        at += value_run(lines + at, length - at)
        end: uint32_t = at
        while end > value and (lines[end - 1] == SP or lines[end - 1] == HT):
            end -= 1
        at += 2
        BUG_ON(name == 0 or lines[begin + name] != b":" or at > length or lines[at - 1] != LF)
        if left_out(lines + begin, name, lines + value, end - value, kind):
            continue
        written = hpack_write(e, lines + begin, name, lines + value, end - value, out + n, room - n)
        if written < 0:
            return -1
        n += written
    return n


def write_first(e, kind, lines, length, scheme, out, room):
    """Writes the pseudo fields (RFC 9113 8.3)."""
    n: cython.int
    written: cython.int
    path: uint32_t
    status: uint32_t
    first: uint32_t
    if kind == MESSAGE_RESPONSE:
        if room < 5:
            return -1
        # "HTTP/1.1 200 ...": our own writer or parser guarantees three digits.
        status = (lines[9] - ord("0")) * 100 + (lines[10] - ord("0")) * 10 + (lines[11] - ord("0"))
        return cast(cython.int, hpack_write_status(status, out))
    first = token_run(lines, length)
    path = first + 1
    n = write_static(e, span(b":method", 7), span(lines, first), out, room)
    if n < 0:
        return -1
    written = write_static(e, span(b":scheme", 7), scheme, out + n, room - n)
    if written < 0:
        return -1
    n += written
    host: Span = find_host(lines, length)
    if host.at != NULL:
        written = hpack_write(e, b":authority", 10, host.at, host.length, out + n, room - n)
        if written < 0:
            return -1
        n += written
    written = write_static(
        e, span(b":path", 5), span(lines + path, target_run(lines + path, length - path)), out + n, room - n
    )
    return -1 if written < 0 else n + written


def write_static(e, name, value, out, room):
    index: uint32_t = 0
    if name.length == 7 and value.length == 3 and memcmp(value.at, b"GET", 3) == 0:
        index = 2
    elif name.length == 7 and value.length == 4 and memcmp(value.at, b"POST", 4) == 0:
        index = 3
    elif name.length == 5 and value.length == 1 and value.at[0] == b"/":
        index = 4
    elif name.length == 7 and value.length == 4 and memcmp(value.at, b"http", 4) == 0:
        index = 6
    elif name.length == 7 and value.length == 5 and memcmp(value.at, b"https", 5) == 0:
        index = 7
    if index == 0 or room == 0:
        return hpack_write(e, name.at, name.length, value.at, value.length, out, room)
    out[0] = cast(uint8_t, 0x80 | index)
    return 1


def find_host(lines, length):
    """Returns the value of Host. It is the first field of the requests that we write. NULL: no Host."""
    at: uint32_t = 0
    begin: uint32_t
    while at < length and lines[at] != CR:
        if length - at > 6 and same_text(lines + at, b"host:", 5):
            begin = at + 5
            while lines[begin] == SP or lines[begin] == HT:
                begin += 1
            return span(lines + begin, value_run(lines + begin, length - begin))
        at += value_run(lines + at, length - at) + 2
    return span(NULL, 0)


def left_out(name, length, value, value_length, kind):
    """Tells fields that HTTP/2 forbids (RFC 9113 8.2.2), and Host, which becomes :authority (8.3.1)."""
    if length == 2:
        return same_text(name, b"te", 2) and not (value_length == 8 and same_text(value, b"trailers", 8))
    elif length == 4:
        return kind == MESSAGE_REQUEST and same_text(name, b"host", 4)
    elif length == 7:
        return same_text(name, b"upgrade", 7)
    elif length == 10:
        return same_text(name, b"connection", 10) or same_text(name, b"keep-alive", 10)
    elif length == 14:
        return same_text(name, b"http2-settings", 14)
    elif length == 16:
        return same_text(name, b"proxy-connection", 16)
    return length == 17 and same_text(name, b"transfer-encoding", 17)


# For tests and tools.


def piece_of(data: bytes, piece: Piece) -> bytes:
    return data[piece.at : piece.at + piece.length]


def read_requests(blocks: list, bytes_max: int = 16384, fields_max: int = 100, room: int = 16384) -> list:
    """Reads pairs of a block and `end` with one decoder. Returns for each a dict of its lines and its head, the name
    of a reason, or "broken"."""
    decoder: HpackDecoder
    bounds: MessageBounds
    head: RequestHead
    n: cython.int
    length: uint32_t
    found: list = []
    memory: cython.p_uchar
    most: uint32_t = room
    out: cython.p_char = cast(cython.p_char, malloc(most))
    scratch: cython.p_char = cast(cython.p_char, malloc(MESSAGE_SCRATCH))
    bounds.bytes = bytes_max
    bounds.fields = fields_max
    hpack_decoder_begin(address(decoder))
    for block, end in blocks:
        # Memory of exactly this length, so that a sanitizer detects a read beyond it.
        length = len(block)
        memory = cast(cython.p_uchar, malloc(length if length else 1))
        memcpy(memory, cast(cython.p_const_char, block), length)
        n = request_read(
            address(decoder), memory, length, end, address(bounds), out, most, scratch, MESSAGE_SCRATCH, address(head)
        )
        free(memory)
        if n == MESSAGE_BROKEN:
            found.append("broken")
            break
        if n < 0:
            found.append(reason_name(-n).decode())
            continue
        lines: bytes = out[:n]
        found.append(
            {
                "lines": lines,
                "method": piece_of(lines, head.method_text),
                "path": piece_of(lines, head.path),
                "query": piece_of(lines, head.query),
                "host": piece_of(lines, head.host),
                "framing": ("none", "length", "chunked", "close", "lane")[head.framing],
                "content_length": head.content_length,
                "expect_continue": bool(head.expect_continue),
                "fields": [
                    (piece_of(lines, f.name), piece_of(lines, f.value), f.id) for f in head.fields[: head.field_count]
                ],
            }
        )
    free(out)
    free(scratch)
    return found


def read_trailers(blocks: list, bytes_max: int = 16384, fields_max: int = 100) -> list:
    """Returns for each block its lines, the name of a reason, or "broken"."""
    decoder: HpackDecoder
    bounds: MessageBounds
    n: cython.int
    length: uint32_t
    found: list = []
    data: cython.p_const_uchar
    out: cython.p_char = cast(cython.p_char, malloc(16384))
    scratch: cython.p_char = cast(cython.p_char, malloc(MESSAGE_SCRATCH))
    bounds.bytes = bytes_max
    bounds.fields = fields_max
    hpack_decoder_begin(address(decoder))
    for block in blocks:
        length = len(block)
        data = block
        n = trailer_read(address(decoder), data, length, address(bounds), out, 16384, scratch, MESSAGE_SCRATCH)
        if n == MESSAGE_BROKEN:
            found.append("broken")
            break
        found.append(out[:n] if n >= 0 else reason_name(-n).decode())
    free(out)
    free(scratch)
    return found


def write_messages(messages: list) -> list:
    """Encodes tuples of a kind ("request", "response", "trailer") and lines to blocks, with one encoder."""
    encoder: HpackEncoder
    n: cython.int
    room: uint32_t
    lines: bytes
    blocks: list = []
    memory: cython.p_uchar
    hpack_encoder_begin(address(encoder))
    for kind, lines in messages:
        room = 64 + 4 * len(lines)
        memory = cast(cython.p_uchar, malloc(room))
        n = message_write(
            address(encoder),
            ("request", "response", "trailer").index(kind),
            lines,
            len(lines),
            span(b"https", 5),
            memory,
            room,
        )
        blocks.append(memory[:n] if n >= 0 else None)
        free(memory)
    return blocks
