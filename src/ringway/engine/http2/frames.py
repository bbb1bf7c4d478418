"""HTTP/2 frames: a head of nine octets, then the payload."""

import cython
from cython import address, cast
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.http2.frames import *

# ------------------------------------------------------------------------------------------------- reading


def frame_reader_begin(r, server):
    r.server = server
    r.have = 0
    r.block = 0
    r.block_end = False
    r.begun = False
    r.fresh = False


def frame_read(r, data, length, used):
    n: uint32_t = 0
    taken: uint32_t = 0
    event: cython.int
    if r.have < FRAME_HEAD_BYTES:
        while r.have < FRAME_HEAD_BYTES and n < length:
            r.head[r.have] = data[n]
            r.have += 1
            n += 1
        used[0] = n
        if r.have < FRAME_HEAD_BYTES:
            return GOT_NONE
        event = frame_begin(r)
        if event != GOT_NONE:
            return event
    if r.type == FRAME_DATA or r.type == FRAME_HEADERS or r.type == FRAME_CONTINUATION:
        event = frame_piece(r, data + n, length - n, address(taken))
    else:
        event = frame_small(r, data + n, length - n, address(taken))
    used[0] = n + taken
    return event


def frame_begin(r):
    """Checks the head of a frame before any of its payload arrives."""
    fault: cython.int
    r.length = r.left = (cast(uint32_t, r.head[0]) << 16) | (cast(uint32_t, r.head[1]) << 8) | r.head[2]
    r.type = r.head[3]
    r.flags = r.head[4]
    r.id = read_number(r.head + 5) & 0x7FFFFFFF  # 4.1: ignore the first bit, which is reserved
    r.front = 0
    r.padding = 0
    r.small_length = 0
    r.uncounted = 0
    r.code = H2_NO_ERROR
    r.begins = r.complete = r.end = False
    fault = frame_fault(r)
    if fault:
        return frame_error(r, fault)
    r.begun = True
    if r.type == FRAME_HEADERS:
        r.fresh = True
        r.block = r.id
        r.block_end = (r.flags & FLAG_END_STREAM) != 0
        r.front = 5 if r.flags & FLAG_PRIORITY else 0
    if (r.type == FRAME_DATA or r.type == FRAME_HEADERS) and r.flags & FLAG_PADDED:
        r.front += 1
    # 6.1, 6.2: the payload must hold these octets
    return GOT_NONE if r.front <= r.length else frame_error(r, H2_FRAME_SIZE_ERROR)


def frame_fault(r):
    if r.length > FRAME_BYTES_DEFAULT:
        return H2_FRAME_SIZE_ERROR  # 4.2
    if r.block != 0 and (r.type != FRAME_CONTINUATION or r.id != r.block):
        return H2_PROTOCOL_ERROR  # 6.10: no other frame between the frames of a block
    if not r.begun and (r.type != FRAME_SETTINGS or r.flags & FLAG_ACK):
        return H2_PROTOCOL_ERROR  # 3.4
    if r.type == FRAME_DATA or r.type == FRAME_HEADERS:
        return H2_PROTOCOL_ERROR if r.id == 0 else 0
    elif r.type == FRAME_CONTINUATION:
        return H2_PROTOCOL_ERROR if r.block == 0 else 0
    elif r.type == FRAME_PRIORITY:
        return H2_PROTOCOL_ERROR if r.id == 0 else 0  # a wrong length is only a lane error (6.3)
    elif r.type == FRAME_RST_STREAM:
        return H2_FRAME_SIZE_ERROR if r.length != 4 else H2_PROTOCOL_ERROR if r.id == 0 else 0
    elif r.type == FRAME_SETTINGS:
        if r.id != 0:
            return H2_PROTOCOL_ERROR
        return H2_FRAME_SIZE_ERROR if r.length % SETTING_BYTES or (r.flags & FLAG_ACK and r.length) else 0
    elif r.type == FRAME_PUSH_PROMISE:
        return H2_PROTOCOL_ERROR  # 6.6: clients must not send it, and our settings forbid it to servers (6.5.2)
    elif r.type == FRAME_PING:
        return H2_PROTOCOL_ERROR if r.id != 0 else H2_FRAME_SIZE_ERROR if r.length != 8 else 0
    elif r.type == FRAME_GOAWAY:
        return H2_PROTOCOL_ERROR if r.id != 0 else H2_FRAME_SIZE_ERROR if r.length < 8 else 0
    elif r.type == FRAME_WINDOW_UPDATE:
        return H2_FRAME_SIZE_ERROR if r.length != 4 else 0
    elif r.type == FRAME_PRIORITY_UPDATE:
        # RFC 9218 7.1: on the connection, and only from clients
        return H2_PROTOCOL_ERROR if r.id != 0 or not r.server else H2_FRAME_SIZE_ERROR if r.length < 4 else 0
    return 0


