"""Which clients give way when buffers or places for connections are scarce."""

import cython
from cython import NULL, address, cast
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.client import *
from cython.cimports.ringway.engine.connection.deadlines import *
from cython.cimports.ringway.engine.connection.peer import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.connection.stream import *
from cython.cimports.ringway.engine.connection.tell import *
from cython.cimports.ringway.engine.connection.waiting import *
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
    if w.clock.now_ms < w.next_shares_ms:
        return
    w.next_shares_ms = w.clock.now_ms + LOOK_MS
    count_all(w, address(look))
    if w.waiting:
        give_way(w, address(look))
        stream_let_in(w)


def shares_count(w):
    look: Look
    count_all(w, address(look))


def count_all(w, look):
    c: cython.pointer(Client)
    i: uint32_t
    look.tight[GROUP_SMALL] = stream_tight(w, GROUP_SMALL)
    look.tight[GROUP_LARGE] = stream_tight(w, GROUP_LARGE)
    memset(w.share_waits, 0, cython.sizeof(w.share_waits))
    memset(w.granted, 0, cython.sizeof(w.granted))
    look.all_held = 0
    for i in range(w.clients.made):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), i))
        if c.stream.slot.used and not c.stream.closing:
            count_client(w, look, c)
    divide(w, look)


def count_client(w, look, c):
    """What it holds, and whether it waits."""
    place: uint32_t = place_of(w, c)
    held: uint32_t[2]
    group: cython.int
    held[GROUP_SMALL] = 0
    held[GROUP_LARGE] = 0
    c.stream.granted = 0
    charge_stream(w, address(c.stream), place, held)
    if c.exchange != NULL:
        charge_exchange(w, c.exchange, place, held)
    if c.mux != NULL:
        charge_mux(w, c.mux, place, held)
    c.held = 0
    for group in range(2):
        c.held += held[group] if look.tight[group] else 0
    look.all_held += c.held
    if waits(address(c.stream)) or (c.exchange != NULL and c.exchange.upstream != NULL and waits(upstream_of(c))):
        w.share_waits[place] += 1
    if c.held == 0:
        c.looked_ms = 0
    elif c.looked_ms == 0 or w.clock.now_ms - c.looked_ms > 2 * GRACE_MS:
        c.looked_ms = w.clock.now_ms
        c.stream.moved = 0
        c.looked_unsent = 0
        ioctl(c.stream.fd, SIOCOUTQ, address(c.looked_unsent))


def charge_exchange(w, x, place, held):
    charge_buffer(w, x.request, place, held)
    charge_buffer(w, x.head, place, held)
    charge_buffer(w, x.read_buffer, place, held)
    if x.upstream != NULL:
        x.upstream.stream.granted = 0
        charge_stream(w, address(x.upstream.stream), place, held)


def charge_mux(w, m, place, held):
    link: cython.pointer(MuxLink) = m.lanes.first
    charge_buffer(w, m.block, place, held)
    charge_buffer(w, m.gather, place, held)
    while link != NULL:
        charge_queue(w, address(link.owner.lane.inbox), place, held)
        charge_queue(w, address(link.owner.lane.outbox), place, held)
        charge_exchange(w, link.owner.exchange, place, held)
        link = link.next


def charge_stream(w, s, place, held):
    charge_queue(w, address(s.lane.inbox), place, held)
    charge_queue(w, address(s.cipher), place, held)
    charge_queue(w, address(s.lane.outbox), place, held)
    charge_buffer(w, s.sending, place, held)


def charge_queue(w, q, place, held):
    b: cython.pointer(Buffer) = q.first
    while b != NULL:
        charge_buffer(w, b, place, held)
        b = b.next


def charge_buffer(w, b, place, held):
    if b != NULL and b.group != GROUP_VIEW:
        held[b.group] += 1
        buffer_charge(address(w.buffers), b, place)


