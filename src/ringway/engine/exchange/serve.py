"""Responses from files."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection import *
from cython.cimports.ringway.engine.exchange.exchange import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.kernel import *
from cython.cimports.ringway.engine.native.linux import (
    EAGAIN,
    RWF_NOWAIT,
    errno,
    iovec,
    preadv2,
)
from cython.cimports.ringway.engine.plan import *

# --------------------------------------------------------------------------------------------------- the request


def serve_begin(w, x, b, head, length, path):
    x.head = b
    b.start = head
    x.head_bytes = length
    if not x.up.done:
        lane_leave_rest(x.front)  # RFC 9112 9.6: every response from here on says "close"
    if x.method != METHOD_GET and x.method != METHOD_HEAD:
        if x.method == METHOD_OTHER:
            exchange_fail(w, x, METHOD_NOT_IMPLEMENTED)
        else:
            exchange_fail_with(w, x, METHOD_NOT_ALLOWED, b"Allow: GET, HEAD\r\n", 18)
        return
    n: cython.int = 0
    name: cython.p_char = w.path
    i: cython.int
    if x.route.file_single:
        memcpy(name, text_at(x.rules.snapshot, x.route.base), x.route.base.length)
        n = cast(cython.int, x.route.base.length)
    else:
        n = path_decode(path.at, path.length, w.scratch, SCRATCH_BYTES)
        if n < 0 or n > FILE_PATH_MAX - 16:  # room for "index.html"
            exchange_fail(w, x, BAD_TARGET if n < 0 else FILE_NOT_FOUND)
            return
        i = 0
        while i < n and w.scratch[i] == b"/":  # paths below a folder are relative
            i += 1
        n -= i
        memcpy(name, w.scratch + i, n)
        # If the path is the prefix without a slash, nothing is left: open the folder itself, and redirect to the slash.
        if path.length and (n == 0 or name[n - 1] == b"/"):
            memcpy(name + n, b"index.html", 10)
            n += 10
    x.conditional = False
    for i in range(w.request.field_count):
        if FIELD_IF_MATCH <= w.request.fields[i].id <= FIELD_RANGE:
            x.conditional = True
    exchange_move(x, EXCHANGE_OPEN)
    f: cython.pointer(File) = file_open(w, x.route.folder, name, cast(uint32_t, n), kind_of(x.route), x)
    if f == NULL:
        exchange_fail(w, x, TOO_MANY_OPEN_FILES)
    elif file_settled(f):
        serve_ready(w, x)


def kind_of(route):
    kind: cython.int = FILE_COPY if route.file_mode == MODE_MEMORY else 0
    if route.file_single:
        return kind | FILE_FOLLOW | FILE_DOTS  # the operator wrote the path, nothing in it comes from a client
    return kind | (FILE_FOLLOW if route.follow_links else 0) | (FILE_DOTS if route.dot_files else 0)


def serve_ready(w, x):
    f: cython.pointer(File) = x.file
    if lane_closing(x.front):
        return
    if buffers_short(w, GROUP_SMALL):
        lane_send_later(w, x.front)  # client_event_sent() calls this again
        return
    if f.state == FILE_FAILED:
        exchange_fail(w, x, file_reason(f))
    elif f.folder:
        redirect_to_folder(w, x)
    else:
        serve_file(w, x)


def serve_file(w, x):
    asked: Conditions
    status: cython.int = 200
    if x.conditional:
        read_conditions(w, x, address(asked))
        status = conditions_check(
            address(asked),
            address(x.file.facts),
            True,
            x.method == METHOD_GET,
            w.clock.wall_seconds,
            x.ranges,
            address(x.range_count),
        )
        if x.range_count > x.rules.snapshot.limits.ranges:
            status = 200  # RFC 9110 14.2: a server may ignore them
    if status == 200:
        serve_whole(w, x)
    elif status == 206:
        serve_ranges(w, x)
    elif status == 304:
        serve_unchanged(w, x)
    elif status == 412:
        exchange_fail(w, x, PRECONDITION_FAILED)
    else:
        text: cython.char[64]
        p: cython.p_char = put(text, b"Content-Range: bytes */", 23)
        p = put_number(p, x.file.facts.size)
        p = put(p, b"\r\n", 2)
        exchange_fail_with(w, x, RANGE_NOT_SATISFIABLE, text, cast(uint32_t, p - cast(cython.p_char, text)))


def read_conditions(w, x, out):
    """Parse the kept head again: another request may have used w.request in the meantime."""
    data: cython.p_char = data_of(x.head)
    head: cython.pointer(RequestHead) = address(w.request)
    memset(out, 0, cython.sizeof(Conditions))
    if request_parse(data, x.head_bytes, head) < 0:
        return
    i: cython.int
    for i in range(head.field_count):
        condition_add(out, address(x.file.facts), head.fields[i].id, piece_span(data, head.fields[i].value))


def redirect_to_folder(w, x):
    """Add the slash to a folder's path: without it relative links in its index would not work."""
    data: cython.p_char = data_of(x.head)
    if request_parse(data, x.head_bytes, address(w.request)) < 0:
        exchange_fail(w, x, FILE_ERROR)
        return
    path: Span = piece_span(data, w.request.path)
    n: cython.int = path_normalise(path.at, path.length, w.path, PATH_BYTES)
    if n > 0:  # the path that was matched, without dot segments: the client resolves Location again
        path = span(w.path, cast(uint32_t, n))
    if n <= 0 or path.at[path.length - 1] == b"/":
        exchange_fail(w, x, FILE_NOT_FOUND)  # index.html is a folder
        return
    while path.length > 1 and path.at[1] == b"/":
        path.at += 1  # "//host" would be another site
        path.length -= 1
    most: cython.p_char = cast(cython.p_char, w.scratch) + LOCATION_BYTES_MAX - 2
    p: cython.p_char = put(w.scratch, b"Location: ", 10)
    p = put_within(p, most, path)
    p = put_within(p, most, span(b"/", 1))
    p = put_within(p, most, piece_span(data, w.request.query))
    if p == NULL:
        exchange_fail(w, x, TARGET_TOO_LONG)
        return
    p = put(p, b"\r\n", 2)
    exchange_answer(w, x, 301, w.scratch, cast(uint32_t, p - w.scratch), NULL, 0)


