"""IP addresses: parse them, write them, compare them with the trusted ones."""

import cython
from cython import address, cast
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.string import memcmp, memcpy, memset, strlen
from cython.cimports.ringway.engine.native.linux import AF_INET, AF_INET6, inet_ntop, inet_pton
from cython.cimports.ringway.engine.plan.snapshot import *


def ip_is_v4(ip):
    return memcmp(ip.bytes, cast(cython.p_char, b"\0\0\0\0\0\0\0\0\0\0\xff\xff"), 12) == 0


def ip_from_v4(ip, four):
    memset(ip.bytes, 0, 10)
    memset(ip.bytes + 10, 0xFF, 2)
    memcpy(ip.bytes + 12, four, 4)


def ip_parse(text, length, out):
    copy: cython.char[IP_TEXT_MAX]
    four: cython.uchar[4]
    if length == 0 or length >= IP_TEXT_MAX:
        return False
    memcpy(copy, text, length)
    copy[length] = 0
    # A zero inside would end the text early: reject it.
    if strlen(copy) != length:
        return False
    if inet_pton(AF_INET, copy, four) == 1:
        ip_from_v4(out, four)
        return True
    return inet_pton(AF_INET6, copy, out.bytes) == 1


def node_parse(text, length, out):
    end: uint32_t = 0
    colons: uint32_t = 0
    i: uint32_t
    if length and text[0] == b"[":
        while end < length and text[end] != b"]":
            end += 1
        if end == length or (end + 1 < length and text[end + 1] != b":"):
            return False
        return ip_parse(text + 1, end - 1, out) and not ip_is_v4(out)
    for i in range(length):
        if text[i] == b":":
            colons += 1
            end = i
    # One colon means a port. An IPv6 address has at least two.
    return ip_parse(text, end if colons == 1 else length, out)


def ip_text(ip, out):
    if ip_is_v4(ip):
        inet_ntop(AF_INET, ip.bytes + 12, out, IP_TEXT_MAX)
    else:
        inet_ntop(AF_INET6, ip.bytes, out, IP_TEXT_MAX)
    return cast(uint32_t, strlen(out))


def ip_trusted(s, ip):
    # The prefixes are sorted and do not overlap: only the last one that begins at or before the address can contain it.
    low: uint32_t = 0
    high: uint32_t = s.trusted_count
    middle: uint32_t
    while low < high:
        middle = (low + high) // 2
        if memcmp(trusted_at(s, middle).bytes, ip.bytes, 16) <= 0:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return False
    p: cython.pointer(cython.const[Prefix]) = trusted_at(s, low - 1)
    whole: uint32_t = p.bits // 8
    rest: uint32_t = p.bits % 8
    if memcmp(ip.bytes, p.bytes, whole) != 0:
        return False
    return rest == 0 or (ip.bytes[whole] ^ p.bytes[whole]) >> (8 - rest) == 0


# For tests.


def node(text: bytes) -> "str | None":
    """The address in an entry of X-Forwarded-For in its canonical form; None: no address."""
    ip: Ip
    out: cython.char[IP_TEXT_MAX]
    if not node_parse(text, len(text), address(ip)):
        return None
    length: uint32_t = ip_text(address(ip), out)
    return out[:length].decode()


def trusted(block: bytes, text: bytes) -> bool:
    """Whether the snapshot trusts this address as a proxy."""
    ip: Ip
    data: cython.p_const_char = block
    s: cython.pointer(cython.const[Snapshot]) = cast(cython.pointer(cython.const[Snapshot]), data)
    if not snapshot_valid(data, len(block)) or not ip_parse(text, len(text), address(ip)):
        raise ValueError("invalid snapshot or address")
    return bool(ip_trusted(s, address(ip)))
