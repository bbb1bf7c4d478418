"""The chunked decoder: payload in runs, everything else octet by octet, so the input can be split anywhere."""

import cython
from cython import address, cast
from cython.cimports.libc.stdint import uint8_t, uint32_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcpy, memmove
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http.chunked import *
from cython.cimports.ringway.engine.http.fields import *


def chunked_begin(c, line_max, trailer_max):
    c.line_max = cast(uint16_t, line_max)
    c.trailer_max = cast(uint16_t, min(trailer_max, cast(uint32_t, TRAILER_BYTES_MAX)))
    c.state = CHUNK_SIZE
    c.lenient = False
    c.digits = 0
    c.line = 0
    c.trailer_length = 0
    c.pending = 0
    c.left = 0
    c.total = 0


def chunked_decode(c, data, length, used, start, got):
    at: uint32_t = 0
    first: uint32_t = 0
    count: uint32_t = 0
    run: uint32_t
    result: cython.int = 0
    while at < length and c.state != CHUNK_END and result == 0:
        if c.state == CHUNK_DATA:
            run = cast(uint32_t, c.left) if c.left < length - at else length - at
            if count == 0:
                first = at
            elif first + count != at:
                memmove(data + first + count, data + at, run)
            count += run
            c.total += run
            c.left -= run
            at += run
            if c.left == 0:
                c.state = CHUNK_DATA_CR
            continue
        if c.state == CHUNK_DATA_CR:
            # RFC 9112 7.1: exactly CR LF after the data, otherwise the size is wrong
            result = 0 if data[at] == CR else -BAD_CHUNK
            c.state = CHUNK_DATA_LF
        elif c.state == CHUNK_DATA_LF:
            result = 0 if data[at] == LF else -BAD_CHUNK
            c.state = CHUNK_SIZE
        elif c.state == CHUNK_TRAILER:
            result = chunk_trailer(c, data[at])
        else:
            result = chunk_line(c, data[at])
        if result == 0:
            at += 1
    used[0] = at
    start[0] = first
    got[0] = count
    if result < 0:
        return result
    return 1 if c.state == CHUNK_END else 0


def chunk_line(c, octet):
    c.line += 1
    if c.line > c.line_max:
        return -BAD_CHUNK
    if c.state == CHUNK_SIZE_LF:
        if octet != LF:
            return -BAD_CHUNK
        c.state = CHUNK_DATA if c.left > 0 else CHUNK_TRAILER
        c.line = 0
        c.digits = 0
    elif c.state == CHUNK_SIZE and octet_is(octet, OCTET_HEX):
        return chunk_size_digit(c, octet)
    elif c.state > CHUNK_EXTENSION:
        return extension_octet(c, octet)
    elif octet == CR and c.digits > 0:
        c.state = CHUNK_SIZE_LF
    elif c.lenient and (octet == SP or octet == HT) and c.digits > 0 and c.state <= CHUNK_PADDING:
        c.state = CHUNK_PADDING
    elif c.state <= CHUNK_PADDING:
        # RFC 9112 7.1.1 allows white space before ";". Only request smuggling uses it.
        if octet != b";" or c.digits == 0:
            return -BAD_CHUNK
        c.state = CHUNK_EXTENSION if c.lenient else CHUNK_EXT_BEGIN
    elif not octet_is(octet, OCTET_VALUE):
        return -BAD_CHUNK  # extensions are skipped, but must not contain control characters
    return 0


def extension_octet(c, octet):
    blank: cython.bint = octet == SP or octet == HT
    if c.state == CHUNK_EXT_QUOTED or c.state == CHUNK_EXT_PAIR:
        if not octet_is(octet, OCTET_VALUE):
            return -BAD_CHUNK
        if c.state == CHUNK_EXT_PAIR:
            c.state = CHUNK_EXT_QUOTED
        elif octet == b'"':
            c.state = CHUNK_EXT_CLOSED
        elif octet == b"\\":
            c.state = CHUNK_EXT_PAIR
    elif c.state == CHUNK_EXT_BEGIN or c.state == CHUNK_EXT_EQUALS:
        if octet_is(octet, OCTET_TOKEN):
            c.state = CHUNK_EXT_NAME if c.state == CHUNK_EXT_BEGIN else CHUNK_EXT_VALUE
        elif octet == b'"' and c.state == CHUNK_EXT_EQUALS:
            c.state = CHUNK_EXT_QUOTED
        elif not blank:
            return -BAD_CHUNK
    elif octet == b";":
        c.state = CHUNK_EXT_BEGIN
    elif octet == b"=" and (c.state == CHUNK_EXT_NAME or c.state == CHUNK_EXT_NAMED):
        c.state = CHUNK_EXT_EQUALS
    elif blank:
        c.state = CHUNK_EXT_NAMED if c.state == CHUNK_EXT_NAME or c.state == CHUNK_EXT_NAMED else CHUNK_EXT_BLANK
    elif c.state == CHUNK_EXT_NAMED or c.state == CHUNK_EXT_BLANK:
        return -BAD_CHUNK
    elif octet == CR:
        c.state = CHUNK_SIZE_LF
    elif c.state == CHUNK_EXT_CLOSED or not octet_is(octet, OCTET_TOKEN):
        return -BAD_CHUNK
    return 0


