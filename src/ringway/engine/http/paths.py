"""The normal form of paths (RFC 3986 6.2.2), which selects the route and the file."""

import cython
from cython import cast
from cython.cimports.libc.stdint import uint8_t, uint32_t


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def hex_value(c: uint8_t) -> cython.int:
    if b"0" <= c <= b"9":
        return c - ord("0")
    c |= 0x20
    if b"a" <= c <= b"f":
        return c - ord("a") + 10
    return -1


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def upper_hex(digit: cython.int) -> cython.char:
    """RFC 3986 6.2.2.1: escapes are in upper case."""
    return cast(cython.char, ord("0") + digit if digit < 10 else ord("A") + digit - 10)


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def is_unreserved(c: cython.int) -> cython.bint:
    """RFC 3986 2.3: ALPHA / DIGIT / "-" / "." / "_" / "~"."""
    return (
        b"a" <= c <= b"z" or b"A" <= c <= b"Z" or b"0" <= c <= b"9" or c == b"-" or c == b"." or c == b"_" or c == b"~"
    )


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def escaped(path: cython.p_const_char, length: uint32_t, i: uint32_t) -> cython.int:
    """The octet that the escape at path[i] encodes; -1: not an escape, or NUL, which a path must not contain."""
    high: cython.int
    low: cython.int
    if length - i < 3:
        return -1
    high = hex_value(cast(uint8_t, path[i + 1]))
    low = hex_value(cast(uint8_t, path[i + 2]))
    if high < 0 or low < 0 or high + low == 0:
        return -1
    return high << 4 | low


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def segment_close(out: cython.p_const_char, start: uint32_t, end: uint32_t) -> cython.int:
    """The end of `out` after its last segment out[start:end] has been processed: RFC 3986 5.2.4.

    Removes ".", and ".." together with the segment before it. -1: there is none, the path would leave the root.
    """
    dots: uint32_t = end - start
    if dots == 0 or dots > 2 or out[start] != b"." or out[end - 1] != b".":
        return end
    if dots == 1:
        return start
    if start <= 1:
        return -1
    end = start - 1
    while out[end - 1] != b"/":  # stops at the slash of the root: start > 1
        end -= 1
    return end


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def leaves(out: cython.p_const_char, start: uint32_t, end: uint32_t) -> cython.bint:
    """The segment out[start:end] is ".."."""
    return end - start == 2 and out[start] == b"." and out[start + 1] == b"."


def path_is_normal(path, length):
    # No early exit, so the compiler can vectorise this loop.
    odd: uint8_t = 0
    c: uint8_t
    before: uint8_t
    i: uint32_t
    if length == 0:
        return True
    odd = path[0] != b"/"
    for i in range(1, length):
        c = cast(uint8_t, path[i])
        before = cast(uint8_t, path[i - 1])
        odd |= (
            cast(uint8_t, c == b"%")
            | cast(uint8_t, c == 0)
            | (cast(uint8_t, c == b".") & cast(uint8_t, before == b"/"))
        )
    return odd == 0


def path_normalise(path, length, out, capacity):
    # `out` may be `path`: the write position never passes the read position.
    i: uint32_t = 0
    o: cython.int = 0
    end: cython.int
    start: uint32_t = 0  # of the current segment
    c: cython.int
    if length == 0:
        return 0
    if path[0] != b"/" or capacity < length:
        return -1
    while i < length:
        c = cast(uint8_t, path[i])
        if c == 0:
            return -1
        if c == b"%":
            c = escaped(path, length, i)
            if c < 0:
                return -1
            i += 3
            if is_unreserved(c):
                out[o] = cast(cython.char, c)
                o += 1
            else:  # RFC 3986 2.2: a reserved character and its escape are not equivalent
                out[o] = b"%"
                out[o + 1] = upper_hex(c >> 4)
                out[o + 2] = upper_hex(c & 15)
                o += 3
            continue
        i += 1
        if c != b"/":
            out[o] = cast(cython.char, c)
            o += 1
            continue
        end = segment_close(out, start, o)
        if end < 0:
            return -1
        if end == o:
            out[o] = b"/"
            end += 1
        start = o = end  # a dot segment's own slash is dropped: the slash before it is still there
    return segment_close(out, start, o)


def path_place(path, length, at, normal_length):
    # `path` has a normal form, so all its escapes are valid.
    i: uint32_t = 0
    o: uint32_t = 0  # the position of path[i] in the normal form, if nothing before it was removed
    c: cython.int
    place: cython.int = 0 if at == 0 else -1
    while i < length:
        if path[i] != b"%":
            i += 1
            o += 1
        else:
            c = escaped(path, length, i)
            if c == b"/" and o < at:
                return -1
            i += 3
            o += 1 if is_unreserved(c) else 3
        if o == at:
            place = cast(cython.int, i)
    return place if o == normal_length else -1


def path_decode(path, length, out, capacity):
    # Rejects instead of repairing: in a normalised path, what is rejected here can only be an attack.
    i: uint32_t = 0
    o: uint32_t = 0
    start: uint32_t = 0  # of the current segment
    c: cython.int
    while i < length:
        c = cast(uint8_t, path[i])
        if c == b"%":
            c = escaped(path, length, i)
            if c < 0 or c == b"/":
                return -1
            i += 3
        else:
            i += 1
        if c == 0 or o == capacity:
            return -1
        if c == b"/":
            if leaves(out, start, o):
                return -1
            start = o + 1
        out[o] = cast(cython.char, c)
        o += 1
    return -1 if leaves(out, start, o) else cast(cython.int, o)


@cython.cfunc
def buffered(path: bytes, decoding: cython.bint):
    """Call either function with a buffer of exactly the size that it must not exceed."""
    room: bytearray = bytearray(len(path) + 1)
    out: cython.p_char = room
    source: cython.p_const_char = path
    length: uint32_t = len(path)
    wrote: cython.int
    with cython.nogil:
        wrote = path_decode(source, length, out, length) if decoding else path_normalise(source, length, out, length)
    return None if wrote < 0 else bytes(room[:wrote])


def is_normal(path: bytes) -> bool:
    return bool(path_is_normal(path, len(path)))


def place(path: bytes, at: uint32_t) -> int:
    """The position in the path that corresponds to `at` in its normal form; -1: forward the normal form."""
    normal: bytes = normalise(path)
    return path_place(path, len(path), at, len(normal))


def normalise(path: bytes) -> "bytes | None":
    """The normal form of the path; None: rejected."""
    return buffered(path, False)


def decode(path: bytes) -> "bytes | None":
    """A normalised path as a file name; None: rejected."""
    return buffered(path, True)
