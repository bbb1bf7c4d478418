"""One socket and its bytes: the common part of client and upstream connections.

    socket --driver--> [cipher --TLS--] inbox  --> owner
    socket <--driver-- sending <-- outbox <--[TLS]-- owner

The owner asks for input with stream_want() and gets `received`. If it does not ask again, it gets only what was in
flight (back-pressure). It gives output to stream_send() and gets `sent` as the outbox drains. stream_close() is allowed
at any time. `gone` comes when the kernel holds nothing of the stream any more; then the slot is freed.
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.base.buffers cimport GROUP_LARGE, Buffer, BufferPool, Queue
from ringway.engine.kernel.driver cimport Completion, Driver
from ringway.engine.connection.offload cimport OFFLOAD_SEND
from ringway.engine.connection.state cimport Stream, Worker
from ringway.engine.tls.tls cimport tls_pending
from ringway.engine.tls.tls_context cimport TlsContext

cdef enum:
    INBOX_HIGH = 131072     # bytes: with this many in the inbox, no more is decrypted
    OUTBOX_HIGH = 131072    # bytes: with this many queued, the owner should stop producing
    OUTBOX_SCARCE = 1       # ... while three quarters of the large buffers are out: one piece is queued at a time
    # How long a stream waits for buffers, in send windows: each client that does not read holds a buffer for one window at
    # most, and by default 20,000 clients share 2,952 large buffers, so 7 have each buffer one after another, and 1 is left.
    HUNGRY_WINDOWS = 8
    JOIN_PART = 8           # a piece of at most this part (1/8) of a buffer joins the piece before it in its queue
    FILL_MIN = 512          # bytes: with less room after the decrypted bytes, a read is not worth it

cdef bint stream_open(Worker* w, Stream* s, int kind, int fd, bint tls) noexcept nogil
cdef bint stream_secure(Worker* w, Stream* s, TlsContext* context) noexcept nogil
    # begins TLS. False: no memory
cdef bint stream_secure_now(Worker* w, Stream* s) noexcept nogil
    # begins TLS as the server: bytes in the inbox belong to the handshake. False: no memory
cdef bint stream_shake(Worker* w, Stream* s) noexcept nogil
    # begins the handshake as the client. False: it failed
cdef void stream_want(Worker* w, Stream* s, int group, bint many, bint later) noexcept nogil
cdef void stream_pause(Worker* w, Stream* s) noexcept nogil
cdef void stream_watch(Worker* w, Stream* s) noexcept nogil
    # do not receive, but call the owner's `received`, with `left` set, when the client closes its side or resets
cdef void stream_refill(Worker* w, Stream* s) noexcept nogil
    # after the inbox was used: decrypts what waits. This may reach the end: check eof and error afterwards
cdef void stream_send(Worker* w, Stream* s, Buffer* b) noexcept nogil   # takes over b
cdef void stream_queue(Worker* w, Stream* s, Buffer* b) noexcept nogil  # as stream_send(), but the caller queues more
cdef void stream_send_end(Worker* w, Stream* s, Buffer* b) noexcept nogil
    # as stream_send(), for the last bytes: close_notify goes out with them
cdef void stream_notify(Worker* w, Stream* s) noexcept nogil
    # queues close_notify, once, after everything else; stream_flush() sends it. Does nothing without TLS
cdef void stream_shut(Worker* w, Stream* s) noexcept nogil
    # ends our direction, after all that is queued or, if nothing is, at once: close_notify, FIN. Receiving continues
cdef void stream_writable(Worker* w, Stream* s) noexcept nogil
    # the socket is writable: sends the close_notify that waited for it, or a KeyUpdate and then the outbox
cdef void stream_flush(Worker* w, Stream* s) noexcept nogil
cdef void stream_part(Worker* w, Stream* s) noexcept nogil
    # before an orderly close: sends close_notify, or the alert with the reason, now, if the socket has room

cdef void stream_received(Worker* w, Stream* s, const Completion* c) noexcept nogil
cdef void stream_left(Worker* w, Stream* s, int result) noexcept nogil
cdef void stream_sent(Worker* w, Stream* s, int result) noexcept nogil

cdef void lend(Worker* w, Stream* s, Buffer* b) noexcept nogil
cdef void say_goodbye(Worker* w, Stream* s) noexcept nogil
cdef void await_room(Worker* w, Stream* s) noexcept nogil
    # has the owner's `sent` called when the socket has room
cdef void start_receive(Worker* w, Stream* s) noexcept nogil
cdef void ask_receive(Worker* w, Stream* s, int group) noexcept nogil
cdef bint join_last(Worker* w, const Stream* s, Queue* q, Buffer* b) noexcept nogil
    # copies a small piece into the last buffer of a queue and releases its own buffer. So a queue uses memory by its
    # bytes, not by the number of pieces. False: the piece does not fit, or is not small
cdef void push_cipher(Worker* w, Stream* s, Buffer* b) noexcept nogil
cdef void pump(Worker* w, Stream* s) noexcept nogil
cdef bint pump_one(Worker* w, Stream* s) noexcept nogil
cdef void control_record(Worker* w, Stream* s) noexcept nogil
    # kernel TLS has received a record that is not data
cdef void bound_replies(Stream* s, uint64_t written) noexcept nogil
    # OpenSSL wrote this many bytes on its own. More than TLS_REPLIES_MAX in a row end the connection
cdef void socket_ended(Worker* w, Stream* s, int error) noexcept nogil
cdef void stream_wait_buffers(Worker* w, Stream* s) noexcept nogil
    # buffers are scarce: when some are free again, the owner gets `received` if there is anything, then `sent`
cdef void stream_send_later(Worker* w, Stream* s) noexcept nogil
    # buffers are scarce: the owner gets `sent` when the queued bytes are sent, or, if none are queued, when buffers are
    # free again
cdef void starve(Worker* w, Stream* s, int why) noexcept nogil

cdef void ignore(Driver* d, int fd, uint64_t tag) noexcept nogil                            # for tests
cdef void ignore_receive(Driver* d, int fd, int group, int flags, uint64_t tag) noexcept nogil  # for tests
cdef uint32_t one_left(Driver* d, int group) noexcept nogil                                 # for tests

cdef inline bint stream_holds(const Stream* s) noexcept nogil:
    """May there be more input without the socket: in the inbox, or waiting to be decrypted?"""
    return s.lane.inbox.first != NULL or (s.tls != NULL and (s.cipher.first != NULL or s.ended or tls_pending(s.tls)))

cdef inline bint stream_sends_plain(const Stream* s) noexcept nogil:
    """Do queued bytes go to the socket as they are: without TLS, or because the kernel encrypts them?"""
    return not s.secure or s.offload & OFFLOAD_SEND != 0

cdef inline uint64_t stream_queued(const Stream* s) noexcept nogil:
    """Bytes that the socket has not taken yet."""
    return s.lane.outbox.bytes + (s.sending.end - s.sending.start if s.sending != NULL else 0)

cdef inline bint stream_full(const Worker* w, const Stream* s) noexcept nogil:
    return stream_queued(s) >= w.outbox_high

cdef inline void stream_tighten(Worker* w) noexcept nogil:
    """Each turn: set how much a stream may queue."""
    cdef const BufferPool* large = &w.buffers.pool[GROUP_LARGE]
    w.outbox_high = OUTBOX_SCARCE if large.out * 4 >= large.capacity * 3 else OUTBOX_HIGH

cdef inline bint stream_ended(const Stream* s) noexcept nogil:
    """No more input will come, and all of it was used."""
    return (s.lane.eof or s.lane.error != 0) and s.lane.inbox.first == NULL
