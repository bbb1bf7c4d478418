"""The interface between the engine and the kernel: the operations of a driver, and their completions.

The engine submits operations and gets completions. Only the driver knows how this works. `uring` and `epoll` fill the
same table of functions. A driver call never fails: if it cannot submit an operation, the operation completes with a
negative errno. A driver call never calls a handler: only next() returns completions.

Each descriptor has at most one operation in flight for input (accept, receive, await_end) and one for output (connect,
send, writable). A descriptor that was used for one of these is closed with the driver's close(), unless it is a listener.

Ownership: what an operation points to (a buffer's bytes, an address, a path, a result struct) is lent to the driver
until the operation's last completion. Received bytes arrive in a Buffer (HELD), owned by the handler of the completion.
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer, Buffers
from ringway.engine.base.counters cimport Counters
from ringway.engine.native.linux cimport MSG_DONTWAIT, MSG_PEEK, EAGAIN, errno, open_how, recv, sockaddr, socklen_t, statx_t

cdef enum:                      # Operation: selects the handler of a completion in the worker's switch
    OP_IGNORED = 0              # no handler: cancels, and receives that call buffers back
    OP_ACCEPT = 1               # index: the listener
    OP_CONTROL = 2              # the supervisor's byte
    OP_CLIENT_RECEIVE = 3       # index: a client
    OP_CLIENT_SEND = 4
    OP_CLIENT_WRITABLE = 5
    OP_UPSTREAM_CONNECT = 6     # index: an upstream connection
    OP_UPSTREAM_RECEIVE = 7
    OP_UPSTREAM_SEND = 8
    OP_FILE_OPEN = 9            # index: a file
    OP_FILE_STAT = 10
    OP_FILE_LOAD = 11
    OP_BODY_READ = 12           # index: an exchange
    OP_CLOSE = 13               # completes only if it fails
    OP_FOLDER_OPEN = 14         # index: a file that waits for its folder
    OP_CLIENT_END = 15          # index: a client, while nothing is received from it

cdef enum:
    RECEIVE_LARGE = 0x80        # in the operation's byte: receive into the large group

cdef inline uint64_t tag_of(int operation, uint32_t index, uint32_t generation) noexcept nogil:
    """The tag that identifies an operation: 8 bits of operation, 24 of generation, 32 of index."""
    return (<uint64_t>operation << 56) | (<uint64_t>(generation & 0xFFFFFF) << 32) | index

cdef inline uint64_t receive_tag(int operation, int group, uint32_t index, uint32_t generation) noexcept nogil:
    return tag_of(operation | (RECEIVE_LARGE if group else 0), index, generation)

cdef struct Completion:
    uint8_t operation           # Operation
    bint more                   # the operation continues: this is not its last completion
    uint32_t index
    uint32_t generation
    int32_t result              # >= 0, or -errno
    Buffer* buffer              # received bytes, now HELD by the handler; NULL: none

cdef inline void untag(Completion* out, uint64_t tag) noexcept nogil:
    out.operation = <uint8_t>(tag >> 56) & <uint8_t>~RECEIVE_LARGE
    out.generation = <uint32_t>(tag >> 32) & 0xFFFFFF
    out.index = <uint32_t>tag

cdef enum ReceiveFlags:
    RECEIVE_ONCE = 0
    RECEIVE_MANY = 1            # until it ends by itself or is cancelled
    RECEIVE_LATER = 2           # no data is expected yet: wait for the socket before the first try
    RECEIVE_RECORDS = 4         # kernel TLS: a receive may stop before a record although there is more; only another
                                # try shows what is there

cdef struct Driver:
    const char* name            # "io_uring", "epoll"
    const char* features        # for the operator, separated by commas
    bint nonblocking            # its sockets have O_NONBLOCK
    void* state                 # owned by the driver
    Buffers* buffers            # borrowed
    Counters* counters          # borrowed
    bint single_accepts         # accept() accepts one connection, because many could use up the descriptors
    void (*accept)(Driver* d, int fd, uint64_t tag) noexcept nogil                   # many, but see above
    void (*receive)(Driver* d, int fd, int group, int flags, uint64_t tag) noexcept nogil
    void (*send)(Driver* d, int fd, const char* data, uint32_t length, bint more, uint64_t tag) noexcept nogil
    void (*connect)(Driver* d, int fd, const sockaddr* address, socklen_t length, uint64_t tag) noexcept nogil
    void (*writable)(Driver* d, int fd, uint64_t tag) noexcept nogil
    void (*await_end)(Driver* d, int fd, uint64_t tag) noexcept nogil
        # completes when the peer closes its side or the connection breaks; receives nothing
    void (*open)(Driver* d, int folder, const char* path, open_how* how, uint64_t tag) noexcept nogil
    void (*stat)(Driver* d, int fd, statx_t* out, uint64_t tag) noexcept nogil
    void (*read)(Driver* d, int fd, char* data, uint32_t length, uint64_t offset, uint64_t tag) noexcept nogil
    void (*receive_plain)(Driver* d, int fd, char* data, uint32_t length, uint64_t tag) noexcept nogil
        # into the caller's memory: for the control socket
    bint (*quiet)(Driver* d, int fd, uint64_t tag, bint sure) noexcept nogil
        # True: the peer has sent nothing (no bytes, no end, no error) except what next() has already returned as
        # completions of the receive `tag`. If that receive has been waiting since an earlier turn, the driver mostly
        # knows this without a system call. `sure`: it has not, so the driver also checks the socket (socket_quiet())
    void (*cancel)(Driver* d, int fd, uint64_t tag) noexcept nogil  # the operation completes with -ECANCELED
    void (*close)(Driver* d, int fd) noexcept nogil             # with the next batch
    uint32_t (*buffers_left)(Driver* d, int group) noexcept nogil   # receives that find a buffer; 0: submit none
    int (*grow)(Driver* d, uint64_t files) noexcept nogil
        # allow this number of file operations in flight. 0; -ENOMEM: nothing changed
    void (*call_back)(Driver* d) noexcept nogil
        # buffers have changed: the driver returns those that it keeps ready, each with an OP_IGNORED
    int (*wait)(Driver* d, int timeout_ms) noexcept nogil       # submit and sleep; -1: no timeout. 0, or -errno (fatal)
    bint (*next)(Driver* d, Completion* out) noexcept nogil     # one completion of this turn; False: no more
    void (*shut)(Driver* d) noexcept nogil                      # frees everything and ends what is in flight

cdef inline bint socket_quiet(int fd) noexcept nogil:
    """True: the socket has neither bytes nor the peer's end waiting. One system call."""
    cdef char octet
    return recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 and errno == EAGAIN
