"""The order of an upstream's addresses: those that fail come last."""

import cython
from cython import address, cast
from cython.cimports.libc.stdint import uint16_t, uint32_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.client import *
from cython.cimports.ringway.engine.connection.peer import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.tell import *
from cython.cimports.ringway.engine.native.linux import AF_UNIX, sockaddr_un
from cython.cimports.ringway.engine.plan import *


def reach_next(w, x, u, origin):
    rules: cython.pointer(Rules) = origin.rules
    entry: cython.pointer(UpstreamEntry) = cast(
        cython.pointer(UpstreamEntry), upstream_at(rules.snapshot, origin.index)
    )
    if upstream_is_unix(rules.snapshot, entry):
        return reach_unix(u, origin)
    version: uint32_t = address_version(rules.addresses, origin.index)
    count: uint32_t = cast(uint32_t, address_count(rules.addresses, origin.index))
    if count == 0:
        return 0
    if origin.known_version != version:
        origin.known_version = version
        memset(origin.unreachable_ms, 0, cython.sizeof(origin.unreachable_ms))
    if x.tried_version != version:
        x.tried_version = version
        x.tried = 0
    place: uint32_t = reach_choose(w, x, origin, count)
    origin.turn = place + 1
    x.tried |= cast(uint16_t, 1 << place)
    u.place = cast(cython.uchar, place)
    if origin.unreachable_ms[place]:
        origin.unreachable_ms[place] = w.clock.now_ms + UNREACHABLE_MS  # this request tries it for all
    return address_pick(
        rules.addresses, origin.index, place, address(u.address), address(u.address_length), address(u.version)
    )


def reach_choose(w, x, origin, count):
    i: uint32_t
    place: uint32_t
    last: cython.int = -1
    for i in range(count):
        place = (origin.turn + i) % count
        if x.tried >> place & 1:
            continue
        if origin.unreachable_ms[place] <= w.clock.now_ms:
            return place
        if last < 0:
            last = cast(cython.int, place)
    return cast(uint32_t, last) if last >= 0 else origin.turn % count


def reach_unix(u, origin):
    snapshot: cython.pointer(Snapshot) = cast(cython.pointer(Snapshot), origin.rules.snapshot)
    entry: cython.pointer(UpstreamEntry) = cast(cython.pointer(UpstreamEntry), upstream_at(snapshot, origin.index))
    path: cython.pointer(sockaddr_un) = cast(cython.pointer(sockaddr_un), address(u.address))
    memset(path, 0, cython.sizeof(sockaddr_un))
    path.sun_family = AF_UNIX
    memcpy(path.sun_path, text_at(snapshot, entry.host), entry.host.length)
    u.address_length = cython.sizeof(sockaddr_un)
    u.version = address_version(origin.rules.addresses, origin.index)
    return 1


def reach_answered(u):
    if u.origin.known_version == u.version:
        u.origin.unreachable_ms[u.place] = 0


def reach_failed(w, u, error):
    text: cython.char[REACH_TEXT_MAX]
    ip: Ip
    port: uint16_t = 0
    origin: cython.pointer(Origin) = u.origin
    name: Text = upstream_at(origin.rules.snapshot, origin.index).name
    if u.address.ss_family == AF_UNIX or address_count(origin.rules.addresses, origin.index) < 2:
        if error:
            reach_tell(w, u, error)
        return
    if origin.known_version == u.version:
        origin.unreachable_ms[u.place] = w.clock.now_ms + UNREACHABLE_MS
    if error == 0:
        return
    read_end(address(u.address), address(ip), address(port))
    p: cython.p_char = put(text, text_at(origin.rules.snapshot, name), min(name.length, REACH_NAME_MAX))
    p = put(p, b" at ", 4)
    p += ip_text(address(ip), p)
    tell(w, EVENT_ADDRESS_FAILED, error, text, cast(uint32_t, p - cast(cython.p_char, text)))


def reach_tell(w, u, error):
    name: Text = upstream_at(u.origin.rules.snapshot, u.origin.index).name
    tell(w, EVENT_CONNECT_FAILED, error, text_at(u.origin.rules.snapshot, name), name.length)
