"""Buffers for bytes in flight, and who owns a buffer.

    FREE --take--> HELD --lend--> LENT --back--> HELD --give--> FREE
      \--(driver) lend--> LENT --(completion)--> HELD

A buffer has room before and after its payload. A rewritten head fits before the body that arrived with the old head,
and a chunk's frame fits around the payload. One send takes all of it without a copy:

    base | HEADROOM | payload, where receives begin | TAILROOM |
              start ^~~~~~~~~~~~~~~~~~~~~~^ end

The buffers of a pool are adjacent in its slab. With the address sanitizer there are red zones between them, and free
buffers are poisoned (poison.pxd). The pool touches only those pages of the slab that it uses. The bound of a pool is
its capacity. Work that begins (a receive, a piece of a file) stops earlier, at the pool's reserve: buffer_scarce().
Work in progress may use the reserve: encrypting a buffer needs a second one for a moment, and a response has a head.

A reload may change the size and the number of the buffers. Then the pool gets a new slab and takes all buffers from
it. A buffer that is out stays in the old slab and keeps its size. When it is released it becomes bare: it has no memory
until it gets a place in the new slab, and its pages go back to the system. The last one to leave closes the old slab.
Buffers in an old slab count towards the bound, so nothing new begins while there are too many of them.

    bare --(first use)--> FREE --take--> ... --give--> FREE          in the pool's slab
      ^--------------------------------------give--- HELD            in an old slab: `owner`
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.base.counters cimport Counters

cdef enum:
    HEADROOM = 1024         # bytes by which a rewritten head may be longer than the one it replaces
    TAILROOM = 192          # bytes for the end of a chunk and the last chunk, or for the TLS framing of a full payload
    SMALL_BYTES = 4096      # payload: heads and small responses
    BUFFER_IDS_MAX = 65535  # an id has 16 bits
    RESERVE_MAX = 64        # buffers; a small pool reserves a quarter
    LARGE_BYTES = 65536     # payload: bodies. The default of `[limits] body_buffer_bytes`

    PLACES = 4096           # those who are charged with buffers are told apart by so many numbers
    PLACE_NONE = 0          # ... and this one is nobody's

cdef enum:                  # Group
    GROUP_SMALL = 0
    GROUP_LARGE = 1
    GROUP_VIEW = 2          # no memory of its own: borrows a file's copy, see `owner`
    GROUPS = 3

cdef enum BufferState:
    BUFFER_FREE = 0     # on its pool's free list
    BUFFER_HELD = 1     # has exactly one owner
    BUFFER_LENT = 2     # the kernel has it until the completion

cdef struct Buffer:
    char* base          # in a slab; a view borrows it from `owner` until the view is released
    uint32_t start      # first byte in use, from base
    uint32_t end        # one past the last byte in use, from base
    uint32_t size       # bytes of the buffer, from base
    uint16_t id         # index in its pool; the ring's buffer id
    uint8_t group       # Group
    uint8_t state       # BufferState; only buffer_move() writes it
    uint16_t place      # of the address that it is charged to, see buffer_charge(); PLACE_NONE: to none
    Buffer* next        # in the free list, or in a queue
    void* owner         # what keeps the bytes alive: a view's file, or an old Slab. NULL: the pool's slab

cdef struct Slab:       # memory for buffers of one size
    char* memory        # owned
    uint64_t bytes      # size of the memory
    uint32_t left       # in an old slab: the number of buffers that are still out

cdef struct BufferPool:
    Buffer* buffers     # owned: BUFFER_IDS_MAX of them; only the first `made` are touched
    Slab* slab          # owned: memory of the buffers that are taken now; NULL: views
    uint32_t payload    # bytes
    uint32_t size       # bytes, with head room and tail room
    uint32_t capacity   # bound, in buffers: the places in the slab
    uint32_t made       # number of `buffers` that were ever used
    uint32_t placed     # number of places in the slab that were ever used
    uint32_t out        # buffers that are not free, in any slab
    uint32_t reserve    # buffers that only work in progress may take
    uint32_t tight      # with this many out an address gets no more than its share: 3/4 of all but the reserve
    Buffer* free        # last in, first out: the one most likely in the CPU cache comes first
    Buffer* bare        # buffers that were used and have no place in the slab
    Counters* counters  # borrowed

ctypedef void (*view_given_t)(void* owner) noexcept nogil

cdef struct Buffers:
    BufferPool pool[GROUPS]
    view_given_t view_given     # called when a view is released
    uint32_t charged[2][PLACES] # buffers that are charged, by Group and place

cdef struct Queue:              # owned buffers, in order
    Buffer* first
    Buffer* last
    uint32_t count
    uint64_t bytes

cdef inline char* data_of(const Buffer* b) noexcept nogil:
    return b.base + b.start

cdef inline uint32_t length_of(const Buffer* b) noexcept nogil:
    return b.end - b.start

cdef inline void buffer_move(Buffer* b, int to) noexcept nogil:
    # every change of ownership goes through this function
    b.state = <uint8_t>to

cdef inline uint32_t room_behind(const Buffer* b) noexcept nogil:
    """Bytes that can still be appended, without the tail room. A chunk's end may already be in it: then there is none."""
    return b.size - TAILROOM - b.end if b.end + TAILROOM < b.size else 0

cdef inline bint buffer_scarce(const Buffers* all, int group) noexcept nogil:
    """The caller must not begin new work with a buffer of this group. It waits until some are released."""
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
    # `bytes`: bound of the memory of both groups; `large_bytes`: payload of GROUP_LARGE. Returns 0 or -ENOMEM
cdef int buffers_resize(Buffers* all, uint64_t bytes, uint32_t large_bytes) noexcept nogil
    # use another bound or size from now on. Returns 1; 0: nothing to change; -ENOMEM: nothing changed
cdef void buffers_close(Buffers* all) noexcept nogil
cdef Buffer* buffer_take(Buffers* all, int group) noexcept nogil
    # returns an empty buffer, HELD. GROUP_SMALL: a large one if no small one is free. NULL: the bound is reached
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
cdef void queue_give(Buffers* all, Queue* q) noexcept nogil         # release all buffers of the queue
