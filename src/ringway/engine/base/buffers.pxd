"""Buffers for bytes under way, and who owns one.

    FREE --take--> HELD --lend--> LENT --back--> HELD --give--> FREE
      \--(driver) lend--> LENT --(completion)--> HELD

A buffer has room in front of its payload and behind it, so that a rewritten head goes before the body that arrived
with the old head, and a chunk's frame goes around the payload, and all of it leaves in one send without a copy:

    base | HEADROOM | payload, where receives begin | TAILROOM |
              start ^~~~~~~~~~~~~~~~~~~~~~^ end

The buffers of a pool lie side by side in its slab (under the address sanitizer with red zones between, and poisoned while
nobody has them: poison.pxd), which is touched only where it is used. The bound of a pool is its
capacity. Whoever takes a buffer for something new (a receive, a piece of a file) stops before that, at the pool's reserve:
buffer_scarce(). What is under way may use the reserve: encrypting a buffer needs another one for a moment, and an answer
has a head.

A reload may change the size of buffers and their number: then the pool gets another slab, and everything that is taken
from then on lies there. Who has a buffer in the slab before keeps it as it is, with its own size; when it is given back
it is bare, to be placed in the new slab at need, and its pages are the system's again; the last takes the old slab along.
Those count to the bound like others, so nothing new begins while they are too many.

    bare --(first use)--> FREE --take--> ... --give--> FREE          its slab is the pool's
      ^--------------------------------------give--- HELD            its slab is an old one: `owner`
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.base.counters cimport Counters

cdef enum:
    HEADROOM = 1024         # bytes: what a rewritten head may be longer than the one it replaces
    TAILROOM = 192          # bytes: end of a chunk, the last chunk; TLS framing of a full payload
    SMALL_BYTES = 4096      # payload: heads and small answers
    BUFFER_IDS_MAX = 65535  # an id is 16 bits wide
    RESERVE_MAX = 64        # buffers; a small pool keeps a quarter
    LARGE_BYTES = 65536     # payload: bodies, unless `[limits] body_buffer_bytes` says otherwise; the seed's BUF_SIZE

    PLACES = 4096           # those who are charged with buffers are told apart by so many numbers
    PLACE_NONE = 0          # ... and this one is nobody's

cdef enum:                  # Group
    GROUP_SMALL = 0
    GROUP_LARGE = 1
    GROUP_VIEW = 2          # no memory of its own: borrows a file's copy, see `owner`
    GROUPS = 3

cdef enum BufferState:
    BUFFER_FREE = 0     # on its pool's free list
    BUFFER_HELD = 1     # owned by whoever took it
    BUFFER_LENT = 2     # the kernel has it until the completion

cdef struct Buffer:
    char* base          # lies in a slab; a view's is borrowed from `owner` until given back
    uint32_t start      # first byte in use, from base
    uint32_t end        # behind the last byte in use
    uint32_t size       # bytes from base that are its own
    uint16_t id         # index in its pool; the ring's buffer id
    uint8_t group       # Group
    uint8_t state       # BufferState; written only by buffer_move()
    uint16_t place      # whose it is, see buffer_charge(); PLACE_NONE: nobody is charged with it
    Buffer* next        # free list, or the queue it waits in
    void* owner         # what keeps the bytes alive: a view's file, the Slab of one whose pool has another by now

cdef struct Slab:       # memory of buffers that have one size
    char* memory        # owned
    uint64_t bytes      # of it
    uint32_t left       # it is an old one: so many buffers still lie in it

cdef struct BufferPool:
    Buffer* buffers     # owned: BUFFER_IDS_MAX of them, touched only as far as they are made
    Slab* slab          # owned: where those lie that are taken now; NULL: views
    uint32_t payload    # bytes
    uint32_t size       # bytes: with head room and tail room
    uint32_t capacity   # bound, in buffers: so many have a place in the slab
    uint32_t made       # so many of `buffers` were ever used
    uint32_t placed     # so many places of the slab were
    uint32_t out        # so many are not free, wherever they lie
    uint32_t reserve    # so many are left to what is under way
    uint32_t tight      # three quarters of the others: while so many are out nobody gets more than its share
    Buffer* free        # last in, first out: the warmest first
    Buffer* bare        # those that were used and have no place now
    Counters* counters  # borrowed

ctypedef void (*view_given_t)(void* owner) noexcept nogil

cdef struct Buffers:
    BufferPool pool[GROUPS]
    view_given_t view_given     # called when a view is given back
    uint32_t charged[2][PLACES] # by Group and place: buffers

cdef struct Queue:              # buffers in order, owned
    Buffer* first
    Buffer* last
    uint32_t count
    uint64_t bytes

cdef inline char* data_of(const Buffer* b) noexcept nogil:
    return b.base + b.start

cdef inline uint32_t length_of(const Buffer* b) noexcept nogil:
    return b.end - b.start

cdef inline void buffer_move(Buffer* b, int to) noexcept nogil:
    # the one place where a buffer changes hands
    b.state = <uint8_t>to

cdef inline uint32_t room_behind(const Buffer* b) noexcept nogil:
    """Bytes that may still be appended, the tail room not counted."""
    return b.size - TAILROOM - b.end

cdef inline bint buffer_scarce(const Buffers* all, int group) noexcept nogil:
    """Nothing new is to be begun with a buffer of this group: wait until some are given back."""
    return all.pool[group].capacity <= all.pool[group].out + all.pool[group].reserve

cdef inline void buffer_charge(Buffers* all, Buffer* b, uint32_t place) noexcept nogil:
    """Until it is given back it counts as one of `place`."""
    if b.place == PLACE_NONE and place != PLACE_NONE and b.group != GROUP_VIEW:
        b.place = <uint16_t>place
        all.charged[b.group][place] += 1

cdef inline uint32_t buffers_left(const Buffers* all, int group) noexcept nogil:
    """So many may be taken for something new."""
    cdef const BufferPool* pool = &all.pool[group]
    return 0 if buffer_scarce(all, group) else pool.capacity - pool.out - pool.reserve

cdef int buffers_open(Buffers* all, Counters* counters, uint64_t bytes, uint32_t large_bytes) noexcept nogil
    # `bytes`: bound of the memory for bodies under way; `large_bytes`: payload of GROUP_LARGE. 0, or -ENOMEM
cdef int buffers_resize(Buffers* all, uint64_t bytes, uint32_t large_bytes) noexcept nogil
    # from now on these. 1; 0: they are what they were; -ENOMEM, and everything is as before
cdef void buffers_close(Buffers* all) noexcept nogil
cdef Buffer* buffer_take(Buffers* all, int group) noexcept nogil
    # HELD and empty; instead of a small one it may be a large one. NULL: the bound is met
cdef void buffer_give(Buffers* all, Buffer* b) noexcept nogil       # HELD -> FREE
cdef Buffer* buffer_take_view(Buffers* all, char* base, uint32_t length, void* owner) noexcept nogil

cdef Slab* slab_open(uint64_t bytes) noexcept nogil         # NULL: no memory
cdef void slab_close(Slab* slab) noexcept nogil
cdef void slab_drop(Slab* slab, uint64_t begin, uint64_t end) noexcept nogil
cdef void slab_trim(BufferPool* pool, Slab* slab) noexcept nogil
cdef void pool_move(BufferPool* pool, Slab* slab, uint32_t payload, uint32_t capacity) noexcept nogil
cdef Buffer* place_one(BufferPool* pool, int group) noexcept nogil
cdef void take_bare(BufferPool* pool, Buffer* b) noexcept nogil

cdef void queue_push(Queue* q, Buffer* b) noexcept nogil
cdef void queue_push_front(Queue* q, Buffer* b) noexcept nogil
cdef Buffer* queue_pop(Queue* q) noexcept nogil                     # NULL: empty
cdef void queue_give(Buffers* all, Queue* q) noexcept nogil         # give back all of it
