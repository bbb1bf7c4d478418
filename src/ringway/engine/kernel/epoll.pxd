"""The epoll driver, for where io_uring is refused: the same seam, by non-blocking system calls.

    ask --> due (worth trying) --next(): the system call--> completion
             ^   |
             |   +-- it would block --> waits until an edge of the descriptor makes it due again
             +-- wait(): edges

Some facts that shape this file:

- A descriptor is registered once, for both directions, edge-triggered (EPOLLET), and only when something has to wait
  for it: a connection whose one request is there already never is. Registering tells what is true at that time.
- An edge only says that something changed. So it never is a completion: it makes what waits due, and the system call
  decides. An edge that was meant for an earlier owner of the descriptor costs one call in vain, and no more.
- After a call would have blocked, and also after it took or gave less than it could have, the kernel tells by an edge
  when it is worth trying again (epoll(7)): such a side is `dry`. But once the peer's end was told there is no further
  edge; a receive stops in front of an urgent byte; and the kernel's TLS stops in front of a record that is no data.
- Nothing is done within a call of the engine: next() makes one system call for one completion, so handlers never run
  within handlers. Files are the exception: they are opened, asked and read at once, and next() tells of it; what is
  not in the page cache holds up the loop.
- A descriptor that moved its bytes of a turn waits for the next turn, so that a fast peer holds up nobody.
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffers
from ringway.engine.base.counters cimport Counters
from ringway.engine.kernel.driver cimport Completion, Driver
from ringway.engine.native.epoll cimport epoll_event
from ringway.engine.native.linux cimport open_how, sockaddr, socklen_t, statx_t

cdef enum:
    EVENTS_MAX = 512            # edges taken at once
    WATCHES_MAX = 1048576       # descriptors: what fs.nr_open allows unless it was raised; reserved, not touched
    TURN_BYTES_MAX = 262144     # that one descriptor moves in a turn
    CALL_BYTES = 4096           # that a call counts at least
    STALLED_MS = 5              # between two tries of those that wait for room in a backlog
    STALLED_TRIES = 16          # of them at once, the others in their turn

cdef enum:                      # Direction: index of a side
    INWARD = 0
    OUTWARD = 1

cdef enum Asked:                # what a side is to do
    ASKED_NOTHING = 0
    ASKED_ACCEPT
    ASKED_RECEIVE
    ASKED_RECEIVE_PLAIN         # into the caller's memory
    ASKED_CONNECT
    ASKED_SEND
    ASKED_WRITABLE
    ASKED_END                   # it was cancelled, or cannot wait: only its completion is due

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
    bint dry                    # trying is in vain until the next edge
    bint queued                 # in a queue
    Side* next

cdef struct Watch:              # one descriptor, by its number
    Side side[2]                # by Direction
    bint registered
    bint unsure                 # its end, an error or an urgent byte was told: a short receive does not mean dry
    uint32_t turn               # in which `moved` counts
    uint32_t moved              # bytes

cdef struct Sides:              # queue, first in, first out
    Side* first
    Side* last

cdef struct Done:               # a file operation that was done
    uint64_t tag
    int32_t result

cdef struct Epoll:
    int fd                      # owned
    uint32_t watch_count        # bound
    Watch* watches              # owned: reserved for all descriptors
    Sides due                   # worth trying
    Sides later                 # due, but not before the next turn
    Sides stalled               # connects to Unix sockets whose backlog is full: no edge will tell of room in it
    uint64_t stalled_ms         # they are tried again then
    uint32_t turn
    Done* done                  # owned: a ring
    uint64_t done_mask
    uint64_t done_first
    uint64_t done_last
    epoll_event events[EVENTS_MAX]

cdef int epoll_open(Driver* d, Buffers* buffers, Counters* counters, uint64_t files) noexcept nogil
    # `files`: bound of the file operations whose completions were not taken yet. 0, or -errno with nothing left behind

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
cdef int call_writable(Side* s) noexcept nogil
cdef void wake(Epoll* e, Side* s) noexcept nogil
cdef bint backlog_full(const Side* s) noexcept nogil
    # what EAGAIN means of a connect: to a Unix socket. With io_uring the kernel waits for room, here we do
cdef int stalled_again(Epoll* e) noexcept nogil
    # those whose time it is become due; milliseconds until the next ones

cdef void epoll_accept(Driver* d, int fd, uint64_t tag) noexcept nogil
cdef void epoll_receive(Driver* d, int fd, int group, int flags, uint64_t tag) noexcept nogil
cdef void epoll_send(Driver* d, int fd, const char* data, uint32_t length, bint more, uint64_t tag) noexcept nogil
cdef void epoll_connect(Driver* d, int fd, const sockaddr* address, socklen_t length, uint64_t tag) noexcept nogil
cdef void epoll_writable(Driver* d, int fd, uint64_t tag) noexcept nogil
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
