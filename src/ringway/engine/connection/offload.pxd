"""Handing a TLS connection over to the kernel, each direction for itself, and what is left to do then.

                       handshake through                                   stream_queue()
    OpenSSL both ways ----- offload_step() ----> kernel receives, sends    or the socket takes plaintext as it is
                       |                    \--> OpenSSL for the rest, tried again as bytes pass
                       \--> not wanted, or not usable: OpenSSL for good (or refused: `ktls_fallback_enabled = false`)

A direction changes hands between two records, when user space holds nothing of it:

    receiving   every byte that came was decrypted and none is half a record, and no receive is in flight that may
                have taken more. That is so after a handshake (single receives until then).
    sending     what OpenSSL wrote lies in the socket. Tickets that are still in the outbox go by a send of their own.

When the kernel has both, OpenSSL's memory of the connection is freed. Then the kernel tells of a record that is no data
by EIO, and offload_control() fetches it.

KeyUpdate (RFC 8446 4.6.3). The kernel reads nothing behind the record until it has the next key; that one is given at
once. An update that the client asked for goes out, and sending changes keys, before the next data is sent. A kernel
before 6.14 takes no second key: the connection is closed, with a line in the log.
"""
from ringway.engine.connection.state cimport Stream, Worker

cdef enum Offload:          # bits of Stream.offload and offload_wanted
    OFFLOAD_SEND = 1
    OFFLOAD_RECEIVE = 2
    OFFLOAD_BOTH = 3

cdef enum:
    CONTROL_BYTES_MAX = 256     # an alert has 2, a KeyUpdate 5; what is longer has no business here
    RECORD_ALERT = 21           # ContentType, RFC 8446 5.1
    RECORD_HANDSHAKE = 22
    RECORD_DATA = 23
    ALERT_WARNING = 1           # AlertLevel, RFC 8446 6
    ALERT_FATAL = 2
    ALERT_CLOSE_NOTIFY = 0      # AlertDescription
    ALERT_UNEXPECTED_MESSAGE = 10
    ALERT_BAD_RECORD_MAC = 20
    ALERT_RECORD_OVERFLOW = 22
    ALERT_ILLEGAL_PARAMETER = 47
    ALERT_INTERNAL_ERROR = 80
    ALERT_USER_CANCELED = 90
    ALERT_NO_RENEGOTIATION = 100

cdef void offload_attach(Worker* w, Stream* s) noexcept nogil
    # when accepted: the kernel takes the "tls" protocol on an established connection alone, so before the client can
    # have sent its end
cdef bint offload_begin(Worker* w, Stream* s) noexcept nogil
    # the handshake is through. False: refuse the connection
cdef void offload_step(Worker* w, Stream* s) noexcept nogil
    # hand over what can be handed over now; may free s.tls
cdef void offload_check(Worker* w, Stream* s) noexcept nogil
    # OpenSSL has read records while the kernel sends: is it to send one, a KeyUpdate or a warning?
cdef bint offload_update(Worker* w, Stream* s) noexcept nogil
    # before data is sent: a KeyUpdate that is owed goes first. False: wait until the socket can be written to, then again
cdef void offload_forget(Stream* s) noexcept nogil
    # wipes and frees the keys
cdef bint offload_due(Worker* w, const Stream* s) noexcept nogil
    # is sending to change hands as soon as the socket has what OpenSSL wrote?
cdef void offload_control(Worker* w, Stream* s) noexcept nogil
    # EIO: the next record is no data. Sets s.eof or s.error, or neither: receive on
cdef void offload_broken(Worker* w, Stream* s, int error) noexcept nogil
    # receiving failed with this errno: tell the peer why, by an alert
cdef bint offload_farewell(Stream* s) noexcept nogil
    # OpenSSL failed while the kernel sends: its alert is due as close_notify would be. False: it wrote none
cdef bint offload_notify(Worker* w, Stream* s) noexcept nogil
    # close_notify, or the alert that is due, as a record of its own. False: wait until the socket can be written to, then again

cdef void take_send(Worker* w, Stream* s) noexcept nogil
cdef void take_receive(Worker* w, Stream* s) noexcept nogil
cdef int give_keys(Worker* w, Stream* s, int direction) noexcept nogil
cdef int set_keys(Stream* s, int direction) noexcept nogil
cdef bint push_outbox(Worker* w, Stream* s) noexcept nogil
cdef int send_alert(Worker* w, Stream* s, int level, int description) noexcept nogil
cdef int send_record(Stream* s, int kind, const unsigned char* data, size_t length) noexcept nogil
cdef void key_update(Worker* w, Stream* s, const unsigned char* data) noexcept nogil
cdef void keys_changed(Worker* w, Stream* s) noexcept nogil
cdef void handshake_record(Worker* w, Stream* s, const unsigned char* data, ssize_t length) noexcept nogil
