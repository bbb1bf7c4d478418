"""Who gives way when what all share runs short: receive buffers, and places for connections.

While there is plenty of both nothing here runs, and no list is kept for it: when something is short, all clients are looked
at, at most every LOOK_MS. Nothing is owned here. The table of addresses is `Worker.scratch`, valid during one look;
`Client.place`, `looked_ms` and `looked_unsent` are written here alone, `Stream.moved` is set to 0 here and counted by the
stream.

What bounds what one client takes, in the order in which it is met:

    always      `[limits]`, deadlines, LEAST_RATE; small pieces join (stream.pxd), so memory goes by bytes
    3/4 out     of the large buffers: a connection queues one piece, no more (OUTBOX_SCARCE), and rates are looked at
    scarce      what wants a large buffer receives into a small one, as long as half of those are left for heads
    still short somebody waits: clients that hold scarce buffers and take (or send) too little give way, as many buffers'
                worth as are waited for and a sixteenth of the pool

Who gives way first: what a client moved in a second, divided by what its address holds; the smallest first. So who takes
nothing goes before who takes little, and of two that take as little, the one whose address holds more. Who is it at all:

    half a head         GRACE_SHARE_MS after its first byte; its bytes by the time since then
    an answer that is   if somebody of another address waits: after GRACE_MS at less than WORTH_RATE; after GRACE_SHARE_MS
    not taken, a body   whatever the rate is if its own address holds more than half of what is held
    that does not come

Those of one address only wait for each other, until `write` or `body` has passed. A client that waits for the upstream,
for a file or for our buffers is not late with anything and never gives way. Trusted proxies and Unix sockets stand for
many clients: their address has no share.

Places: with `[limits] client_connections` met, an address that has more than half of them gives way to any other: its
connections that have been idle for the longest, then those in a handshake or a head. Its own further connections are
refused. So a single address may have all places as long as nobody else wants one.
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer, Queue
from ringway.engine.connection.state cimport Client, Stream, Worker
from ringway.engine.plan.ips cimport Ip

cdef enum:
    PLACES = 4096           # addresses are told apart by a salted hash: strangers share a place rarely, and not on purpose
    HASH_PRIME = 16777619   # of FNV-1a
    PLACE_NONE = 0          # no share: a trusted proxy, a Unix socket, not known yet
    LOOK_MS = 100
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
    uint32_t* held          # borrowed: by place
    uint32_t* waits         # likewise: streams that wait for a buffer
    uint64_t all_held
    uint32_t all_wait
    bint small              # which group is scarce: buffers of these count
    bint large
    uint32_t most           # of `weak`
    uint32_t count
    Weak weak[GIVE_WAY_MOST]    # sorted by worth

cdef void shares_look(Worker* w) noexcept nogil
    # each turn: while buffers are short, see who gives way
cdef bint shares_make_room(Worker* w, int fd) noexcept nogil
    # all places are taken: may this new connection have one of those that are about to become free?

cdef Stream* upstream_of(const Client* c) noexcept nogil
cdef uint32_t place_of_ip(const Worker* w, const Ip* ip) noexcept nogil
cdef uint32_t place_of(Worker* w, Client* c) noexcept nogil
cdef uint32_t place_of_socket(Worker* w, int fd) noexcept nogil
cdef void look_at_all(Worker* w, Look* look) noexcept nogil
cdef void weigh(Worker* w, Look* look, Client* c) noexcept nogil
cdef uint64_t rate_of(Worker* w, Client* c) noexcept nogil
    # bytes a second that it took and sent since it was looked at first
cdef bint owes(const Client* c) noexcept nogil
    # is it the client's turn to take or to send? Or the upstream's to take what the client sent
cdef bint waits(const Stream* s) noexcept nogil
cdef uint32_t held_by(const Look* look, Client* c) noexcept nogil
cdef uint32_t held_in(const Look* look, const Queue* q) noexcept nogil
cdef uint32_t counts(const Look* look, const Buffer* b) noexcept nogil
cdef void note_weak(Look* look, uint64_t worth, uint32_t index, uint32_t held) noexcept nogil
cdef void give_way(Worker* w, Look* look) noexcept nogil
cdef uint32_t find_heavy(Worker* w) noexcept nogil
cdef uint32_t make_places(Worker* w) noexcept nogil
cdef uint32_t rank(const Client* c) noexcept nogil
    # in which order connections give up their place; 0: it keeps it
