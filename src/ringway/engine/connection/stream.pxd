"""One socket and its bytes: what clients and upstream connections have in common.

    socket --driver--> [cipher --TLS--] inbox  --> owner
    socket <--driver-- sending <-- outbox <--[TLS]-- owner

The owner asks for input with stream_want() and gets `received`; without asking again it gets no more than what was
in flight (back-pressure). It gives output with stream_send() and gets `sent` as the outbox drains. stream_close()
may be called at any time; `gone` comes when the kernel holds nothing of the stream any more, and the slot is freed.
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.base.buffers cimport GROUP_LARGE, Buffer, BufferPool, Queue
from ringway.engine.kernel.driver cimport Completion
from ringway.engine.connection.offload cimport OFFLOAD_SEND
from ringway.engine.connection.state cimport Stream, Worker
from ringway.engine.tls.tls cimport tls_pending
from ringway.engine.tls.tls_context cimport TlsContext

cdef enum LateSide:
    LATE_RECEIVE = 1
    LATE_SEND = 2
    LATE_BUFFERS = 3        # it waited for buffers of ours: nobody else is to blame
    LATE_GAVE_WAY = 4       # buffers are scarce, and it moves less than others: see shares.pxd

cdef enum:
    INBOX_HIGH = 131072     # bytes: no more is decrypted or left running beyond this
    OUTBOX_HIGH = 131072    # bytes: its owner should stop producing
    OUTBOX_SCARCE = 1       # ... while three quarters of the large buffers are out: one piece is under way, no more
    # `write` windows that a stream waits for buffers: every buffer comes back within one, and by default 20,000 clients
    # share 2,952 large ones, so the last of them has six others before it on the same buffer, and then its own time.
    HUNGRY_WINDOWS = 8
    JOIN_PART = 8           # a piece of at most this part of a buffer joins the one before it in its queue
    LEAST_RATE = 256        # bytes a second on average, of a client that does not take all of its answer at once: slower
                            # than that (GSM data has four times as much), a buffer is not worth its place. `write` is
                            # the credit that it begins with, and has at most
    FILL_MIN = 512          # bytes: less room behind what was decrypted is not worth a read

cdef bint stream_open(Worker* w, Stream* s, int kind, int fd, bint tls) noexcept nogil
cdef bint stream_secure(Worker* w, Stream* s, TlsContext* context) noexcept nogil
    # TLS from here on. False: no memory
cdef bint stream_secure_now(Worker* w, Stream* s) noexcept nogil
    # a server's TLS begins: what has come already is its beginning. False: no memory
cdef bint stream_shake(Worker* w, Stream* s) noexcept nogil
    # a client begins the handshake. False: it failed
cdef void stream_want(Worker* w, Stream* s, int group, bint many, bint later) noexcept nogil
cdef void stream_pause(Worker* w, Stream* s) noexcept nogil
cdef void stream_refill(Worker* w, Stream* s) noexcept nogil
    # after the inbox was used: decrypt what waits. It may meet the end: look at eof and error afterwards
cdef void stream_send(Worker* w, Stream* s, Buffer* b) noexcept nogil   # takes over b
cdef void stream_queue(Worker* w, Stream* s, Buffer* b) noexcept nogil  # as stream_send(), but more follows at once
cdef void stream_send_end(Worker* w, Stream* s, Buffer* b) noexcept nogil
    # as stream_send(), and nothing comes after it: close_notify goes out with it
cdef void stream_notify(Worker* w, Stream* s) noexcept nogil
    # close_notify, once, behind everything that was queued; stream_flush() sends it. Nothing without TLS
cdef void stream_writable(Worker* w, Stream* s) noexcept nogil
    # the socket can be written to: close_notify was waiting for it, or a KeyUpdate in front of what is in the outbox
cdef void stream_flush(Worker* w, Stream* s) noexcept nogil
cdef void stream_part(Worker* w, Stream* s) noexcept nogil
    # before an orderly close: close_notify, or the alert that says what failed, goes out at once if the socket takes it
cdef void stream_close(Worker* w, Stream* s) noexcept nogil
cdef void stream_abort(Worker* w, Stream* s) noexcept nogil             # as close, with a reset instead of an end
cdef void stream_finish(Worker* w, Stream* s) noexcept nogil

cdef void stream_received(Worker* w, Stream* s, const Completion* c) noexcept nogil
cdef void stream_sent(Worker* w, Stream* s, int result) noexcept nogil
cdef void stream_timer(Worker* w, Stream* s) noexcept nogil

cdef void stream_took(Worker* w, Stream* s, uint32_t bytes) noexcept nogil
    # the peer took so much: its deadline moves on by what that is worth at LEAST_RATE
cdef uint64_t credited(uint64_t now_ms, uint64_t due_ms, uint32_t window_ms, uint32_t bytes) noexcept nogil
    # the deadline of who took so much
cdef void stream_receive_within(Worker* w, Stream* s, uint32_t ms, bint renewed) noexcept nogil
    # a deadline for the peer's bytes, renewed by progress or not; 0: none
cdef void stream_send_within(Worker* w, Stream* s, uint32_t ms) noexcept nogil

cdef void lend(Worker* w, Stream* s, Buffer* b) noexcept nogil
cdef void say_goodbye(Worker* w, Stream* s) noexcept nogil
cdef void await_room(Worker* w, Stream* s) noexcept nogil
cdef void start_receive(Worker* w, Stream* s) noexcept nogil
cdef void ask_receive(Worker* w, Stream* s, int group) noexcept nogil
cdef bint join_last(Worker* w, const Stream* s, Queue* q, Buffer* b) noexcept nogil
    # a small piece goes into the room behind the last buffer of a queue, and its own buffer is given back: what waits
    # takes memory by its bytes, not by how many pieces it came in. False: it does not fit, or is not small
cdef void push_cipher(Worker* w, Stream* s, Buffer* b) noexcept nogil
cdef void pump(Worker* w, Stream* s) noexcept nogil
cdef bint pump_one(Worker* w, Stream* s) noexcept nogil
cdef void control_record(Worker* w, Stream* s) noexcept nogil
    # one that is no data lies in front of a socket whose TLS the kernel reads
cdef void bound_replies(Stream* s, uint64_t written) noexcept nogil
    # so many bytes OpenSSL wrote by itself: more than TLS_REPLIES_MAX in a row break the connection
cdef bint keep_identity(Stream* s) noexcept nogil
    # before OpenSSL may be gone. False: no memory
cdef void socket_ended(Worker* w, Stream* s, int error) noexcept nogil
cdef void stream_wait_buffers(Worker* w, Stream* s) noexcept nogil
    # buffers are scarce: `received` comes, if there is anything, and then `sent` when there are some again
cdef void stream_send_later(Worker* w, Stream* s) noexcept nogil
    # buffers are scarce: `sent` comes when what was queued has gone, or else when there are buffers again
cdef void feed_hungry(Worker* w) noexcept nogil
    # each turn. In each list the first for which there is nothing ends it: there is nothing for those behind it either
cdef void feed_starved(Worker* w) noexcept nogil
    # likewise; no more of them than there are buffers
cdef void feed(Worker* w, Stream* s) noexcept nogil
cdef void starve(Worker* w, Stream* s, int why) noexcept nogil
cdef int operation_of(const Stream* s, int client_operation) noexcept nogil

cdef inline bint stream_holds(const Stream* s) noexcept nogil:
    """There may be more to use without the socket: received already, or waiting to be decrypted."""
    return s.inbox.first != NULL or (s.tls != NULL and (s.cipher.first != NULL or s.ended or tls_pending(s.tls)))

cdef inline bint stream_drained(const Stream* s) noexcept nogil:
    return s.sending == NULL and s.outbox.first == NULL and not s.notify_due

cdef inline bint stream_sends_plain(const Stream* s) noexcept nogil:
    """What is queued goes to the socket as it is: without TLS, or the kernel encrypts."""
    return not s.secure or s.offload & OFFLOAD_SEND != 0

cdef inline uint64_t stream_queued(const Stream* s) noexcept nogil:
    """Bytes that are not in the socket yet."""
    return s.outbox.bytes + (s.sending.end - s.sending.start if s.sending != NULL else 0)

cdef inline bint stream_full(const Worker* w, const Stream* s) noexcept nogil:
    return stream_queued(s) >= w.outbox_high

cdef inline void stream_tighten(Worker* w) noexcept nogil:
    """Each turn: how much may be queued."""
    cdef const BufferPool* large = &w.buffers.pool[GROUP_LARGE]
    w.outbox_high = OUTBOX_SCARCE if large.out * 4 >= large.capacity * 3 else OUTBOX_HIGH

cdef inline bint stream_ended(const Stream* s) noexcept nogil:
    """Nothing more will come, and everything that came was used."""
    return (s.eof or s.error != 0) and s.inbox.first == NULL