def frame_piece(r, data, length, used):
    """A piece of DATA or of a field block."""
    n: uint32_t = 0
    fault: cython.int
    while r.front and n < length:
        fault = frame_front(r, data[n])
        n += 1
        if fault:
            return frame_error(r, fault)
    run: uint32_t = min(length - n, r.left) if r.front == 0 else 0
    payload: uint32_t = r.left - r.padding if r.left > r.padding else 0
    used[0] = n + run
    r.uncounted += n + run
    r.piece = data + n
    r.piece_length = min(run, payload)
    if r.front == 0:
        r.left -= run
    if r.left and r.piece_length == 0:
        return GOT_NONE
    if r.type == FRAME_DATA:
        r.counted = r.uncounted
        r.uncounted = 0
        r.end = r.left == 0 and (r.flags & FLAG_END_STREAM) != 0
        return GOT_DATA if r.left else frame_end(r, GOT_DATA)
    r.begins = r.fresh
    r.fresh = False
    if r.left:
        return GOT_BLOCK
    r.complete = (r.flags & FLAG_END_HEADERS) != 0
    r.end = r.complete and r.block_end
    if r.complete:
        r.block = 0
    return frame_end(r, GOT_BLOCK)


def frame_front(r, octet):
    """6.1, 6.2: the length of the padding, then a priority. We check one rule of it: RFC 7540 5.3.1."""
    padded: cython.bint = (r.flags & FLAG_PADDED) != 0
    r.left -= 1
    r.front -= 1
    if padded and r.left == r.length - 1:
        r.padding = octet
        return H2_PROTOCOL_ERROR if cast(uint32_t, octet) + r.front > r.left else 0
    r.small[r.small_length] = octet
    r.small_length += 1
    if r.front == 0 and read_number(r.small) & 0x7FFFFFFF == r.id:
        r.code = H2_PROTOCOL_ERROR
    return 0


def frame_small(r, data, length, used):
    """Collects a small frame, and skips what does not fit."""
    run: uint32_t = min(length, r.left)
    kept: uint32_t = min(run, cast(uint32_t, FRAME_SMALL_BYTES) - r.small_length)
    fault: cython.int
    if r.type == FRAME_SETTINGS:
        run = kept = min(run, cast(uint32_t, SETTING_BYTES) - r.small_length)
    memcpy(r.small + r.small_length, data, kept)
    r.small_length += cast(uint8_t, kept)
    r.left -= run
    used[0] = run
    if r.type == FRAME_SETTINGS and r.small_length == SETTING_BYTES:
        r.small_length = 0
        r.setting = cast(uint16_t, (r.small[0] << 8) | r.small[1])
        r.value = read_number(r.small + 2)
        fault = setting_fault(r)
        return GOT_SETTING if fault == 0 else frame_error(r, fault)
    return GOT_NONE if r.left else frame_whole(r)


def frame_whole(r):
    if r.type == FRAME_SETTINGS:
        return frame_end(r, GOT_SETTINGS_ACK if r.flags & FLAG_ACK else GOT_SETTINGS_END)
    elif r.type == FRAME_PING:
        return frame_end(r, GOT_PING_ACK if r.flags & FLAG_ACK else GOT_PING)
    elif r.type == FRAME_RST_STREAM:
        r.code = read_number(r.small)
        return frame_end(r, GOT_RESET)
    elif r.type == FRAME_WINDOW_UPDATE:
        r.value = read_number(r.small) & 0x7FFFFFFF
        if r.value == 0:  # 6.9
            return lane_error(r, H2_PROTOCOL_ERROR) if r.id else frame_error(r, H2_PROTOCOL_ERROR)
        return frame_end(r, GOT_WINDOW)
    elif r.type == FRAME_GOAWAY:
        r.value = read_number(r.small) & 0x7FFFFFFF
        r.code = read_number(r.small + 4)
        return frame_end(r, GOT_GOAWAY)
    elif r.type == FRAME_PRIORITY:
        if r.length != 5:  # 6.3
            return lane_error(r, H2_FRAME_SIZE_ERROR)
        if read_number(r.small) & 0x7FFFFFFF == r.id:  # RFC 7540 5.3.1
            return lane_error(r, H2_PROTOCOL_ERROR)
    elif r.type == FRAME_PRIORITY_UPDATE:
        r.value = read_number(r.small) & 0x7FFFFFFF
        return frame_end(r, GOT_PRIORITY) if r.value else frame_error(r, H2_PROTOCOL_ERROR)
    return frame_end(r, GOT_IGNORED)


def setting_fault(r):
    """RFC 9113 6.5.2, RFC 8441 3, RFC 9218 2.1. Ignores other settings."""
    if r.setting == SETTING_ENABLE_PUSH:
        return H2_PROTOCOL_ERROR if r.value > (1 if r.server else 0) else 0
    elif r.setting == SETTING_INITIAL_WINDOW_SIZE:
        return H2_FLOW_CONTROL_ERROR if r.value > WINDOW_MAX else 0
    elif r.setting == SETTING_MAX_FRAME_SIZE:
        return H2_PROTOCOL_ERROR if not FRAME_BYTES_DEFAULT <= r.value <= FRAME_BYTES_LIMIT else 0
    elif r.setting == SETTING_ENABLE_CONNECT_PROTOCOL or r.setting == SETTING_NO_RFC7540_PRIORITIES:
        return H2_PROTOCOL_ERROR if r.value > 1 else 0
    return 0