# ------------------------------------------------------------------------------------------------------ the head


def in_small(f, r):
    return f.copy != NULL and OWN_HEAD_MAX + r.fields.length + f.fields_length + f.facts.size <= SMALL_BYTES


def serve_whole(w, x):
    f: cython.pointer(File) = x.file
    body: cython.bint = x.method == METHOD_GET
    r: Reply
    exchange_reply(w, x, address(r))
    b: cython.pointer(Buffer) = exchange_room(w, address(r), f.fields_length)
    if b == NULL:
        exchange_fail(w, x, OUT_OF_MEMORY)
        return
    p: cython.p_char = b.base + HEADROOM
    p += write_own(p, 200, address(r))
    p = put(p, f.fields, f.fields_length)
    p = put(p, b"\r\n", 2)
    head: uint32_t = cast(uint32_t, p - data_of(b))
    exchange_move(x, EXCHANGE_SEND)
    exchange_began(w, x, 200)
    if body and in_small(f, address(r)):
        p = put(p, f.copy, cast(uint32_t, f.facts.size))
        x.down.total = f.facts.size
        body = False
    b.end = cast(uint32_t, p - b.base)
    if not body or f.facts.size == 0:
        lane_head(w, x.front, b, head, True)
        exchange_done(w, x)
        return
    x.file_at = 0
    x.file_left = f.facts.size
    send_head(w, x, b)


