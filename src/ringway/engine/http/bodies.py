"""Bodies: decode, count and frame them."""

import cython
from cython import cast
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http.chunked import *
from cython.cimports.ringway.engine.http.request_head import *


def body_begin(body, chunks, framing, length, limits):
    body.framing = cast(cython.uchar, framing)
    body.left = length
    body.total = 0
    body.done = framing == FRAMING_NONE or (framing == FRAMING_LENGTH and length == 0)
    if framing == FRAMING_LANE:
        chunks.trailer_length = 0
    if framing == FRAMING_CHUNKED:
        chunked_begin(chunks, limits.chunk_line_bytes, limits.trailer_bytes)


def body_decode(body, chunks, data, length, used, start, got):
    used[0] = 0
    start[0] = 0
    got[0] = 0
    result: cython.int
    if body.done:
        return 0
    if body.framing == FRAMING_CHUNKED:
        result = chunked_decode(chunks, data, length, used, start, got)
        if result < 0:
            return result
        body.done = result > 0
    elif body.framing == FRAMING_CLOSE or body.framing == FRAMING_LANE:
        used[0] = length
        got[0] = length
    else:
        got[0] = cast(uint32_t, min(body.left, cast(uint64_t, length)))
        used[0] = got[0]
        body.left -= got[0]
        body.done = body.left == 0
    body.total += got[0]
    return 0


def body_frame(body, b):
    if not body.chunked_out or b.start == b.end:
        return
    # RFC 9112 7.1: chunk-size CRLF chunk-data CRLF
    text: cython.char[FRAME_BYTES_MAX]
    p: cython.p_char = put_hex(text, length_of(b))
    p = put(p, b"\r\n", 2)
    n: uint32_t = cast(uint32_t, p - cast(cython.p_char, text))
    b.start -= n
    memcpy(b.base + b.start, text, n)
    memcpy(b.base + b.end, b"\r\n", 2)
    b.end += 2


def body_last(body, chunks, out):
    if not body.chunked_out:
        return 0
    p: cython.p_char = put(out, b"0\r\n", 3)
    if body.framing == FRAMING_CHUNKED or body.framing == FRAMING_LANE:
        p = put(p, chunks.trailer, chunks.trailer_length)
    p = put(p, b"\r\n", 2)
    return cast(uint32_t, p - out)