def divide(w, look):
    """How many an address may hold: as if there were one more of them than there are, so that a new one finds some.

    Who waits for its own address waits for nobody else.
    """
    place: uint32_t
    group: cython.int
    there: uint32_t
    pool: cython.pointer(BufferPool)
    for group in range(2):
        pool = address(w.buffers.pool[group])
        there = 1
        for place in range(PLACES):
            there += w.buffers.charged[group][place] != 0
        w.share[group] = max((pool.capacity - pool.reserve) // there, cast(uint32_t, SHARE_LEAST))
    w.share_until_ms = w.clock.now_ms + LOOKS_OLD_MS
    look.all_wait = 0
    for place in range(PLACES):
        if not has_all(w, look, place):
            look.all_wait += w.share_waits[place]


def has_all(w, look, place):
    """Has this address its share?"""
    group: cython.int
    for group in range(2):
        if look.tight[group] and place != PLACE_NONE and w.buffers.charged[group][place] >= w.share[group]:
            return True
    return False


def weigh(w, look, c):
    """Note the client and its worth, if it may give way."""
    place: uint32_t = place_of(w, c)
    age: uint64_t = w.clock.now_ms - c.looked_ms
    own: uint32_t = w.share_waits[place] if place != PLACE_NONE else 0
    others: uint32_t = look.all_wait - (0 if has_all(w, look, place) else own)
    held: uint64_t = 0
    group: cython.int
    for group in range(2):
        if look.tight[group]:
            held += w.buffers.charged[group][place]
    share: cython.bint = place != PLACE_NONE and held * 2 > look.all_held
    rate: uint64_t
    late: cython.bint
    if c.stream.state == CLIENT_HEAD:
        age = (w.clock.now_ns - c.next_ns) // 1000000
        late = not waits(address(c.stream)) or not unread(address(c.stream))
        if age < (GRACE_SHARE_MS if late else GRACE_MS) or (look.all_wait == 0 and own == 0):
            return
        rate = c.stream.lane.inbox.bytes * 1000 // age
    elif others == 0 or not owes(c) or age < (GRACE_SHARE_MS if share else GRACE_MS):
        return
    else:
        rate = rate_of(w, c)
        if rate >= WORTH_RATE and not share:
            return
    # In fixed point, so that an address with a thousand buffers differs from one with two.
    note_weak(look, (rate + 1) * 1048576 // max(held if place else 1, cast(uint64_t, 1)), c.stream.slot.index, c.held)


def client_of(s):
    if s.lane.kind == KIND_CLIENT:
        return cast(cython.pointer(Client), s)
    x: cython.pointer(Exchange) = cast(cython.pointer(Upstream), s).exchange
    return x.client if x != NULL else NULL


def share_place(w, s):
    c: cython.pointer(Client) = client_of(s)
    return place_of(w, c) if c != NULL else PLACE_NONE


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
    return stream_hungry(s) or s.starving.list != NULL


def owes(c):
    s: cython.pointer(cython.const[Stream]) = address(c.stream)
    if s.lane.send_due_ms and (not stream_drained(s) or s.polling):
        return True
    if s.lane.receive_due_ms and not waits(s):
        return True
    if c.exchange == NULL or c.exchange.upstream == NULL:
        return False
    s = address(c.exchange.upstream.stream)
    return s.lane.send_due_ms != 0 and not stream_drained(s)


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
    look.most = GIVE_WAY_MOST
    look.count = 0
    for i in range(w.clients.made):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), i))
        if c.stream.slot.used and not c.stream.closing and c.held:
            weigh(w, look, c)
    wanted: uint64_t = (
        look.all_wait + w.buffers.pool[GROUP_SMALL if look.tight[GROUP_SMALL] else GROUP_LARGE].capacity // 16
    )
    for i in range(look.count):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), look.weak[i].index))
        if not c.stream.slot.used or c.stream.closing:
            continue
        if wanted == 0:
            return
        wanted -= min(wanted, cast(uint64_t, look.weak[i].held))
        if c.stream.state == CLIENT_HEAD:
            queue_give(address(w.buffers), address(c.stream.lane.inbox))  # its response needs one of these buffers
        count(w.counters, COUNT_GAVE_WAY, 1)
        client_peer(c)
        tell(w, EVENT_GAVE_WAY, 0, c.peer, c.peer_length)
        c.stream.lane.late = LATE_GAVE_WAY
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
                note_weak(address(look), (cast(uint64_t, how) << 56) + c.stream.lane.receive_due_ms, i, 1)
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
