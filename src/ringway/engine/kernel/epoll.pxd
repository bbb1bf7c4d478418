"""The epoll driver, for systems where io_uring is not available: the same interface, with non-blocking system calls.

    ask --> due (worth trying) --next(): the system call--> completion
             ^   |
             |   +-- it would block --> waits until an edge of the descriptor makes it due again
             +-- wait(): edges

Some facts that shape this file:

- A descriptor is registered once, for both directions, edge-triggered (EPOLLET), and only when an operation has to
  wait. A connection whose only request is already there is never registered. Registering reports the current state.
- An edge only says that something changed, so it is not a completion. It makes the waiting operation due, and the
  system call decides. An edge for an earlier owner of the descriptor costs one useless call, no more.
- After a call would have blocked, or moved less than it could have, the kernel reports an edge when the next try is
  worthwhile (epoll(7)). Until then the side is `dry`. There are exceptions: after the peer's end there are no more
  edges, a receive stops before an urgent byte, and kernel TLS stops before a record that is not data.
- A driver call does no I/O. next() makes one system call for each completion, so handlers never nest. Files are the
  exception: the driver opens, stats and reads them at once, and next() reports the result. A file that is not in the
  page cache blocks the loop.
- A descriptor that has moved its share of bytes in a turn waits for the next turn: a fast peer does not delay others.
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffers
from ringway.engine.base.counters cimport Counters
from ringway.engine.kernel.driver cimport Completion, Driver
from ringway.engine.native.epoll cimport epoll_event
from ringway.engine.native.linux cimport open_how, sockaddr, socklen_t, statx_t

cdef enum:
    EVENTS_MAX = 512            # edges per epoll_wait()
    WATCHES_MAX = 1048576       # descriptors: the default of fs.nr_open; address space, touched only when used
    TURN_BYTES_MAX = 262144     # bytes that one descriptor moves in a turn
    CALL_BYTES = 4096           # bytes that each call counts at least
    STALLED_MS = 5              # between two rounds of tries of connects that wait for room in a backlog
    STALLED_TRIES = 16          # tries in one round; the other connects follow in later rounds

cdef enum:                      # Direction: index of a side
    INWARD = 0
    OUTWARD = 1

cdef enum Asked:                # what a side has to do
    ASKED_NOTHING = 0
    ASKED_ACCEPT
    ASKED_RECEIVE
    ASKED_RECEIVE_PLAIN         # into the caller's memory
    ASKED_CONNECT
    ASKED_SEND
    ASKED_WRITABLE
    ASKED_PEER_END
    ASKED_END                   # it was cancelled, or cannot wait: only its completion is left

cdef struct Side:               # one direction of a descriptor
    uint64_t tag
    char* data                  # lent by the caller until the completion: bytes, or the address to connect to
    uint32_t length
    int32_t fd
    int32_t error               # ASKED_END: -errno
    uint8_t asked               # Asked
    uint8_t group               # Group to receive into
    uint8_t flags               # ReceiveFlags
    bint more                   # MSG_MORE
    bint dry                    # trying is useless until the next edge
    bint queued                 # in a queue
    Side* next

cdef struct Watch:              # one descriptor, by its number
    Side side[2]                # by Direction
    bint registered
    bint unsure                 # an edge reported an end, error or urgent byte: a short receive does not mean dry
    uint32_t turn               # the turn that `moved` belongs to
    uint32_t moved              # bytes

cdef struct Sides:              # queue, first in, first out
    Side* first
    Side* last

cdef struct Done:               # a file operation that is done
    uint64_t tag
    int32_t result

cdef struct Epoll:
    int fd                      # owned
    uint32_t watch_count        # bound
    Watch* watches              # owned: reserved for all descriptors
    Sides due                   # worth trying
    Sides later                 # due, but not before the next turn
    Sides stalled               # connects to Unix sockets whose backlog is full: no edge reports room in it
    uint64_t stalled_ms         # when to try them again
    uint32_t turn
    Done* done                  # owned: a ring
    uint64_t done_mask
    uint64_t done_first
    uint64_t done_last
    epoll_event events[EVENTS_MAX]

cdef int epoll_open(Driver* d, Buffers* buffers, Counters* counters, uint64_t files) noexcept nogil
    # `files`: bound on the file operations in flight. 0; -errno: nothing is left open

cdef void* epoll_reserve(uint64_t size) noexcept nogil
cdef void push_side(Sides* q, Side* s) noexcept nogil
cdef Side* pop_side(Sides* q) noexcept nogil
cdef Side* ask(Driver* d, int fd, int direction, int asked, uint64_t tag) noexcept nogil
cdef void side_settle(Epoll* e, Side* s) noexcept nogil
cdef void end(Epoll* e, Side* s, int error) noexcept nogil
cdef void unregister(Epoll* e, int fd) noexcept nogil
cdef void push_done(Driver* d, uint64_t tag, int result) noexcept nogil
cdef bint attempt(Driver* d, Watch* w, Side* s, Completion* out) noexcept nogil
cdef int call(Driver* d, Watch* w, Side* s, Completion* out) noexcept nogil
cdef int call_receive(Driver* d, Watch* w, Side* s, Completion* out) noexcept nogil
cdef int call_send(Side* s) noexcept nogil
cdef int call_connect(Side* s) noexcept nogil
cdef int call_poll(Side* s, int events) noexcept nogil
cdef void wake(Epoll* e, Side* s) noexcept nogil
cdef bint backlog_full(const Side* s) noexcept nogil
    # True: the connect is to a Unix socket, so EAGAIN means a full backlog. With io_uring the kernel waits for room,
    # with epoll the driver does
cdef int stalled_again(Epoll* e) noexcept nogil
    # makes the next round of stalled connects due; returns the milliseconds until the next round

cdef void epoll_accept(Driver* d, int fd, uint64_t tag) noexcept nogil
cdef void epoll_receive(Driver* d, int fd, int group, int flags, uint64_t tag) noexcept nogil
cdef void epoll_send(Driver* d, int fd, const char* data, uint32_t length, bint more, uint64_t tag) noexcept nogil
cdef void epoll_connect(Driver* d, int fd, const sockaddr* address, socklen_t length, uint64_t tag) noexcept nogil
cdef void epoll_writable(Driver* d, int fd, uint64_t tag) noexcept nogil
cdef void epoll_await_end(Driver* d, int fd, uint64_t tag) noexcept nogil
cdef void epoll_open_file(Driver* d, int folder, const char* path, open_how* how, uint64_t tag) noexcept nogil
cdef void epoll_stat(Driver* d, int fd, statx_t* out, uint64_t tag) noexcept nogil
cdef void epoll_read(Driver* d, int fd, char* data, uint32_t length, uint64_t offset, uint64_t tag) noexcept nogil
cdef void epoll_receive_plain(Driver* d, int fd, char* data, uint32_t length, uint64_t tag) noexcept nogil
cdef bint epoll_quiet(Driver* d, int fd, uint64_t tag, bint sure) noexcept nogil
cdef void epoll_cancel(Driver* d, int fd, uint64_t tag) noexcept nogil
cdef void epoll_close(Driver* d, int fd) noexcept nogil
cdef uint32_t epoll_buffers_left(Driver* d, int group) noexcept nogil
cdef int epoll_grow(Driver* d, uint64_t files) noexcept nogil
cdef void epoll_call_back(Driver* d) noexcept nogil
cdef int epoll_wait_for(Driver* d, int timeout_ms) noexcept nogil
cdef bint epoll_next(Driver* d, Completion* out) noexcept nogil
cdef void epoll_shut(Driver* d) noexcept nogil