def frame_end(r, event):
    r.have = 0
    return event


def frame_error(r, code):
    r.code = code
    return GOT_ERROR


def lane_error(r, code):
    r.code = code
    return frame_end(r, GOT_LANE_ERROR)


# ------------------------------------------------------------------------------------------------- writing


def read_number(data):
    return (
        (cast(uint32_t, data[0]) << 24)
        | (cast(uint32_t, data[1]) << 16)
        | (cast(uint32_t, data[2]) << 8)
        | cast(uint32_t, data[3])
    )


def write_number(out, value):
    out[0] = cast(uint8_t, value >> 24)
    out[1] = cast(uint8_t, value >> 16)
    out[2] = cast(uint8_t, value >> 8)
    out[3] = cast(uint8_t, value)


def frame_write(out, length, type, flags, id):
    BUG_ON(length > FRAME_BYTES_LIMIT)
    write_number(out, (length << 8) | cast(uint32_t, type))
    out[4] = cast(uint8_t, flags)
    write_number(out + 5, id)


def setting_write(out, setting, value):
    out[0] = 0
    out[1] = cast(uint8_t, setting)
    write_number(out + 2, value)
    return SETTING_BYTES


def reset_write(out, id, code):
    frame_write(out, 4, FRAME_RST_STREAM, 0, id)
    write_number(out + FRAME_HEAD_BYTES, code)
    return FRAME_HEAD_BYTES + 4


def window_write(out, id, increment):
    frame_write(out, 4, FRAME_WINDOW_UPDATE, 0, id)
    write_number(out + FRAME_HEAD_BYTES, increment)
    return FRAME_HEAD_BYTES + 4


def goaway_write(out, last, code):
    frame_write(out, 8, FRAME_GOAWAY, 0, 0)
    write_number(out + FRAME_HEAD_BYTES, last)
    write_number(out + FRAME_HEAD_BYTES + 4, code)
    return FRAME_HEAD_BYTES + 8


def ping_write(out, octets, ack):
    frame_write(out, 8, FRAME_PING, FLAG_ACK if ack else 0, 0)
    memcpy(out + FRAME_HEAD_BYTES, octets, 8)
    return FRAME_HEAD_BYTES + 8


# For tests and tools.

EVENTS = (
    "none", "data", "block", "setting", "settings_end", "settings_ack", "ping", "ping_ack", "goaway", "window", "reset",
    "priority", "ignored", "lane_error", "error",
)  # fmt: skip


def read_frames(pieces: list, server: bool = True) -> list:
    """Feeds the pieces to one reader and returns its events: tuples that begin with the event's name. Joins the pieces
    of a DATA frame and of a field block. Leaves out what is not complete at the end."""
    r: FrameReader
    used: uint32_t
    at: uint32_t
    event: cython.int = GOT_NONE
    memory: cython.p_uchar
    length: uint32_t
    found: list = []
    open_data: list = []  # [id, payload, counted]
    open_block: list = []  # [id, fragment, code]
    frame_reader_begin(address(r), server)
    for piece in pieces:
        # Memory of exactly this length, so that a sanitizer detects a read beyond it.
        length = len(piece)
        memory = cast(cython.p_uchar, malloc(length if length else 1))
        memcpy(memory, cast(cython.p_const_char, piece), length)
        at = 0
        while True:
            used = 0
            event = frame_read(address(r), memory + at, length - at, address(used))
            at += used
            if event == GOT_NONE or event == GOT_ERROR:
                break
            text: bytes = r.piece[: r.piece_length] if event == GOT_DATA or event == GOT_BLOCK else b""
            if event == GOT_DATA:
                open_data = open_data or [r.id, b"", 0]
                open_data[1] += text
                open_data[2] += r.counted
                if r.have == 0:
                    found.append(("data", *open_data, bool(r.end)))
                    open_data = []
            elif event == GOT_BLOCK:
                if bool(r.begins) != (not open_block):
                    raise AssertionError("a block begins in a block, or without HEADERS")
                open_block = open_block or [r.id, b"", r.code]
                open_block[1] += text
                if r.complete:
                    found.append(("block", *open_block, bool(r.end)))
                    open_block = []
            elif event == GOT_SETTING:
                found.append(("setting", r.setting, r.value))
            elif event == GOT_PING or event == GOT_PING_ACK:
                found.append((EVENTS[event], r.small[:8]))
            elif event == GOT_GOAWAY:
                found.append(("goaway", r.value, r.code))
            elif event == GOT_WINDOW:
                found.append(("window", r.id, r.value))
            elif event == GOT_RESET or event == GOT_LANE_ERROR:
                found.append((EVENTS[event], r.id, r.code))
            elif event == GOT_PRIORITY:
                found.append(("priority", r.value, r.small[4 : r.small_length]))
            else:
                found.append((EVENTS[event],))
        free(memory)
        if event == GOT_ERROR:
            found.append(("error", r.code))
            break
    return found
