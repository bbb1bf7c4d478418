"""The seam between the engine and the kernel: what a driver must be able to do, and how it tells what happened.

Everything above asks for operations and is told of completions; only a driver knows how. `uring` and `epoll` fill
the same table. A driver call never fails towards its caller: what cannot be submitted comes back as a completion with
a negative errno. It never calls a handler either: completions come out of next() alone.

Of each descriptor at most one operation waits for input (accept, receive) and one for output (connect, send,
writable). One that was given to any of these is closed by the driver's close(), except a listener.

Ownership: what an operation points to (a buffer's bytes, an address, a path, a result struct) is lent to the driver
until that operation's last completion. Received bytes arrive in a Buffer that the completion hands over (HELD).
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer, Buffers
from ringway.engine.base.counters cimport Counters
from ringway.engine.native.linux cimport MSG_DONTWAIT, MSG_PEEK, EAGAIN, errno, open_how, recv, sockaddr, socklen_t, statx_t

cdef enum:                      # Operation: which handler a completion is for, the worker's switch
    OP_IGNORED = 0              # nobody waits for it: cancels, closes
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
    OP_CLOSE = 13               # tells only of a failure
    OP_FOLDER_OPEN = 14         # index: a file that waits for its folder

cdef enum:
    RECEIVE_LARGE = 0x80        # in the operation's byte: received into the large group

cdef inline uint64_t tag_of(int operation, uint32_t index, uint32_t generation) noexcept nogil:
    """What travels with an operation: 8 bits of operation, 24 of generation, 32 of index."""
    return (<uint64_t>operation << 56) | (<uint64_t>(generation & 0xFFFFFF) << 32) | index

cdef inline uint64_t receive_tag(int operation, int group, uint32_t index, uint32_t generation) noexcept nogil:
    return tag_of(operation | (RECEIVE_LARGE if group else 0), index, generation)

cdef struct Completion:
    uint8_t operation           # Operation
    bint more                   # the operation goes on: this is not its last completion
    uint32_t index
    uint32_t generation
    int32_t result              # >= 0, or -errno
    Buffer* buffer              # received bytes, now HELD by whoever handles this; NULL: none

cdef inline void untag(Completion* out, uint64_t tag) noexcept nogil:
    out.operation = <uint8_t>(tag >> 56) & <uint8_t>~RECEIVE_LARGE
    out.generation = <uint32_t>(tag >> 32) & 0xFFFFFF
    out.index = <uint32_t>tag

cdef enum ReceiveFlags:
    RECEIVE_ONCE = 0
    RECEIVE_MANY = 1            # until it ends by itself or is cancelled
    RECEIVE_LATER = 2           # nothing is expected at once: do not try first, wait for the socket
    RECEIVE_RECORDS = 4         # the kernel's TLS: a receive may end in front of a record while there is more, and
                                # what is there may show only when it is tried

cdef struct Driver:
    const char* name            # "io_uring", "epoll"
    const char* features        # for people, with commas
    bint nonblocking            # its sockets have O_NONBLOCK
    void* state                 # owned by the driver
    Buffers* buffers            # borrowed
    Counters* counters          # borrowed
    bint single_accepts         # accept() brings one connection: many at once would use up the descriptors
    void (*accept)(Driver* d, int fd, uint64_t tag) noexcept nogil                   # many, or see above
    void (*receive)(Driver* d, int fd, int group, int flags, uint64_t tag) noexcept nogil
    void (*send)(Driver* d, int fd, const char* data, uint32_t length, bint more, uint64_t tag) noexcept nogil
    void (*connect)(Driver* d, int fd, const sockaddr* address, socklen_t length, uint64_t tag) noexcept nogil
    void (*writable)(Driver* d, int fd, uint64_t tag) noexcept nogil
    void (*open)(Driver* d, int folder, const char* path, open_how* how, uint64_t tag) noexcept nogil
    void (*stat)(Driver* d, int fd, statx_t* out, uint64_t tag) noexcept nogil
    void (*read)(Driver* d, int fd, char* data, uint32_t length, uint64_t offset, uint64_t tag) noexcept nogil
    void (*receive_plain)(Driver* d, int fd, char* data, uint32_t length, uint64_t tag) noexcept nogil
        # into the caller's memory: for the control socket
    bint (*quiet)(Driver* d, int fd, uint64_t tag, bint sure) noexcept nogil
        # has nothing come from the peer of this descriptor, no bytes, no end, no error, of which next() has not told the
        # receive `tag` yet? If that receive has been waiting since an earlier turn the driver mostly knows without a system
        # call; `sure`: it has not, so the socket itself is looked at (socket_quiet()) too
    void (*cancel)(Driver* d, int fd, uint64_t tag) noexcept nogil  # its completion then comes with -ECANCELED
    void (*close)(Driver* d, int fd) noexcept nogil             # with the next batch
    uint32_t (*buffers_left)(Driver* d, int group) noexcept nogil   # for so many receives there is one; 0: ask for none
    int (*grow)(Driver* d, uint64_t files) noexcept nogil
        # for so many file operations whose completions were not taken yet. 0, or -ENOMEM with nothing changed
    void (*call_back)(Driver* d) noexcept nogil
        # the buffers are others by now: those that were made ready before come back, each with an OP_IGNORED
    int (*wait)(Driver* d, int timeout_ms) noexcept nogil       # submit and sleep; -1: for ever. 0, or -errno (fatal)
    bint (*next)(Driver* d, Completion* out) noexcept nogil     # one completion of this turn; False: no more
    void (*shut)(Driver* d) noexcept nogil                      # frees everything, ends what is in flight

cdef inline bint socket_quiet(int fd) noexcept nogil:
    """Nothing waits in the socket, neither bytes nor the peer's end. One system call."""
    cdef char octet
    return recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 and errno == EAGAIN
