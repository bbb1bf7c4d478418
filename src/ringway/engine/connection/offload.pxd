"""Hand a TLS connection over to the kernel, each direction separately, and handle records that are not data.

                       handshake complete
    OpenSSL both ways ----- offload_step() ----> the kernel encrypts, or decrypts: this direction is plaintext here
                       |                    \--> OpenSSL keeps the other direction; tried again as bytes pass
                       \--> not wanted, or not usable: OpenSSL for the whole connection (or the connection is rejected:
                            `ktls_fallback_enabled = false`)

A direction is handed over between two records, when user space holds nothing of it:

    receiving   every received byte is decrypted, no record is incomplete, and no receive is in flight. This is so after
                a handshake, because until then all receives are single ones.
    sending     everything that OpenSSL wrote is in the socket. push_outbox() sends tickets that are still queued.

When the kernel has both directions, Ringway frees OpenSSL's part of the connection. From then on the kernel reports a
record that is not data with EIO, and offload_control() reads it.

KeyUpdate (RFC 8446 4.6.3). After such a record the kernel decrypts nothing until it has the next key, which it gets at
once. If the client asks for an update, Ringway sends one and changes the key for sending before it sends more data. A
kernel before 6.14 accepts no second key: Ringway closes the connection and logs it.
"""
from ringway.engine.connection.state cimport Stream, Worker

cdef enum Offload:          # bits of Stream.offload and offload_wanted
    OFFLOAD_SEND = 1
    OFFLOAD_RECEIVE = 2
    OFFLOAD_BOTH = 3

cdef enum:
    CONTROL_BYTES_MAX = 256     # an alert has 2, a KeyUpdate 5; no longer record is expected
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
    # on accept: the kernel allows the "tls" protocol only on an established connection, so do this before the client
    # can have closed its side
cdef bint offload_begin(Worker* w, Stream* s) noexcept nogil
    # the handshake is complete. False: reject the connection
cdef void offload_step(Worker* w, Stream* s) noexcept nogil
    # hands over what can be handed over now; may free s.tls
cdef void offload_check(Worker* w, Stream* s) noexcept nogil
    # OpenSSL has read records while the kernel sends: sends what OpenSSL would, a KeyUpdate or a warning
cdef bint offload_update(Worker* w, Stream* s) noexcept nogil
    # call before sending data: sends a KeyUpdate that is due. False: call again when the socket is writable
cdef void offload_forget(Stream* s) noexcept nogil
    # wipes and frees the keys
cdef bint offload_due(Worker* w, const Stream* s) noexcept nogil
    # should the kernel take over sending as soon as the socket has everything that OpenSSL wrote?
cdef void offload_control(Worker* w, Stream* s) noexcept nogil
    # EIO: the next record is not data. Sets s.lane.eof, s.lane.error or neither (then continue to receive)
cdef void offload_broken(Worker* w, Stream* s, int error) noexcept nogil
    # receiving failed with this errno: sends the peer an alert with the reason
cdef bint offload_final_alert(Stream* s) noexcept nogil
    # OpenSSL failed while the kernel sends: its fatal alert is sent in place of close_notify. False: it wrote none
cdef bint offload_notify(Worker* w, Stream* s) noexcept nogil
    # sends close_notify, or that alert, as a record of its own. False: call again when the socket is writable

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
