"""The keys of one TLS connection in the form that the kernel expects (Documentation/networking/tls.rst). No I/O.

    OpenSSL --keylog line--> KtlsKeys.secret --key schedule--> key, iv --ktls_info()--> struct tls12_crypto_info_*
    OpenSSL --record header--> KtlsKeys.sequence --------------------------------------------^

The kernel continues where OpenSSL stopped, so it needs the secret and the number of the next record for each direction.
OpenSSL does not expose these numbers. This module counts records, from 0 whenever the keys of a direction change.

    TLS 1.3  OpenSSL logs the traffic secret of a direction when its keys change (RFC 8446 7.1)
    TLS 1.2  OpenSSL logs the master secret once; a direction's keys change with its ChangeCipherSpec (RFC 5246 7.1)

After a KeyUpdate of TLS 1.3, ktls_message() derives the next secret of the direction from the last one (RFC 8446 7.2).
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ringway.engine.native.openssl cimport EVP_MD

cdef enum:                  # KtlsDirection
    KTLS_SEND = 0           # server to client
    KTLS_RECEIVE = 1

cdef enum:                  # KtlsCipher; order: control/machine/kernel_tls.py
    KTLS_AES_128_GCM = 0
    KTLS_AES_256_GCM = 1
    KTLS_CHACHA20_POLY1305 = 2
    KTLS_NO_CIPHER = 3      # a cipher that the kernel does not support

cdef enum:
    KTLS_SECRET_BYTES_MAX = 48  # of a traffic secret with SHA-384, or a master secret
    KTLS_INFO_BYTES_MAX = 56    # of the largest tls12_crypto_info_*
    KTLS_RANDOM_BYTES = 32
    KTLS_BLOCK_BYTES_MAX = 88   # key block of TLS 1.2: two keys and two IVs
    KTLS_SEED_BYTES = 77        # "key expansion" and both randoms
    KTLS_CHAINED_BYTES = 141    # the largest digest, 64 bytes, and the seed
    KTLS_KEY_UPDATE = 24        # HandshakeType, RFC 8446 4
    KTLS_KEY_UPDATE_BYTES = 5   # type, length of three bytes, request_update

cdef struct KtlsKeys:
    uint8_t version         # 12 or 13; 0: not negotiated yet
    uint8_t cipher          # KtlsCipher
    uint8_t secret_length[2]  # bytes; 0: unknown
    unsigned char secret[2][KTLS_SECRET_BYTES_MAX]  # by direction; TLS 1.2: the master secret, twice
    unsigned char server_random[KTLS_RANDOM_BYTES]  # only TLS 1.2
    unsigned char client_random[KTLS_RANDOM_BYTES]
    uint64_t sequence[2]    # number of the next record of this direction
    bint asked              # the client requested a KeyUpdate, and none has been sent yet

cdef void ktls_keylog(KtlsKeys* k, const char* line) noexcept nogil
    # takes one line of the key log, in NSS form: `LABEL client-random secret`, the last two in hexadecimal
cdef void ktls_record(KtlsKeys* k, int direction, int content_type) noexcept nogil
    # OpenSSL wrote or read a record whose header has this type
cdef void ktls_message(KtlsKeys* k, int direction, const unsigned char* data, size_t length) noexcept nogil
    # OpenSSL wrote or read a whole handshake message: records after a KeyUpdate use the next secret
cdef int ktls_cipher_of(const char* name) noexcept nogil
    # KtlsCipher of OpenSSL's name of a cipher suite
cdef int ktls_info(const KtlsKeys* k, int direction, unsigned char* out) noexcept nogil
    # writes the struct to `out` (KTLS_INFO_BYTES_MAX bytes) and returns its length; -1: a secret is missing

cdef int unhex(const char* text, unsigned char* out, int room) noexcept nogil
cdef int digit_of(char c) noexcept nogil
cdef const EVP_MD* digest_of(int cipher) noexcept nogil
cdef int key_bytes(int cipher) noexcept nogil
cdef bint expand_label(const EVP_MD* md, const unsigned char* secret, int secret_length, const char* label,
                       unsigned char* out, int length) noexcept nogil
    # HKDF-Expand-Label with an empty context, RFC 8446 7.1, for at most one block of the digest
cdef bint key_block(const EVP_MD* md, const KtlsKeys* k, unsigned char* out, int length) noexcept nogil
    # PRF(master_secret, "key expansion", ...), RFC 5246 6.3
cdef bint traffic_keys(const KtlsKeys* k, int direction, unsigned char* key, unsigned char* iv) noexcept nogil
    # `iv`: 12 bytes; TLS 1.2 with GCM fills only the first 4, the implicit part
