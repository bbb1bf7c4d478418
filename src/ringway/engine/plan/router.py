"""Host and path to a route: a binary search for each name that could match the host, then a search of its prefixes."""

import cython
from cython import address, cast, sizeof
from cython.cimports.libc.stdint import int32_t, uint8_t, uint32_t
from cython.cimports.libc.string import memcmp
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.plan.snapshot import *


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def host_lower(host: cython.p_const_char, length: uint32_t, out: cython.p_char) -> uint32_t:
    """Write the name without port and root dot, in lower case. Returns its length; 0: no table can contain it."""
    i: uint32_t = 0
    if length > 0 and host[0] == b"[":  # RFC 3986 3.2.2: an IP literal keeps its brackets and the colons in them
        while i < length and host[i] != b"]":
            i += 1
    while i < length and host[i] != b":":
        i += 1
    if i > 0 and host[i - 1] == b".":  # RFC 1034 3.1: "example.com." is the same name in its absolute form
        i -= 1
    if i > HOST_BYTES_MAX or (i > 0 and host[0] == b"."):  # a leading dot means a wildcard in the tables
        return 0
    length = i
    for i in range(length):
        out[i] = cast(cython.char, lower(cast(uint8_t, host[i])))
    return length


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def host_find(s: cython.pointer(cython.const[Snapshot]), name: cython.p_const_char, length: uint32_t) -> int32_t:
    """Index of the host with exactly this name; -1: none."""
    return table_find(cast(cython.p_const_char, s), s.hosts, s.host_count, sizeof(HostEntry), name, length)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def host_route(
    s: cython.pointer(cython.const[Snapshot]), host: int32_t, path: cython.p_const_char, path_length: uint32_t
) -> int32_t:
    """The route of this host: that of its longest matching prefix, else its own. `host` -1: none."""
    i: uint32_t
    n: uint32_t
    if host < 0:
        return ROUTE_NONE
    h = host_at(s, host)
    for i in range(h.path_count):  # longest first
        p = path_at(s, h, i)
        n = p.prefix.length
        # Check the end of the segment first: this rules out most prefixes without reading their text.
        if n > path_length or (n < path_length and path[n] != b"/"):
            continue
        if memcmp(path, text_at(s, p.prefix), n) == 0:
            return p.route
    return h.route


def route_find(s, host, host_length, path, path_length):
    name: cython.char[HOST_BYTES_MAX]
    length: uint32_t = host_lower(host, host_length, name)
    route: int32_t
    i: uint32_t
    if length > 0:
        route = host_route(s, host_find(s, name, length), path, path_length)
        if route != ROUTE_NONE:
            return route
        for i in range(1, length):  # "a.b.example.com": ".b.example.com", ".example.com", ".com"
            if name[i] != b".":
                continue
            route = host_route(s, host_find(s, cast(cython.p_const_char, name) + i, length - i), path, path_length)
            if route != ROUTE_NONE:
                return route
    return host_route(s, s.any_host, path, path_length)


def door_find(s, host, host_length):
    name: cython.char[HOST_BYTES_MAX]
    length: uint32_t = host_lower(host, host_length, name)
    i: uint32_t
    door: int32_t
    for i in range(length):
        if i > 0 and name[i] != b".":
            continue
        door = table_find(
            cast(cython.p_const_char, s),
            s.doors,
            s.door_count,
            sizeof(Door),
            cast(cython.p_const_char, name) + i,
            length - i,
        )
        if door >= 0:
            return door_at(s, door)
    return address(s.any_door)


def find(block: bytes, host: "str | bytes", path: "str | bytes") -> int:
    """Index of the route for a host as received and a normalised path, found by the engine's own code; -1: none."""
    host_bytes: bytes = host.encode() if isinstance(host, str) else host
    path_bytes: bytes = path.encode() if isinstance(path, str) else path
    data: cython.p_const_char = block
    if not snapshot_valid(data, len(block)):
        raise ValueError("not a snapshot of this version")
    return route_find(
        cast(cython.pointer(cython.const[Snapshot]), data), host_bytes, len(host_bytes), path_bytes, len(path_bytes)
    )


def door(block: bytes, host: "str | bytes") -> int:
    """The policy of a host as received, found by the engine's own code; 0: it requests no certificate."""
    host_bytes: bytes = host.encode() if isinstance(host, str) else host
    data: cython.p_const_char = block
    if not snapshot_valid(data, len(block)):
        raise ValueError("not a snapshot of this version")
    return door_find(cast(cython.pointer(cython.const[Snapshot]), data), host_bytes, len(host_bytes)).policy