def chunk_size_digit(c, octet):
    digit: uint8_t
    if octet_is(octet, OCTET_DIGIT):
        digit = cast(uint8_t, octet - ord("0"))
    else:
        digit = cast(uint8_t, (octet | 0x20) - ord("a") + 10)
    if c.lenient and c.left == 0:
        c.digits = 0  # only zeros so far
    if c.digits == CHUNK_DIGITS_MAX:
        return -BAD_CHUNK  # RFC 9112 7.1: the size must not overflow
    c.digits += 1
    c.left = (c.left << 4) | digit
    return 0


def chunk_trailer(c, octet):
    """Store the octet after the lines that were kept. `line` counts dropped lines too: it bounds the whole section."""
    end: uint32_t
    c.line += 1
    if c.line > c.trailer_max:
        return -TRAILER_TOO_LARGE
    end = cast(uint32_t, c.trailer_length) + c.pending
    if c.pending == 0 and (octet == SP or octet == HT):
        return -OBSOLETE_FOLD
    # RFC 9112 2.2: CR and LF only as a pair
    if (c.pending > 0 and c.trailer[end - 1] == CR) != (octet == LF):
        return -BARE_CR_OR_LF
    c.trailer[end] = octet
    c.pending += 1
    if octet != LF:
        return 0
    if c.pending == 2:
        c.pending = 0
        c.state = CHUNK_END
        return 0
    return trailer_line(c)


def trailer_line(c):
    field: Field
    line: cython.p_char = c.trailer + c.trailer_length
    result: cython.int = field_line(line, 0, c.pending, address(field))
    if result < 0:
        return result
    if not trailer_forbidden(line, field.name.length, field.id):
        c.trailer_length += c.pending
    c.pending = 0
    return 0


def trailer_forbidden(name, length, id):
    """RFC 9110 6.5.1: a trailer must not contain fields that the recipient needs before the content, or that control
    framing, routing, authentication or the form of the content. Ringway drops them, as 6.5.1 allows.
    """
    if id != FIELD_OTHER:
        # All fields that have an id are such fields, except these three, which only inform.
        return id != FIELD_USER_AGENT and id != FIELD_REFERER and id != FIELD_SERVER
    # Whole families of names. Content-Digest is meant to be a trailer (RFC 9530).
    if length > 8 and same_name(name, b"content-", 8):
        return length != 14 or not same_name(name, b"content-digest", 14)
    if length > 6 and same_name(name, b"proxy-", 6):
        return True
    if length > 3 and same_name(name, b"if-", 3):
        return True
    if length == 2:
        return same_name(name, b"if", 2)  # RFC 4918 10.4
    elif length == 3:
        return same_name(name, b"age", 3)
    elif length == 4:
        return same_name(name, b"vary", 4)
    elif length == 6:
        return same_name(name, b"cookie", 6) or same_name(name, b"pragma", 6) or same_name(name, b"accept", 6)
    elif length == 7:
        return same_name(name, b"expires", 7)
    elif length == 8:
        return same_name(name, b"location", 8)
    elif length == 10:
        return same_name(name, b"set-cookie", 10)
    elif length == 11:
        return same_name(name, b"set-cookie2", 11) or same_name(name, b"retry-after", 11)
    elif length == 12:
        return same_name(name, b"max-forwards", 12)
    elif length == 13:
        return same_name(name, b"authorization", 13) or same_name(name, b"cache-control", 13)
    elif length == 16:
        return same_name(name, b"www-authenticate", 16)
    return False


# For tests and tools.


def decode_chunked(
    pieces: list, line_max: int = 256, trailer_max: int = TRAILER_BYTES_MAX, lenient: bool = False
) -> dict:
    """Decode the pieces one after another. `rest`: what follows the body, in its last piece and in later ones."""
    c: Chunked
    used: uint32_t = 0
    start: uint32_t = 0
    got: uint32_t = 0
    result: cython.int = 0
    body: list = []
    memory: cython.p_char
    length: cython.Py_ssize_t
    number: cython.Py_ssize_t = 0
    rest: bytes = b""
    chunked_begin(address(c), line_max, trailer_max)
    c.lenient = lenient
    for piece in pieces:
        # Memory of exactly this length, so a sanitizer detects an overrun.
        length = len(piece)
        memory = cast(cython.p_char, malloc(length if length else 1))
        memcpy(memory, cast(cython.p_const_char, piece), length)
        result = chunked_decode(address(c), memory, length, address(used), address(start), address(got))
        body.append(memory[start : start + got])
        free(memory)
        number += 1
        if result != 0:
            rest = b"".join([piece[used:], *pieces[number:]])
            break
    return {
        "reason": reason_name(-result if result < 0 else 0).decode(),
        "ended": result > 0,
        "body": b"".join(body),
        "total": c.total,
        "trailer": c.trailer[: c.trailer_length],
        "rest": rest,
    }