def send_head(w, x, b):
    # If user space sends the body, it begins in the head's buffer: one TLS record, one send. If sendfile sends it, the
    # head goes out alone: holding the head back with MSG_MORE makes the kernel split the file's pages into more
    # segments, which costs 10 microseconds for 100 KiB.
    lane: cython.pointer(Lane) = x.front
    if lane_frames(lane):
        lane_head(w, lane, b, length_of(b), False)
        serve_continue(w, x)
        return
    if x.file_left and (x.file_left <= room_behind(b) or not lane_sends_plain(lane)) and not lane_changes(w, lane):
        send_joined(w, x, b)
        return
    if x.file.copy != NULL or not lane_sends_plain(lane):
        lane_queue(w, lane, b)
    elif lane_drained(lane) and lane_send_now(lane, b):
        buffer_give(address(w.buffers), b)
    else:
        lane_send(w, lane, b)
    serve_continue(w, x)


def send_joined(w, x, b):
    """Append the body, or its beginning, to the head in its buffer."""
    lane: cython.pointer(Lane) = x.front
    large: cython.pointer(Buffer) = NULL
    n: uint32_t
    room: uint32_t = room_behind(b)
    if x.file_left > room and not lane_full(w, lane) and not lane_short(w, lane):
        large = buffer_take(address(w.buffers), GROUP_LARGE)
    if large != NULL:
        lane_charge(w, lane, large)
        if room_behind(large) > length_of(b):
            memcpy(large.base + large.end, data_of(b), length_of(b))
            large.end += length_of(b)
            buffer_give(address(w.buffers), b)
            b = large
            room = room_behind(b)
        else:
            buffer_give(address(w.buffers), large)
    n = cast(uint32_t, min(x.file_left, cast(uint64_t, room)))
    if x.file.copy != NULL:
        memcpy(b.base + b.end, x.file.copy + x.file_at, n)
    elif not read_cached(x, b.base + b.end, n):
        read_into(w, x, b)
        return
    x.file_at += n
    x.file_left -= n
    x.down.total += n
    b.end += n
    if x.file_left or x.part_due:
        lane_send(w, lane, b)
        serve_continue(w, x)
    else:
        lane_send_end(w, x.front, b)
        exchange_done(w, x)


def read_cached(x, out, length):
    """Read from the page cache without blocking. True: all `length` bytes were there."""
    part: iovec
    if length > READ_NOW_BYTES:
        return False
    part.iov_base = out
    part.iov_len = length
    return preadv2(x.file.fd, address(part), 1, cast(int64_t, x.file_at), RWF_NOWAIT) == length


def serve_unchanged(w, x):
    """304 (RFC 9110 15.4.5). Of the fields that describe the file send only ETag: by it a cache finds its copy."""
    f: cython.pointer(File) = x.file
    r: Reply
    exchange_reply(w, x, address(r))
    b: cython.pointer(Buffer) = exchange_room(w, address(r), f.fields_length)
    if b == NULL:
        exchange_fail(w, x, OUT_OF_MEMORY)
        return
    p: cython.p_char = b.base + HEADROOM
    p += write_own(p, 304, address(r))
    p = put(p, b"ETag: ", 6)
    p = put(p, f.etag, f.etag_length)
    p = put(p, b"\r\n\r\n", 4)
    b.end = cast(uint32_t, p - b.base)
    exchange_began(w, x, 304)
    lane_head(w, x.front, b, length_of(b), True)
    exchange_done(w, x)


def serve_ranges(w, x):
    """206 (RFC 9110 15.3.7): one range as the body, several as multipart/byteranges."""
    f: cython.pointer(File) = x.file
    r: Reply
    exchange_reply(w, x, address(r))
    b: cython.pointer(Buffer) = exchange_room(w, address(r), f.fields_length)
    if b == NULL:
        exchange_fail(w, x, OUT_OF_MEMORY)
        return
    fields: cython.p_char = f.fields
    fields_length: uint32_t = f.length_at
    p: cython.p_char = b.base + HEADROOM
    p += write_own(p, 206, address(r))
    length: uint64_t = x.ranges[0].length
    x.file_at = x.ranges[0].first
    x.file_left = x.ranges[0].length
    x.range_next = 1
    x.part_due = False
    if x.range_count == 1:
        p = put_content_range(p, f, x.file_at, x.file_left)
    else:
        # The parts have the media type of the file, the response has its own. It is the first field line.
        while fields_length and fields[0] != LF:
            fields += 1
            fields_length -= 1
        fields += 1
        fields_length -= 1
        p = put(p, b"Content-Type: multipart/byteranges; boundary=", 45)
        p += write_boundary(x, p)
        p = put(p, b"\r\n", 2)
        length = parts_length(x)
        x.range_next = 0
        x.file_left = 0
        x.part_due = True
    p = put(p, fields, fields_length)
    p = put(p, b"Content-Length: ", 16)
    p = put_number(p, length)
    p = put(p, b"\r\n\r\n", 4)
    b.end = cast(uint32_t, p - b.base)
    exchange_move(x, EXCHANGE_SEND)
    exchange_began(w, x, 206)
    send_head(w, x, b)


