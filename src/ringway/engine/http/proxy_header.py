"""Reading and writing the header of the PROXY protocol."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.libc.string import memchr, memcmp, memcpy, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.native.linux import AF_INET6, inet_ntop
from cython.cimports.ringway.engine.plan import *


def proxy_header_read(data, length, out):
    memset(out, 0, cython.sizeof(Ends))
    if length == 0:
        return 0
    return read_v1(data, length, out) if data[0] == b"P" else read_v2(data, length, out)


def read_v1(data, length, out):
    end: cython.p_const_char
    line: uint32_t
    if memcmp(data, cast(cython.p_char, b"PROXY "), min(length, 6)) != 0:
        return -1
    end = cast(cython.p_const_char, memchr(data, LF, min(length, PROXY_V1_MAX)))
    if end == NULL:
        return 0 if length < PROXY_V1_MAX else -1
    line = cast(uint32_t, end - data)
    if line < 8 or data[line - 1] != CR:
        return -1
    return cast(cython.int, line + 1) if read_line(data + 6, line - 7, out) else -1


def read_line(line, length, out):
    at: uint32_t = 0
    n: uint32_t = next_word(line, length, address(at))
    v4: cython.bint
    text: cython.p_const_char
    if n == 7 and memcmp(line, cast(cython.p_char, b"UNKNOWN"), 7) == 0:
        return True  # 2.1: ignore the rest of the line
    if n != 4 or memcmp(line, cast(cython.p_char, b"TCP"), 3) != 0 or (line[3] != b"4" and line[3] != b"6"):
        return False
    v4 = line[3] == b"4"
    text = line + at
    n = next_word(line, length, address(at))
    if not ip_parse(text, n, address(out.source)) or (v4 and not ip_is_v4(address(out.source))):
        return False
    text = line + at
    n = next_word(line, length, address(at))
    if not ip_parse(text, n, address(out.destination)) or (v4 and not ip_is_v4(address(out.destination))):
        return False
    text = line + at
    n = next_word(line, length, address(at))
    if not read_port(text, n, address(out.source_port)):
        return False
    # The last word extends to the end of the line: a trailing space makes it invalid.
    out.known = read_port(line + at, length - at, address(out.destination_port))
    return out.known


def next_word(line, length, at):
    begin: uint32_t = at[0]
    end: uint32_t = begin
    while end < length and line[end] != SP:
        end += 1
    at[0] = min(end + 1, length)
    return end - begin


def read_port(text, length, out):
    value: uint32_t = 0
    i: uint32_t
    if length == 0 or length > 5 or (text[0] == b"0" and length > 1):
        return False
    for i in range(length):
        if not octet_is(text[i], OCTET_DIGIT):
            return False
        value = value * 10 + cast(uint8_t, text[i] - ord("0"))
    out[0] = cast(uint16_t, value)
    return value <= 65535


def read_v2(data, length, out):
    command: uint8_t
    family: uint8_t
    total: uint32_t
    size: uint32_t
    if memcmp(data, cast(cython.p_char, b"\r\n\r\n\0\r\nQUIT\n"), min(length, 12)) != 0:
        return -1
    # 2.2: reject other versions and commands.
    if length > 12 and cast(uint8_t, data[12]) != 0x20 and cast(uint8_t, data[12]) != 0x21:
        return -1
    if length < PROXY_V2_FIXED:
        return 0
    command = cast(uint8_t, data[12]) & 15
    family = cast(uint8_t, data[13])
    size = read_16(data + 14)
    total = PROXY_V2_FIXED + size
    if total > PROXY_HEADER_MAX:
        return -1
    # TCP over IPv4 or IPv6. For anything else the addresses of the connection itself are used.
    if command == 1 and ((family == 0x11 and size < 12) or (family == 0x21 and size < 36)):
        return -1
    if length < total:
        return 0
    data += PROXY_V2_FIXED
    if command == 1 and family == 0x11:
        ip_from_v4(address(out.source), data)
        ip_from_v4(address(out.destination), data + 4)
        data += 8
        out.known = True
    elif command == 1 and family == 0x21:
        memcpy(out.source.bytes, data, 16)
        memcpy(out.destination.bytes, data + 16, 16)
        data += 32
        out.known = True
    if out.known:
        out.source_port = read_16(data)
        out.destination_port = read_16(data + 2)
    return cast(cython.int, total)


def read_16(at):
    return cast(uint16_t, cast(uint8_t, at[0]) << 8 | cast(uint8_t, at[1]))


def proxy_header_write(out, version, ends):
    return write_v1(out, ends) if version == 1 else write_v2(out, ends)


def write_v1(out, ends):
    p: cython.p_char = out
    v4: cython.bint = ip_is_v4(address(ends.source)) and ip_is_v4(address(ends.destination))
    if not ends.known:
        return cast(uint32_t, put(p, b"PROXY UNKNOWN\r\n", 15) - out)
    p = put(p, b"PROXY TCP4 ", 11) if v4 else put(p, b"PROXY TCP6 ", 11)
    p = put_ip(p, address(ends.source), v4)
    p = put(p, b" ", 1)
    p = put_ip(p, address(ends.destination), v4)
    p = put(p, b" ", 1)
    p = put_number(p, ends.source_port)
    p = put(p, b" ", 1)
    p = put_number(p, ends.destination_port)
    p = put(p, b"\r\n", 2)
    return cast(uint32_t, p - out)


def put_ip(out, ip, v4):
    # Both addresses have the same family: with an IPv6 address, an IPv4 one is written as ::ffff:a.b.c.d.
    text: cython.char[IP_TEXT_MAX]
    if v4:
        return put(out, text, ip_text(ip, text))
    inet_ntop(AF_INET6, ip.bytes, text, IP_TEXT_MAX)
    return put(out, text, cast(uint32_t, cast(cython.p_char, memchr(text, 0, IP_TEXT_MAX)) - cast(cython.p_char, text)))


def write_v2(out, ends):
    p: cython.p_char = put(out, b"\r\n\r\n\0\r\nQUIT\n\x21", 13)
    v4: cython.bint = ip_is_v4(address(ends.source)) and ip_is_v4(address(ends.destination))
    if not ends.known:
        return cast(uint32_t, put(p, b"\0\0\0", 3) - out)
    if v4:
        p = put(p, b"\x11\0\x0c", 3)
        p = put(p, cast(cython.p_const_char, ends.source.bytes) + 12, 4)
        p = put(p, cast(cython.p_const_char, ends.destination.bytes) + 12, 4)
    else:
        p = put(p, b"\x21\0\x24", 3)
        p = put(p, cast(cython.p_const_char, ends.source.bytes), 16)
        p = put(p, cast(cython.p_const_char, ends.destination.bytes), 16)
    p = put_16(p, ends.source_port)
    p = put_16(p, ends.destination_port)
    return cast(uint32_t, p - out)


def put_16(out, value):
    out[0] = cast(cython.char, value >> 8)
    out[1] = cast(cython.char, value & 0xFF)
    return out + 2


# For tests.


@cython.cfunc
def ip_str(ip: cython.pointer(Ip)):
    text: cython.char[IP_TEXT_MAX]
    length: uint32_t = ip_text(ip, text)
    return text[:length].decode()


def read(data: bytes) -> tuple:
    """(bytes of the header, 0: more is needed, -1: none; None or (source, its port, destination, its port))."""
    ends: Ends
    found: cython.int = proxy_header_read(data, len(data), address(ends))
    if found <= 0 or not ends.known:
        return found, None
    return found, (
        ip_str(address(ends.source)),
        ends.source_port,
        ip_str(address(ends.destination)),
        ends.destination_port,
    )


def write(version: int, ends_of) -> bytes:
    """The header for (source, its port, destination, its port), or for None."""
    ends: Ends
    out: cython.char[PROXY_WRITTEN_MAX]
    memset(address(ends), 0, cython.sizeof(Ends))
    if ends_of is not None:
        source: bytes = ends_of[0].encode()
        destination: bytes = ends_of[2].encode()
        if not ip_parse(source, len(source), address(ends.source)):
            raise ValueError(source)
        if not ip_parse(destination, len(destination), address(ends.destination)):
            raise ValueError(destination)
        ends.source_port, ends.destination_port = ends_of[1], ends_of[3]
        ends.known = True
    length: uint32_t = proxy_header_write(out, version, address(ends))
    return out[:length]
