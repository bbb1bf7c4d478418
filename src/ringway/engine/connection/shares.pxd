"""Which clients give way when a shared resource is scarce: receive buffers, or places for connections.

While there is enough of both, nothing here runs, and no list is kept. When one is scarce, the worker looks at all
clients, at most every LOOK_MS. This module owns nothing. The table of addresses is in `Worker.scratch`, valid during
one look. Only this module writes `Client.place`, `looked_ms` and `looked_unsent`. It sets `Stream.moved` to 0, and the
stream adds to it.

What bounds one client, in the order in which the bounds apply:

    always      `[limits]`, deadlines, LEAST_RATE; small pieces are joined (stream.pxd), so bytes count, not pieces
    3/4 out     three quarters of the large buffers are in use: a connection queues one piece at a time (OUTBOX_SCARCE),
                and rates are checked
    scarce      no large buffer is free: receive into a small one, as long as half of those are left for heads
    still short a stream waits for a buffer: clients that hold scarce buffers and take (or send) too little give way,
                until the buffers suffice for all that wait and a sixteenth of the pool

Order: the bytes per second that a client moved, divided by the number of buffers that its address holds; the smallest
value gives way first. So a client that takes nothing comes before one that takes little, and of two with the same rate,
the one whose address holds more. A client can give way when it holds scarce buffers and one of these is true:

    half a head               GRACE_SHARE_MS passed since its first byte. Its rate counts from there, too
    a response that it does   a stream of another address waits, and GRACE_MS passed at less than WORTH_RATE; if its own
    not take, or a body that  address holds more than half of all held buffers: GRACE_SHARE_MS passed, at any rate
    it does not send

If only clients of the same address wait, the `write` and `body` timeouts decide. A client that waits for the upstream,
for a file or for Ringway's buffers is not late with anything and never gives way. Trusted proxies and Unix sockets
stand for many clients, so their address has no share.

Places: when `[limits] client_connections` is reached, an address that has more than half of all places gives way to any
other address: first the connections that have been idle for longest, then those in a handshake or a head. Its own new
connections are closed at once. So one address may have all places as long as no other address wants one.
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer, Queue
from ringway.engine.connection.state cimport Client, Stream, Worker
from ringway.engine.plan.ips cimport Ip

cdef enum:
    PLACES = 4096           # an address has a place by its salted hash: two rarely share one, and nobody can arrange it
    HASH_PRIME = 16777619   # of FNV-1a
    PLACE_NONE = 0          # no share: a trusted proxy, a Unix socket, not known yet
    LOOK_MS = 100
    GRACE_MS = 5000         # longer than a handover between two radio cells
    GRACE_SHARE_MS = 1000
    WORTH_RATE = 4096       # bytes a second: below this, another client makes better use of the buffer
    GIVE_WAY_MOST = 512     # clients that give way in one look
    PLACES_MOST = 64        # ... when places are scarce. This many connections above `client_connections` have a slot
                            # until those are closed

cdef struct Weak:           # a client that may give way
    uint64_t worth          # the smallest gives way first
    uint32_t index
    uint32_t held           # buffers

cdef struct Look:           # one look at all clients
    uint32_t* held          # borrowed: buffers held, by place
    uint32_t* waits         # borrowed: streams that wait for a buffer, by place
    uint64_t all_held
    uint32_t all_wait
    bint small              # small buffers are scarce, and count
    bint large
    uint32_t most           # of `weak`
    uint32_t count
    Weak weak[GIVE_WAY_MOST]    # sorted by worth

cdef void shares_look(Worker* w) noexcept nogil
    # each turn: while buffers are scarce, makes clients give way
cdef bint shares_make_room(Worker* w, int fd) noexcept nogil
    # all places are in use: may this new connection have one that another address gives up?

cdef Stream* upstream_of(const Client* c) noexcept nogil
cdef uint32_t place_of_ip(const Worker* w, const Ip* ip) noexcept nogil
cdef uint32_t place_of(Worker* w, Client* c) noexcept nogil
cdef uint32_t place_of_socket(Worker* w, int fd) noexcept nogil
cdef void look_at_all(Worker* w, Look* look) noexcept nogil
cdef void weigh(Worker* w, Look* look, Client* c) noexcept nogil
cdef uint64_t rate_of(Worker* w, Client* c) noexcept nogil
    # bytes per second that it took and sent since `looked_ms`
cdef bint owes(const Client* c) noexcept nogil
    # do we wait for the client to take or send bytes, or for the upstream to take the client's bytes?
cdef bint waits(const Stream* s) noexcept nogil
cdef uint32_t held_by(const Look* look, Client* c) noexcept nogil
cdef uint32_t held_in(const Look* look, const Queue* q) noexcept nogil
cdef uint32_t counts(const Look* look, const Buffer* b) noexcept nogil
cdef void note_weak(Look* look, uint64_t worth, uint32_t index, uint32_t held) noexcept nogil
cdef void give_way(Worker* w, Look* look) noexcept nogil
cdef uint32_t find_heavy(Worker* w) noexcept nogil
cdef uint32_t make_places(Worker* w) noexcept nogil
cdef uint32_t rank(const Client* c) noexcept nogil
    # the order in which connections give up their places; 0: it keeps its place