def put_content_range(out, f, first, length):
    out = put(out, b"Content-Range: bytes ", 21)
    out = put_number(out, first)
    out = put(out, b"-", 1)
    out = put_number(out, first + length - 1)
    out = put(out, b"/", 1)
    out = put_number(out, f.facts.size)
    return put(out, b"\r\n", 2)


def write_boundary(x, out):
    # From the time of the request, the slot and the inode, so that the file does not contain it by chance.
    p: cython.p_char = put(out, b"ringway-", 8)
    p = put_hex(p, x.began_ns ^ (cast(uint64_t, x.slot.index) << 48) ^ x.file.facts.inode)
    return cast(uint32_t, p - out)


def write_part(x, which, out):
    """Write the header of part `which`, or the closing boundary if `which` is the number of parts."""
    f: cython.pointer(File) = x.file
    p: cython.p_char = put(out, b"\r\n--", 4)
    p += write_boundary(x, p)
    if which == x.range_count:
        p = put(p, b"--\r\n", 4)
        return cast(uint32_t, p - out)
    p = put(p, b"\r\n", 2)
    i: uint32_t = 0
    while f.fields[i] != LF:  # the first line of the fields is Content-Type
        i += 1
    p = put(p, f.fields, i + 1)
    p = put_content_range(p, f, x.ranges[which].first, x.ranges[which].length)
    p = put(p, b"\r\n", 2)
    return cast(uint32_t, p - out)


def parts_length(x):
    text: cython.char[PART_BYTES_MAX]
    total: uint64_t = 0
    i: uint32_t
    for i in range(x.range_count):
        total += write_part(x, i, text) + x.ranges[i].length
    return total + write_part(x, x.range_count, text)


# ------------------------------------------------------------------------------------------------------ the body


def serve_continue(w, x):
    lane: cython.pointer(Lane) = x.front
    if lane.send_error:
        exchange_cut(w, x, CLIENT_CLOSED)
        return
    while x.state == EXCHANGE_SEND and not x.reading and not lane_waits(lane):
        if x.file_left == 0:
            if not next_part(w, x):
                return
        elif lane_full(w, lane):
            lane_stalled(w, lane)
            return
        elif not lane_sends_plain(lane) and lane_short(w, lane):
            lane_send_later(w, lane)
            return
        elif x.file.copy != NULL:
            if not send_copy(w, x):
                return
        elif not lane_sends_plain(lane) and not lane_changes(w, lane):
            read_body(w, x)
            return
        elif not lane_drained(lane):
            lane_flush(w, lane)  # sendfile bypasses the outbox, so the outbox must be sent first
            return
        elif not lane_becomes_plain(w, lane):
            read_body(w, x)  # the kernel refused
            return
        elif not send_from_file(w, x):
            return


def next_part(w, x):
    """Begin the next range, or end the response. False: there is nothing to send now."""
    lane: cython.pointer(Lane) = x.front
    b: cython.pointer(Buffer)
    if not x.part_due:
        lane_end(w, lane)
        exchange_done(w, x)
        return False
    b = buffer_take(address(w.buffers), GROUP_SMALL)
    if b == NULL:
        exchange_cut(w, x, OUT_OF_MEMORY)
        return False
    b.end += write_part(x, x.range_next, data_of(b))
    if x.range_next < x.range_count:
        x.file_at = x.ranges[x.range_next].first
        x.file_left = x.ranges[x.range_next].length
        x.range_next += 1
    else:
        x.part_due = False
    lane_send(w, lane, b)
    return True


