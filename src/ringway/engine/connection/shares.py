"""Which clients give way when buffers or places for connections are scarce."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.client import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.stream import *
from cython.cimports.ringway.engine.connection.tell import *
from cython.cimports.ringway.engine.native.linux import (
    SIOCOUTQ,
    getpeername,
    ioctl,
    sockaddr,
    sockaddr_storage,
    socklen_t,
)
from cython.cimports.ringway.engine.plan import *


def shares_look(w):
    look: Look
    if w.outbox_high == OUTBOX_HIGH and w.starved == NULL and w.hungry == NULL:
        return
    if w.clock.now_ms < w.next_shares_ms:
        return
    w.next_shares_ms = w.clock.now_ms + LOOK_MS
    look.small = buffer_scarce(address(w.buffers), GROUP_SMALL)
    look.large = w.outbox_high != OUTBOX_HIGH
    look_at_all(w, address(look))
    if look.all_wait:
        give_way(w, address(look))


def look_at_all(w, look):
    c: cython.pointer(Client)
    i: uint32_t
    look.held = cast(cython.pointer(uint32_t), w.scratch)
    look.waits = look.held + PLACES
    memset(look.held, 0, 2 * PLACES * cython.sizeof(uint32_t))
    look.all_held = 0
    look.all_wait = 0
    look.most = GIVE_WAY_MOST
    look.count = 0
    for i in range(w.clients.made):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), i))
        if not c.stream.slot.used or c.stream.closing:
            continue
        c.held = held_by(look, c)
        if waits(address(c.stream)) or (c.exchange != NULL and c.exchange.upstream != NULL and waits(upstream_of(c))):
            look.all_wait += 1
            look.waits[place_of(w, c)] += 1
        if c.held == 0:
            c.looked_ms = 0
            continue
        if c.looked_ms == 0 or w.clock.now_ms - c.looked_ms > 2 * GRACE_MS:
            c.looked_ms = w.clock.now_ms
            c.stream.moved = 0
            c.looked_unsent = 0
            ioctl(c.stream.fd, SIOCOUTQ, address(c.looked_unsent))
        look.held[place_of(w, c)] += c.held
        look.all_held += c.held
    for i in range(w.clients.made):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), i))
        if c.stream.slot.used and not c.stream.closing and c.held:
            weigh(w, look, c)


def weigh(w, look, c):
    """Note the client and its worth, if it may give way."""
    place: uint32_t = place_of(w, c)
    age: uint64_t = w.clock.now_ms - c.looked_ms
    others: uint32_t = look.all_wait - (look.waits[place] if place != PLACE_NONE else 0)
    share: cython.bint = place != PLACE_NONE and cast(uint64_t, look.held[place]) * 2 > look.all_held
    rate: uint64_t
    if c.stream.state == CLIENT_HEAD and not waits(address(c.stream)):
        age = (w.clock.now_ns - c.next_ns) // 1000000
        if age < GRACE_SHARE_MS:
            return
        rate = c.stream.inbox.bytes * 1000 // age
    elif others == 0 or not owes(c) or age < (GRACE_SHARE_MS if share else GRACE_MS):
        return
    else:
        rate = rate_of(w, c)
        if rate >= WORTH_RATE and not share:
            return
    # In fixed point, so that an address with a thousand buffers differs from one with two.
    note_weak(look, (rate + 1) * 1048576 // max(look.held[place] if place else 1, 1), c.stream.slot.index, c.held)


def rate_of(w, c):
    unsent: cython.int = 0
    age: uint64_t = w.clock.now_ms - c.looked_ms + 1
    moved: uint64_t = c.stream.moved
    if ioctl(c.stream.fd, SIOCOUTQ, address(unsent)) == 0:
        # Bytes in the socket do not count as taken: a large socket buffer would hide a reader's rate for minutes.
        moved = moved + c.looked_unsent - unsent if moved + c.looked_unsent > cast(uint64_t, unsent) else 0
    return moved * 1000 // age


def upstream_of(c):
    return address(c.exchange.upstream.stream)


def waits(s):
    return s.hungry or s.receive == RECEIVE_STARVED


def owes(c):
    s: cython.pointer(cython.const[Stream]) = address(c.stream)
    if s.send_due_ms and (not stream_drained(s) or s.polling):
        return True
    if s.receive_due_ms and not waits(s):
        return True
    if c.exchange == NULL or c.exchange.upstream == NULL:
        return False
    s = address(c.exchange.upstream.stream)
    return s.send_due_ms != 0 and not stream_drained(s)


def held_by(look, c):
    x: cython.pointer(Exchange) = c.exchange
    held: uint32_t = held_in(look, address(c.stream.inbox)) + held_in(look, address(c.stream.cipher))
    held += held_in(look, address(c.stream.outbox)) + counts(look, c.stream.sending)
    if x == NULL:
        return held
    held += counts(look, x.request) + counts(look, x.head)
    if x.upstream != NULL:
        held += held_in(look, address(x.upstream.stream.inbox)) + held_in(look, address(x.upstream.stream.cipher))
        held += held_in(look, address(x.upstream.stream.outbox)) + counts(look, x.upstream.stream.sending)
    return held


def held_in(look, q):
    held: uint32_t = 0
    b: cython.pointer(Buffer) = q.first
    while b != NULL:
        held += counts(look, b)
        b = b.next
    return held


def counts(look, b):
    if b == NULL:
        return 0
    return 1 if (b.group == GROUP_SMALL and look.small) or (b.group == GROUP_LARGE and look.large) else 0


def note_weak(look, worth, index, held):
    at: uint32_t = look.count
    if at == look.most:
        if worth >= look.weak[at - 1].worth:
            return
        at -= 1
    else:
        look.count += 1
    while at > 0 and look.weak[at - 1].worth > worth:
        look.weak[at] = look.weak[at - 1]
        at -= 1
    look.weak[at].worth = worth
    look.weak[at].index = index
    look.weak[at].held = held


def give_way(w, look):
    c: cython.pointer(Client)
    i: uint32_t
    wanted: uint64_t = look.all_wait + w.buffers.pool[GROUP_SMALL if look.small else GROUP_LARGE].capacity // 16
    for i in range(look.count):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), look.weak[i].index))
        if not c.stream.slot.used or c.stream.closing:
            continue
        if wanted == 0:
            return
        wanted -= min(wanted, cast(uint64_t, look.weak[i].held))
        if c.stream.state == CLIENT_HEAD:
            queue_give(address(w.buffers), address(c.stream.inbox))  # its response needs one of these buffers
        count(w.counters, COUNT_GAVE_WAY, 1)
        client_peer(c)
        tell(w, EVENT_GAVE_WAY, 0, c.peer, c.peer_length)
        c.stream.late = LATE_GAVE_WAY
        client_late(w, address(c.stream))


# ------------------------------------------------------------------------------------------------------- places


def place_of(w, c):
    ip: Ip
    if c.place == PLACES and c.stream.state != CLIENT_PROXY:
        client_peer(c)
        c.place = PLACE_NONE
        if not client_trusted(w.snapshot, c) and ip_parse(c.peer, c.peer_length, address(ip)):
            c.place = place_of_ip(w, address(ip))
    return c.place if c.place < PLACES else PLACE_NONE


def place_of_ip(w, ip):
    # A provider's customer has a whole IPv6 network of 2^64 addresses: use only its prefix.
    length: uint32_t = 16 if ip_is_v4(ip) else 8
    hash: uint32_t = w.salt
    i: uint32_t
    for i in range(length):
        hash = (hash ^ ip.bytes[i]) * HASH_PRIME
    return 1 + (hash ^ hash >> 16) % (PLACES - 1)


def place_of_socket(w, fd):
    found: sockaddr_storage
    ip: Ip
    port: cython.ushort
    size: socklen_t = cython.sizeof(sockaddr_storage)
    if getpeername(fd, cast(cython.pointer(sockaddr), address(found)), address(size)) < 0:
        return PLACE_NONE
    if not read_end(address(found), address(ip), address(port)) or ip_trusted(w.snapshot, address(ip)):
        return PLACE_NONE
    return place_of_ip(w, address(ip))


def shares_make_room(w, fd):
    if w.clock.now_ms >= w.next_places_ms:
        w.next_places_ms = w.clock.now_ms + LOOK_MS
        w.rooms = PLACES_MOST + 1
        w.heavy_place = find_heavy(w)
    if w.heavy_place == PLACE_NONE or place_of_socket(w, fd) == w.heavy_place:
        return False
    if w.rooms > PLACES_MOST:
        w.rooms = make_places(w)
    if w.rooms == 0:
        return False
    w.rooms -= 1
    return True


def find_heavy(w):
    """Find the address that has more than half of all places."""
    has: cython.pointer(uint32_t) = cast(cython.pointer(uint32_t), w.scratch)
    c: cython.pointer(Client)
    i: uint32_t
    place: uint32_t
    heavy: uint32_t = PLACE_NONE
    memset(has, 0, PLACES * cython.sizeof(uint32_t))
    for i in range(w.clients.made):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), i))
        if not c.stream.slot.used or c.stream.closing:
            continue
        place = place_of(w, c)
        has[place] += 1
        if place != PLACE_NONE and has[place] * 2 > w.snapshot.limits.client_connections:
            heavy = place
    return heavy


def make_places(w):
    """Close connections of that address to free places. Returns how many."""
    look: Look
    c: cython.pointer(Client)
    i: uint32_t
    how: uint32_t
    look.most = PLACES_MOST
    look.count = 0
    for i in range(w.clients.made):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), i))
        if c.stream.slot.used and not c.stream.closing and place_of(w, c) == w.heavy_place:
            how = rank(c)
            if how:
                # By rank. Within a rank, the connection with the nearest deadline has been there for longest.
                note_weak(address(look), (cast(uint64_t, how) << 56) + c.stream.receive_due_ms, i, 1)
    for i in range(look.count):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), look.weak[i].index))
        count(w.counters, COUNT_GAVE_WAY, 1)
        tell(w, EVENT_GAVE_WAY, 0, c.peer, c.peer_length)
        client_abort(w, c)
    return look.count


def rank(c):
    state: cython.int = c.stream.state
    if state == CLIENT_IDLE:
        return 1
    elif state == CLIENT_HANDSHAKE or state == CLIENT_PROXY:
        return 2
    elif state == CLIENT_HEAD or state == CLIENT_LINGER:
        return 3
    return 0
