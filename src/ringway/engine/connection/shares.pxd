"""Shares of scarce resources, and which clients give way: receive buffers, and places for connections.

While there is enough of both, nothing here runs. When one is scarce, the worker looks at all clients, at most every
LOOK_MS. This module owns nothing. Only this module writes `Client.place`, `looked_ms` and `looked_unsent`. It sets
`Stream.moved` to 0, and the stream adds to it. Buffers that are taken while they are scarce are charged to an address
at once (buffer_charge()). A look charges the others.

What bounds one client, in the order in which the bounds apply:

    always      `[limits]`, deadlines, LEAST_RATE; small pieces are joined (stream.pxd), so bytes count, not pieces
    tight       three quarters of the buffers of a group are in use, the reserve not counted: an address gets no more
                than its share, and rates are checked
    3/4 out     three quarters of the large buffers are in use: a connection queues one piece at a time (OUTBOX_SCARCE)
    scarce      no large buffer is free: receive into a small one, as long as half of those are left for heads
    still short a stream waits for a buffer: clients that hold scarce buffers and take (or send) too little give way,
                until the buffers suffice for all that wait and a sixteenth of the pool

The share of an address is what each would have if there were one address more: half of the pool if there is one, a third
if there are two. So there are buffers left for an address that holds none. An address that has its share is held back: its
bodies are received into small buffers, and a stream that holds none waits until the address releases some. A stream that
needs more bytes to use what it holds (half a head, half a TLS record) goes on. Receives that were in flight before are not
held back. The table has PLACES entries, found by a salted hash; IPv6 addresses share by /64. Trusted proxies and Unix
sockets stand for many clients: they have no share and are never held back.

Order: the bytes per second that a client moved, divided by the number of buffers that its address holds; the smallest
value gives way first. So a client that takes nothing comes before one that takes little, and of two with the same rate,
the one whose address holds more. A client can give way when it holds scarce buffers and one of these is true:

    half a head               GRACE_SHARE_MS passed since its first byte. Its rate counts from there, too. GRACE_MS if
                              more of it is in the socket and waits for a buffer
    a response that it does   a stream of another address waits, and GRACE_MS passed at less than WORTH_RATE; if its own
    not take, or a body that  address holds more than half of all held buffers: GRACE_SHARE_MS passed, at any rate
    it does not send

If only clients of the same address wait, the `write` and `body` timeouts decide. A client that waits for the upstream,
for a file or for Ringway's buffers is not late with anything and never gives way.

Places: when `[limits] client_connections` is reached, an address that has more than half of all places gives way to any
other address: first the connections that have been idle for longest, then those in a handshake or a head. Its own new
connections are closed at once. So one address may have all places as long as no other address wants one.
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer, Queue
from ringway.engine.connection.state cimport Client, Exchange, Mux, Stream, Worker
from ringway.engine.plan.ips cimport Ip

cdef enum:
    HASH_PRIME = 16777619   # of FNV-1a
    LOOK_MS = 100
    LOOKS_OLD_MS = 1000     # then what a look has found is worth nothing any more
    SHARE_LEAST = 2         # buffers, however many addresses there are
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
    bint tight[2]           # by Group: buffers of this group count
    uint64_t all_held
    uint32_t all_wait       # without addresses that have their share
    uint32_t most           # of `weak`
    uint32_t count
    Weak weak[GIVE_WAY_MOST]    # sorted by worth

cdef void shares_look(Worker* w) noexcept nogil
    # each turn in which buffers are scarce: makes clients give way
cdef void shares_count(Worker* w) noexcept nogil
    # Handlers.take_stock
cdef uint32_t share_place(Worker* w, Stream* s) noexcept nogil
    # Handlers.place
cdef bint shares_make_room(Worker* w, int fd) noexcept nogil
    # all places are in use: may this new connection have one that another address gives up?

cdef Client* client_of(Stream* s) noexcept nogil    # for whom this is; NULL: an idle upstream connection
cdef Stream* upstream_of(const Client* c) noexcept nogil
cdef uint32_t place_of_ip(const Worker* w, const Ip* ip) noexcept nogil
cdef uint32_t place_of(Worker* w, Client* c) noexcept nogil
cdef uint32_t place_of_socket(Worker* w, int fd) noexcept nogil
cdef void count_all(Worker* w, Look* look) noexcept nogil
cdef void count_client(Worker* w, Look* look, Client* c) noexcept nogil
cdef void charge_exchange(Worker* w, Exchange* x, uint32_t place, uint32_t* held) noexcept nogil
cdef void charge_mux(Worker* w, Mux* m, uint32_t place, uint32_t* held) noexcept nogil
cdef void charge_stream(Worker* w, Stream* s, uint32_t place, uint32_t* held) noexcept nogil
    # who has had them since before buffers were scarce is charged with them now. `held`: by Group, counts on
cdef void charge_queue(Worker* w, Queue* q, uint32_t place, uint32_t* held) noexcept nogil
cdef void charge_buffer(Worker* w, Buffer* b, uint32_t place, uint32_t* held) noexcept nogil
cdef void divide(Worker* w, Look* look) noexcept nogil
cdef bint has_all(const Worker* w, const Look* look, uint32_t place) noexcept nogil
cdef void weigh(Worker* w, Look* look, Client* c) noexcept nogil
cdef uint64_t rate_of(Worker* w, Client* c) noexcept nogil
    # bytes per second that it took and sent since `looked_ms`
cdef bint owes(const Client* c) noexcept nogil
    # do we wait for the client to take or send bytes, or for the upstream to take the client's bytes?
cdef bint waits(const Stream* s) noexcept nogil
cdef void note_weak(Look* look, uint64_t worth, uint32_t index, uint32_t held) noexcept nogil
cdef void give_way(Worker* w, Look* look) noexcept nogil
cdef uint32_t find_heavy(Worker* w) noexcept nogil
cdef uint32_t make_places(Worker* w) noexcept nogil
cdef uint32_t rank(const Client* c) noexcept nogil
    # the order in which connections give up their places; 0: it keeps its place