def send_copy(w, x):
    """Lend a piece of the copy. The view holds a reference to the File until the piece is sent."""
    n: uint32_t = cast(uint32_t, min(x.file_left, cast(uint64_t, w.buffers.pool[GROUP_LARGE].payload)))
    if lane_sends_plain(x.front):
        n = cast(uint32_t, x.file_left)
    b: cython.pointer(Buffer) = buffer_take_view(
        address(w.buffers), x.file.copy + x.file_at, n, cast(cython.p_void, x.file)
    )
    if b == NULL:
        exchange_cut(w, x, OUT_OF_MEMORY)
        return False
    file_refer(x.file)
    x.file_at += n
    x.file_left -= n
    x.down.total += n
    lane_send(w, x.front, b)
    return True


def is_cached(x, length):
    """Can this step be sent without reading from the disk? Only its last byte is checked: cheap, and a good guess."""
    if x.file.warm:
        return True
    octet: cython.char
    part: iovec
    part.iov_base = address(octet)
    part.iov_len = 1
    return preadv2(x.file.fd, address(part), 1, cast(int64_t, x.file_at + length - 1), RWF_NOWAIT) != -1 or (
        errno != EAGAIN
    )


def send_from_file(w, x):
    step: uint64_t = min(x.file_left, cast(uint64_t, SENDFILE_STEP))
    sent: int64_t
    if not is_cached(x, step):
        read_body(w, x)
        return False
    sent = lane_sendfile(w, x.front, x.file.fd, x.file_at, step)
    if sent <= 0:
        if sent == 0:
            file_cut(w, x)
        elif sent != -EAGAIN:
            exchange_cut(w, x, CLIENT_CLOSED)
        return False
    x.file_at += cast(uint64_t, sent)
    x.file_left -= cast(uint64_t, sent)
    x.down.total += cast(uint64_t, sent)
    # The page cache had all of the file a moment ago. A File is checked again after `file_valid`.
    x.file.warm = x.file.warm or cast(uint64_t, sent) == x.file.facts.size
    if x.file_left:
        lane_took(w, x.front, cast(uint32_t, sent))
        lane_wait(w, x.front)  # also when the whole step was sent: the loop serves others first
        return False
    x.front.send_due_ms = 0
    return True


def file_cut(w, x):
    """The file is shorter than announced: cut the response. The next request checks the file's size again."""
    x.file.checked_ms = 0
    exchange_cut(w, x, FILE_CUT)


def serve_writable(w, x):
    serve_continue(w, x)


def read_body(w, x):
    if lane_short(w, x.front):
        lane_send_later(w, x.front)
        return
    b: cython.pointer(Buffer) = buffer_take(address(w.buffers), GROUP_LARGE)
    if b == NULL:
        exchange_cut(w, x, OUT_OF_MEMORY)
        return
    lane_charge(w, x.front, b)
    read_into(w, x, b)


def read_into(w, x, b):
    x.read_buffer = b
    x.reading = True
    w.moving += 1
    w.driver.read(
        address(w.driver),
        x.file.fd,
        b.base + b.end,
        cast(uint32_t, min(x.file_left, cast(uint64_t, room_behind(b)))),
        x.file_at,
        tag_of(OP_BODY_READ, x.slot.index, x.slot.generation),
    )


def serve_read(w, x, result):
    b: cython.pointer(Buffer) = x.read_buffer
    x.reading = False
    w.moving -= 1
    x.read_buffer = NULL
    if result <= 0 or lane_closing(x.front):
        buffer_give(address(w.buffers), b)
        if not lane_closing(x.front):
            file_cut(w, x)
        return
    b.end += cast(uint32_t, result)
    x.file_at += cast(uint32_t, result)
    x.file_left -= cast(uint32_t, result)
    x.down.total += cast(uint32_t, result)
    lane_send(w, x.front, b)
    serve_continue(w, x)
