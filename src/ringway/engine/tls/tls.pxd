"""TLS 1.2 and 1.3 by OpenSSL as a codec: records in, plaintext out, and the other way round. No sockets.

    ciphertext --tls_feed()--> OpenSSL --tls_read()---> plaintext
    ciphertext <--(out queue)- OpenSSL <--tls_write()-- plaintext

OpenSSL reads from the bytes that tls_feed() showed it (borrowed until they are used up) and writes straight into
buffers of the `out` queue, through a BIO of our own: no copy besides its own. Each connection begins from a context
(tls_context.pxd), which says what side it is on.
"""
from libc.stdint cimport uint8_t, uint32_t

from ringway.engine.base.buffers cimport Queue
from ringway.engine.tls.ktls cimport KtlsKeys
from ringway.engine.native.openssl cimport BIO, BIO_METHOD, SSL, SSL_SESSION
from ringway.engine.plan.snapshot cimport Door
from ringway.engine.tls.tls_context cimport TlsContext

cdef enum:
    TLS_FAILED = -1
    TLS_CLOSED = -2         # close_notify: no more will come
    # What OpenSSL writes by itself in answer to what an established connection receives (no_renegotiation, KeyUpdate,
    # alerts): 33 octets in can mean 31 out, and nobody asks whether the peer reads them. 4096 bytes are some hundred
    # answers; an honest peer causes one or two in a day. Beyond it the connection ends.
    TLS_REPLIES_MAX = 4096

cdef struct Tls:
    SSL* ssl                # owned
    const char* at          # borrowed: ciphertext not read yet
    uint32_t left           # bytes of it
    Queue* out              # borrowed: where ciphertext goes
    TlsContext* context     # borrowed
    const Door* door        # borrowed: of the host that was asked for; NULL: no host wants certificates
    bint established        # the handshake is through
    bint failed
    bint exhausted          # ... for want of a buffer
    bint begun              # the client's first octet was looked at
    bint plain              # it begins a method, no record: nothing of what the client said was taken
    unsigned long why       # OpenSSL's code of what failed; 0: it did not say
    uint32_t replied        # bytes that OpenSSL wrote by itself since data came last and all that was written had gone
    bint silent             # the kernel sends: records that OpenSSL writes are dropped, because their numbers were used before
    uint8_t alert_level     # silent: AlertLevel of the last alert that OpenSSL wrote; 0: none, or the kernel has sent it
    uint8_t alert           # ... and its AlertDescription
    uint8_t header[5]       # of the record being read, as far as it is here
    uint8_t header_bytes
    uint32_t body_left      # bytes of that record's body that OpenSSL has not read yet
    KtlsKeys* keys          # borrowed: where records are counted and secrets kept; NULL: no kernel TLS

cdef Tls* tls_open(TlsContext* context, SSL_SESSION* resume, Queue* out) noexcept nogil
    # the context's side. `resume`: a client's, or NULL. NULL: no memory
cdef void tls_close(Tls* tls) noexcept nogil
cdef void tls_feed(Tls* tls, const char* data, uint32_t length) noexcept nogil
cdef int tls_handshake(Tls* tls) noexcept nogil     # 1: established; 0: more ciphertext needed; TLS_FAILED. A client begins.
    # To a client that does not speak TLS (`plain`) OpenSSL says nothing
cdef int tls_read(Tls* tls, char* out, uint32_t size) noexcept nogil
    # bytes; 0: more ciphertext needed; TLS_CLOSED; TLS_FAILED
cdef int tls_write(Tls* tls, const char* data, uint32_t length) noexcept nogil  # 0, or TLS_FAILED
cdef bint tls_pending(const Tls* tls) noexcept nogil
    # plaintext that waits in OpenSSL, without any more ciphertext
cdef bint tls_at_rest(const Tls* tls) noexcept nogil
    # no part of a record waits for its rest
cdef void tls_notify(Tls* tls) noexcept nogil       # puts close_notify into the out queue
cdef int tls_version(const Tls* tls) noexcept nogil # 12 or 13
cdef const char* tls_cipher(const Tls* tls) noexcept nogil
cdef bint tls_resumed(const Tls* tls) noexcept nogil
cdef const char* tls_untrusted(const Tls* tls) noexcept nogil
    # why the server's certificate was not accepted, in words; NULL: it was, or none came
cdef const char* tls_why(const Tls* tls) noexcept nogil
    # what failed, in OpenSSL's words; NULL: it did not say
cdef void tls_agreed(Tls* tls) noexcept nogil       # the handshake is through: fills in what `keys` still lacks
cdef bint tls_between_records(const Tls* tls) noexcept nogil
    # all that was received has been read and handed on: the next octet begins a record
cdef bint tls_owes_key_update(const Tls* tls) noexcept nogil
    # the client asked for one (RFC 8446 4.6.3); OpenSSL would send it in front of the next data
cdef void tls_key_update(Tls* tls) noexcept nogil
    # OpenSSL writes a KeyUpdate now, and goes on with its next keys. Silent: nobody gets it

cdef BIO_METHOD* new_method() noexcept nogil        # for contexts
cdef void note_keylog(const SSL* ssl, const char* line) noexcept nogil
cdef void note_message(int written, int version, int content_type, const void* data, size_t length, SSL* ssl,
                       void* arg) noexcept nogil
    # what contexts have OpenSSL call for kernel TLS

cdef void note_failure(Tls* tls) noexcept nogil
cdef int bio_write(BIO* bio, const char* data, int length) noexcept nogil
cdef int bio_read(BIO* bio, char* data, int length) noexcept nogil
cdef long bio_ctrl(BIO* bio, int command, long number, void* pointer) noexcept nogil
cdef void follow_records(Tls* tls, const char* data, uint32_t length) noexcept nogil
