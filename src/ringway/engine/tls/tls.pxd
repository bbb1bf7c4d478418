"""TLS 1.2 and 1.3 with OpenSSL as a codec: records in, plaintext out, and the other way round. No sockets.

    ciphertext --tls_feed()--> OpenSSL --tls_read()---> plaintext
    ciphertext <--(out queue)- OpenSSL <--tls_write()-- plaintext

OpenSSL reads the bytes that tls_feed() gave it (borrowed until they are used up) and writes directly into buffers of
the `out` queue. Both go through Ringway's own BIO, so there is no copy except OpenSSL's own. Each connection uses a
context (tls_context.pxd), which decides its side.
"""
from libc.stdint cimport uint8_t, uint32_t

from ringway.engine.base.buffers cimport Queue
from ringway.engine.tls.ktls cimport KtlsKeys
from ringway.engine.native.openssl cimport BIO, BIO_METHOD, SSL, SSL_SESSION
from ringway.engine.plan.snapshot cimport Door
from ringway.engine.tls.tls_context cimport TlsContext

cdef enum:
    TLS_FAILED = -1
    TLS_CLOSED = -2         # close_notify: the peer sends nothing more
    # Bound, in bytes, on what OpenSSL writes by itself in response to what an established connection receives
    # (no_renegotiation, KeyUpdate, alerts). 33 octets in can cause 31 out, whether the peer reads them or not. 4096
    # bytes are about a hundred responses; an honest peer causes one or two in a day. Beyond it the connection ends.
    TLS_REPLIES_MAX = 4096

cdef struct Tls:
    SSL* ssl                # owned
    const char* at          # borrowed: ciphertext that OpenSSL has not read yet
    uint32_t left           # bytes of it
    Queue* out              # borrowed: queue for ciphertext
    TlsContext* context     # borrowed
    const Door* door        # borrowed: of the requested host; NULL: no host requests certificates
    bint established        # the handshake is done
    bint failed
    bint exhausted          # ... because no buffer was free
    bint begun              # the client's first octet has been checked
    bint plain              # it begins an HTTP method, not a record: OpenSSL has read nothing
    unsigned long why       # OpenSSL's code of the failure; 0: unknown
    uint32_t replied        # bytes that OpenSSL wrote by itself; reset when data arrives and all output is sent
    bint silent             # the kernel sends: a record from OpenSSL would repeat a record number, and is dropped
    uint8_t alert_level     # silent: AlertLevel of the last alert that OpenSSL wrote; 0: none, or the kernel has sent it
    uint8_t alert           # ... and its AlertDescription
    uint8_t header[5]       # of the record that is being read
    uint8_t header_bytes    # bytes of it that have arrived
    uint32_t body_left      # bytes of that record's body that OpenSSL has not read yet
    KtlsKeys* keys          # borrowed: counts records and keeps secrets; NULL: no kernel TLS

cdef Tls* tls_open(TlsContext* context, SSL_SESSION* resume, Queue* out) noexcept nogil
    # `resume`: a session for a client to resume, or NULL. Returns NULL: no memory
cdef void tls_close(Tls* tls) noexcept nogil
cdef void tls_feed(Tls* tls, const char* data, uint32_t length) noexcept nogil
cdef int tls_handshake(Tls* tls) noexcept nogil
    # 1: established; 0: more ciphertext is needed; TLS_FAILED. On the client's side the first call writes the
    # ClientHello. To a client that does not speak TLS (`plain`) OpenSSL sends nothing
cdef int tls_read(Tls* tls, char* out, uint32_t size) noexcept nogil
    # bytes read; 0: more ciphertext is needed; TLS_CLOSED; TLS_FAILED
cdef int tls_write(Tls* tls, const char* data, uint32_t length) noexcept nogil  # 0, or TLS_FAILED
cdef bint tls_pending(const Tls* tls) noexcept nogil
    # OpenSSL has plaintext that tls_read() returns without more ciphertext
cdef bint tls_at_rest(const Tls* tls) noexcept nogil
    # no partial record has been received
cdef void tls_notify(Tls* tls) noexcept nogil       # puts close_notify into the out queue
cdef int tls_version(const Tls* tls) noexcept nogil # 12 or 13
cdef bint tls_speaks_http2(const Tls* tls) noexcept nogil      # ALPN: h2
cdef const char* tls_cipher(const Tls* tls) noexcept nogil
cdef bint tls_resumed(const Tls* tls) noexcept nogil
cdef const char* tls_untrusted(const Tls* tls) noexcept nogil
    # why the server's certificate was not accepted, in words; NULL: it was accepted, or there was none
cdef const char* tls_why(const Tls* tls) noexcept nogil
    # why the connection failed, in OpenSSL's words; NULL: unknown
cdef void tls_agreed(Tls* tls) noexcept nogil       # after the handshake: fills in the missing parts of `keys`
cdef bint tls_between_records(const Tls* tls) noexcept nogil
    # everything received has been read and delivered: the next octet begins a record
cdef bint tls_owes_key_update(const Tls* tls) noexcept nogil
    # the client requested one (RFC 8446 4.6.3); OpenSSL would send it before the next data
cdef void tls_key_update(Tls* tls) noexcept nogil
    # OpenSSL writes a KeyUpdate now and continues with its next keys. With `silent` the record is dropped

cdef BIO_METHOD* new_method() noexcept nogil        # for contexts
cdef void note_keylog(const SSL* ssl, const char* line) noexcept nogil
cdef void note_message(int written, int version, int content_type, const void* data, size_t length, SSL* ssl,
                       void* arg) noexcept nogil
    # OpenSSL's callbacks for kernel TLS

cdef void note_failure(Tls* tls) noexcept nogil
cdef int bio_write(BIO* bio, const char* data, int length) noexcept nogil
cdef int bio_read(BIO* bio, char* data, int length) noexcept nogil
cdef long bio_ctrl(BIO* bio, int command, long number, void* pointer) noexcept nogil
cdef void follow_records(Tls* tls, const char* data, uint32_t length) noexcept nogil
