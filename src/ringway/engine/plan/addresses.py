"""The addresses of the upstreams: one writer, many readers, no lock."""

import ipaddress

import cython
from cython import address, cast, sizeof
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.native.linux import (
    AF_INET,
    AF_INET6,
    htons,
    sockaddr_in,
    sockaddr_in6,
    sockaddr_storage,
    socklen_t,
)


def address_pick(table, index, turn, out, length, version):
    e: cython.pointer(AddressEntry) = cast(cython.pointer(AddressEntry), address(table.entry[0])) + index
    a: Address
    found: uint32_t
    before: uint32_t
    for _ in range(1000):
        before = load_acquire(address(e.version))
        if before & 1:
            continue
        found = e.count
        if found == 0 or found > ADDRESSES_MAX:
            return 0
        a = e.list[turn % found]
        if load_acquire(address(e.version)) == before:
            version[0] = before
            fill(address(a), out, length)
            return cast(cython.int, found)
    return 0  # the writer died during a write: no address until the supervisor writes again


def address_version(table, index):
    e: cython.pointer(AddressEntry) = cast(cython.pointer(AddressEntry), address(table.entry[0])) + index
    return load_acquire(address(e.version))


def address_count(table, index):
    e: cython.pointer(AddressEntry) = cast(cython.pointer(AddressEntry), address(table.entry[0])) + index
    count: uint32_t = load_acquire(address(e.count))
    return count if count <= ADDRESSES_MAX else 0


def fill(a, out, length):
    memset(out, 0, sizeof(sockaddr_storage))
    v4: cython.pointer(sockaddr_in) = cast(cython.pointer(sockaddr_in), out)
    v6: cython.pointer(sockaddr_in6) = cast(cython.pointer(sockaddr_in6), out)
    if a.family == 4:
        v4.sin_family = AF_INET
        v4.sin_port = htons(a.port)
        memcpy(address(v4.sin_addr), a.bytes, 4)
        length[0] = sizeof(sockaddr_in)
    else:
        v6.sin6_family = AF_INET6
        v6.sin6_port = htons(a.port)
        v6.sin6_scope_id = a.zone
        memcpy(address(v6.sin6_addr), a.bytes, 16)
        length[0] = sizeof(sockaddr_in6)


def size(upstreams: int) -> int:
    """Bytes of a table for this number of upstreams."""
    return sizeof(AddressEntry) * max(upstreams, 1)


def write(block, index: int, found: list) -> None:
    """Set the addresses of upstream `index`: a list of (ip text, port), of which the first ADDRESSES_MAX are kept.
    The zone of a link-local address is the number of its interface: `fe80::1%2`.

    `block` is a writable buffer of size(n) bytes, normally shared memory. Only one process may write it.
    Raises ValueError for a text that is not an IP address, IndexError for an index outside the table.
    """
    view: cython.uchar[::1] = memoryview(block).cast("B")
    at: cython.int = index
    if at < 0 or (at + 1) * sizeof(AddressEntry) > len(view):
        raise IndexError(f"no upstream {index} in this table")
    packed = [(ipaddress.ip_address(ip), port) for ip, port in found[:ADDRESSES_MAX]]
    e: cython.pointer(AddressEntry) = cast(cython.pointer(AddressEntry), address(view[0])) + at
    raw: bytes
    start: uint32_t = (e.version + 1) | 1
    store_release(address(e.version), start)
    i: cython.int
    for i, (ip, port) in enumerate(packed):
        raw = ip.packed
        e.list[i].family = cast(uint8_t, ip.version)
        e.list[i].port = cast(uint16_t, port)
        e.list[i].zone = cast(uint32_t, int(getattr(ip, "scope_id", None) or 0))
        memcpy(e.list[i].bytes, cast(cython.p_char, raw), len(raw))
    e.count = len(packed)
    store_release(address(e.version), start + 1)


def read(block, index: int) -> list:
    """The addresses of one upstream, as (ip text, port)."""
    view: cython.uchar[::1] = memoryview(block).cast("B")
    at: cython.int = index
    if at < 0 or (at + 1) * sizeof(AddressEntry) > len(view):
        raise IndexError(f"no upstream {index} in this table")
    e: cython.pointer(AddressEntry) = cast(cython.pointer(AddressEntry), address(view[0])) + at
    result = []
    i: cython.int
    for i in range(e.count):
        raw = cast(cython.p_char, e.list[i].bytes)[: 4 if e.list[i].family == 4 else 16]
        result.append((ip_text(raw, e.list[i].zone), e.list[i].port))
    return result


def pick(block, index: int, turn: int) -> tuple:
    """For tests: the address that a worker would connect to, as (ip text, port, number of addresses); (None, 0, 0):
    none."""
    view: cython.uchar[::1] = memoryview(block).cast("B")
    out: sockaddr_storage
    length: socklen_t
    version: uint32_t
    found: cython.int = address_pick(
        cast(cython.pointer(AddressTable), address(view[0])),
        index,
        turn,
        address(out),
        address(length),
        address(version),
    )
    if found == 0:
        return None, 0, 0
    v4: cython.pointer(sockaddr_in) = cast(cython.pointer(sockaddr_in), address(out))
    v6: cython.pointer(sockaddr_in6) = cast(cython.pointer(sockaddr_in6), address(out))
    if out.ss_family == AF_INET:
        raw = cast(cython.p_char, address(v4.sin_addr))[:4]
        return str(ipaddress.ip_address(raw)), htons(v4.sin_port), found
    raw = cast(cython.p_char, address(v6.sin6_addr))[:16]
    return ip_text(raw, v6.sin6_scope_id), htons(v6.sin6_port), found


def ip_text(raw: bytes, zone: int) -> str:
    return f"{ipaddress.ip_address(raw)}%{zone}" if zone else str(ipaddress.ip_address(raw))
