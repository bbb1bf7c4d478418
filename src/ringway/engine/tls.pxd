"""TLS 1.2 and 1.3 by OpenSSL as a codec: records in, plaintext out, and the other way round. No sockets.

    ciphertext --tls_feed()--> OpenSSL --tls_read()---> plaintext
    ciphertext <--(out queue)- OpenSSL <--tls_write()-- plaintext

OpenSSL reads from the bytes that tls_feed() showed it (borrowed until they are used up) and writes straight into
buffers of the `out` queue, through a BIO of our own: no copy besides its own.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ringway.engine.buffers cimport Buffers, Queue
from ringway.engine.certificates cimport CertificatesHead
from ringway.engine.client_auth cimport Trusted
from ringway.engine.ktls cimport KtlsKeys
from ringway.engine.native.openssl cimport (
    BIO,
    BIO_METHOD,
    EVP_CIPHER_CTX,
    EVP_MAC_CTX,
    SSL,
    SSL_CTX,
    SSL_SESSION,
    X509,
)
from ringway.engine.snapshot cimport Door, Snapshot

cdef enum:
    CIPHERS_BYTES_MAX = 2048    # of a list of ciphers or groups, OpenSSL's names with colons between
    TLS_FAILED = -1
    TLS_CLOSED = -2         # close_notify: no more will come

cdef struct KtlsPolicy:     # what of a connection the kernel is to take over, see docs/tls.md
    bint enabled
    bint required           # refuse a connection of which it cannot
    bint receive            # both directions, not sending alone
    bint rekeys             # it takes new keys behind a KeyUpdate (Linux 6.14), tried by the supervisor
    uint8_t usable[2][2]    # by KtlsDirection and version - 12: bit KtlsCipher, tried by the supervisor
    uint64_t after_bytes    # of plaintext that OpenSSL encrypts before the kernel sends

cdef struct TlsPolicy:      # what is agreed to
    int min_version         # TLS1_2_VERSION or TLS1_3_VERSION
    char ciphers[CIPHERS_BYTES_MAX]     # TLS 1.2
    char suites[CIPHERS_BYTES_MAX]      # TLS 1.3
    char groups[CIPHERS_BYTES_MAX]      # of the key exchange

cdef struct CertificateStore:   # one block of certificates, and what was opened of it
    const CertificatesHead* head    # owned: mapped memory
    uint64_t size           # bytes of it
    SSL_CTX** contexts      # owned: one for each context of the block; NULL: no client asked for it yet
    X509** leaves           # owned; borrowed from them: the certificate of each of the block's choices, once it is opened
    Trusted* trusted        # owned: likewise, one for each entry of authorities

cdef struct TlsContext:     # one as a server, and one for each server that it connects to, until another takes its place
    uint32_t references     # its owner's, and one of each connection
    BIO_METHOD* method      # owned
    CertificateStore* store # owned: the newest; NULL: a client's
    const Snapshot* snapshot  # borrowed: what hosts want of their clients; NULL: a client's
    Buffers* buffers        # borrowed
    KtlsPolicy ktls
    TlsPolicy policy
    # a client's alone
    SSL_CTX* client         # owned; NULL: we are the server
    uint32_t edition        # of what it was opened from, see peers.pxd
    bint verify             # the server must be who it says
    char* server_name       # owned: sent by SNI; NULL: an address
    SSL_SESSION* session    # owned: the last one that the server gave; NULL: none
    int64_t proven_s        # when the server's certificate was checked last: resumption does not

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
    unsigned long why       # OpenSSL's code of what failed; 0: it did not say
    bint silent             # the kernel sends: a record that OpenSSL writes now would carry a number used before
    uint8_t header[5]       # of the record being read, as far as it is here
    uint8_t header_bytes
    uint32_t body_left      # bytes of that record's body that OpenSSL has not read yet
    KtlsKeys* keys          # borrowed: where records are counted and secrets kept; NULL: no kernel TLS

cdef TlsContext* tls_context_open(const TlsPolicy* policy, const KtlsPolicy* ktls, const Snapshot* snapshot,
                                  Buffers* buffers) noexcept nogil
    # without certificates yet. NULL: no memory
cdef int tls_context_take(TlsContext* context, const CertificatesHead* head, uint64_t size) noexcept nogil
    # this block of certificates from now on (takes over the mapping); connections under way keep theirs. -1: its default
    # context cannot be opened, see OpenSSL's error queue (last_error()); the old block stays
cdef void store_close(CertificateStore* store) noexcept nogil
cdef SSL_CTX* store_context(TlsContext* context, CertificateStore* store, uint32_t index) noexcept nogil
    # opened when it is asked for the first time; NULL: it cannot be
cdef Trusted* store_trusted(CertificateStore* store, uint32_t policy) noexcept nogil
    # likewise
cdef SSL_CTX* new_context(TlsContext* context) noexcept nogil
cdef BIO_METHOD* new_method() noexcept nogil
cdef int use_pair(SSL_CTX* ctx, const char* chain, int chain_bytes, const char* key, int key_bytes) noexcept nogil
cdef int client_hello(SSL* ssl, int* alert, void* arg) noexcept nogil
cdef int status_asked(SSL* ssl, void* arg) noexcept nogil
cdef bint demand(TlsContext* context, SSL* ssl, const char* name, uint32_t length) noexcept nogil
    # of the client what the host's door says. False: it cannot be
cdef bint tls_same_door(const TlsContext* one, uint32_t policy, const TlsContext* other, uint32_t other_policy) noexcept nogil
    # do two policies, each of the certificates of its context, want the same of the same authorities?
cdef bint asked_name(SSL* ssl, const unsigned char** name, uint32_t* length) noexcept nogil
    # the host name of the ClientHello, RFC 6066 3
cdef int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                    int encrypt) noexcept nogil
cdef void tls_context_close(TlsContext* context) noexcept nogil
    # a reference less; with the last one it is gone
cdef Tls* tls_open(TlsContext* context, SSL_SESSION* resume, Queue* out) noexcept nogil
    # the context's side. `resume`: a client's, or NULL. NULL: no memory
cdef void tls_close(Tls* tls) noexcept nogil
cdef void tls_feed(Tls* tls, const char* data, uint32_t length) noexcept nogil
cdef int tls_handshake(Tls* tls) noexcept nogil     # 1: established; 0: more ciphertext needed; TLS_FAILED. A client begins
cdef int tls_read(Tls* tls, char* out, uint32_t size) noexcept nogil
    # bytes; 0: more ciphertext needed; TLS_CLOSED; TLS_FAILED
cdef int tls_write(Tls* tls, const char* data, uint32_t length) noexcept nogil  # 0, or TLS_FAILED
cdef bint tls_pending(const Tls* tls) noexcept nogil
    # plaintext that waits in OpenSSL, without any more ciphertext
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

cdef void note_failure(Tls* tls) noexcept nogil
cdef int bio_write(BIO* bio, const char* data, int length) noexcept nogil
cdef int bio_read(BIO* bio, char* data, int length) noexcept nogil
cdef bint tls_owes_key_update(const Tls* tls) noexcept nogil
    # the client asked for one (RFC 8446 4.6.3); OpenSSL would send it in front of the next data
cdef void tls_key_update(Tls* tls) noexcept nogil
    # OpenSSL writes a KeyUpdate now, and goes on with its next keys. Silent: nobody gets it

cdef void follow_records(Tls* tls, const char* data, uint32_t length) noexcept nogil
cdef void note_keylog(const SSL* ssl, const char* line) noexcept nogil
cdef void note_message(int written, int version, int content_type, const void* data, size_t length, SSL* ssl,
                       void* arg) noexcept nogil
cdef long bio_ctrl(BIO* bio, int command, long number, void* pointer) noexcept nogil
cdef int select_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                         unsigned int offered_length, void* arg) noexcept nogil
