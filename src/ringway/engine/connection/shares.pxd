"""Who may take what all share, and who gives way, when it runs short: receive buffers, and places for connections.

While there is plenty of both nothing here runs: when something is short, all clients are looked at, at most every LOOK_MS.
Nothing is owned here. `Client.place`, `looked_ms` and `looked_unsent` are written here alone, `Stream.moved` is set to 0
here and counted by the stream. What an address holds is counted as buffers are taken and given back (buffer_charge()), for
those that are taken while they are short; a look charges it with the others.

What bounds what one client takes, in the order in which it is met:

    always      `[limits]`, deadlines, LEAST_RATE; small pieces join (stream.pxd), so memory goes by bytes
    3/4 taken   of a group of buffers: an address has its share of them, and rates are looked at
    3/4 out     of the large buffers: a connection queues one piece, no more (OUTBOX_SCARCE)
    scarce      what wants a large buffer receives into a small one, as long as half of those are left for heads
    still short somebody waits: clients that hold scarce buffers and take (or send) too little give way, as many buffers'
                worth as are waited for and a sixteenth of the pool

The share of an address is what everybody would have if there were one address more than there are: half of the pool for
the only one, a third for each of two. So there is always some left for one that has none. Who is over it is held back: its
bodies are received into small buffers, and what would need a first buffer waits until its address has given some back. A
connection that needs more to use what it has (half a head, half a TLS record) goes on. What was asked for before buffers
became short is not held back; that is what giving way is for. IPv6 addresses share by /64. Trusted proxies and Unix sockets
stand for many clients: they have no share, whoever their clients are, and are never held back.

Who gives way first: what a client moved in a second, divided by what its address holds; the smallest first. So who takes
nothing goes before who takes little, and of two that take as little, the one whose address holds more. Who is it at all:

    half a head         GRACE_SHARE_MS after its first byte; its bytes by the time since then. GRACE_MS if more of it has
                        come, and waits for a buffer
    an answer that is   if somebody of another address waits: after GRACE_MS at less than WORTH_RATE; after GRACE_SHARE_MS
    not taken, a body   whatever the rate is if its own address holds more than half of what is held
    that does not come

Those of one address only wait for each other, until `write` or `body` has passed. A client that waits for the upstream,
for a file or for our buffers is not late with anything and never gives way.

Places: with `[limits] client_connections` met, an address that has more than half of them gives way to any other: its
connections that have been idle for the longest, then those in a handshake or a head. Its own further connections are
refused. So a single address may have all places as long as nobody else wants one.
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer, Queue
from ringway.engine.connection.state cimport Client, Stream, Worker
from ringway.engine.plan.ips cimport Ip

cdef enum:
    HASH_PRIME = 16777619   # of FNV-1a
    LOOK_MS = 100
    LOOKS_OLD_MS = 1000     # then what a look has found is worth nothing any more
    SHARE_LEAST = 2         # buffers, however many addresses there are
    GRACE_MS = 5000         # longer than a handover between two radio cells
    GRACE_SHARE_MS = 1000
    WORTH_RATE = 4096       # bytes a second: a buffer that moves less is worth more to somebody else
    GIVE_WAY_MOST = 512     # in a look
    PLACES_MOST = 64        # ... for want of places; so many connections above `client_connections` wait for theirs

cdef struct Weak:           # one that may give way
    uint64_t worth          # the smallest gives way first
    uint32_t index
    uint32_t held           # buffers

cdef struct Look:           # at all clients
    bint tight[2]           # by Group: buffers of these count
    uint64_t all_held
    uint32_t all_wait       # without those whose address has its share
    uint32_t most           # of `weak`
    uint32_t count
    Weak weak[GIVE_WAY_MOST]    # sorted by worth

cdef void shares_look(Worker* w) noexcept nogil
    # each turn: while buffers are short, see who gives way
cdef void shares_count(Worker* w) noexcept nogil
    # Handlers.take_stock
cdef uint32_t share_place(Worker* w, Stream* s) noexcept nogil
    # Handlers.place
cdef bint shares_make_room(Worker* w, int fd) noexcept nogil
    # all places are taken: may this new connection have one of those that are about to become free?

cdef Client* client_of(Stream* s) noexcept nogil    # for whom this is; NULL: an idle upstream connection
cdef Stream* upstream_of(const Client* c) noexcept nogil
cdef uint32_t place_of_ip(const Worker* w, const Ip* ip) noexcept nogil
cdef uint32_t place_of(Worker* w, Client* c) noexcept nogil
cdef uint32_t place_of_socket(Worker* w, int fd) noexcept nogil
cdef void count_all(Worker* w, Look* look) noexcept nogil
cdef void count_client(Worker* w, Look* look, Client* c) noexcept nogil
cdef void charge_stream(Worker* w, Stream* s, uint32_t place, uint32_t* held) noexcept nogil
    # who has had them since before buffers were scarce is charged with them now. `held`: by Group, counts on
cdef void charge_queue(Worker* w, Queue* q, uint32_t place, uint32_t* held) noexcept nogil
cdef void charge_buffer(Worker* w, Buffer* b, uint32_t place, uint32_t* held) noexcept nogil
cdef void share_out(Worker* w, Look* look) noexcept nogil
cdef bint has_all(const Worker* w, const Look* look, uint32_t place) noexcept nogil
cdef void weigh(Worker* w, Look* look, Client* c) noexcept nogil
cdef uint64_t rate_of(Worker* w, Client* c) noexcept nogil
    # bytes a second that it took and sent since it was looked at first
cdef bint owes(const Client* c) noexcept nogil
    # is it the client's turn to take or to send? Or the upstream's to take what the client sent
cdef bint waits(const Stream* s) noexcept nogil
cdef void note_weak(Look* look, uint64_t worth, uint32_t index, uint32_t held) noexcept nogil
cdef void give_way(Worker* w, Look* look) noexcept nogil
cdef uint32_t find_heavy(Worker* w) noexcept nogil
cdef uint32_t make_places(Worker* w) noexcept nogil
cdef uint32_t rank(const Client* c) noexcept nogil
    # in which order connections give up their place; 0: it keeps it
