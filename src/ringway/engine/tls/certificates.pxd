"""Certificates, keys and ticket keys as the supervisor publishes them: one flat block, offsets instead of pointers.

    CertificatesHead | pairs | contexts | pairs of the contexts | names, sorted | authorities |
    texts (PEM, staples, names)

A *pair* is a chain and its key. A *context* holds the pairs of different kinds (RSA, ECDSA) for the same names, and
becomes one SSL_CTX. OpenSSL picks the pair that the client can verify. A *name* belongs to a context: "example.com", or
"*.example.com", which matches one label (RFC 6125 6.4.3). *Authorities* issue the certificates that clients may send.
There is one entry for each policy of the snapshot's doors.

The supervisor writes consecutive blocks into one memfd. The first page of the memfd refers to the newest block
(`Published` in control/machine/memory.py). A worker maps the newest block read-only. It opens a context when a client
first requests one of its names, so thousands of certificates cost nothing until they are used.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    CERTIFICATES_MAGIC = 0x43575247     # "GRWC"
    CERTIFICATES_VERSION = 4            # changes with any struct below
    TICKET_KEY_BYTES = 80               # name 16, HMAC 32, AES 32
    TICKET_KEYS_MAX = 3                 # the newest one seals tickets; all of them open tickets
    TICKET_CONTEXT_BYTES = 32           # the maximum that OpenSSL allows
    CERTIFICATE_NAME_MAX = 256          # bytes of a host name; a longer name gets the default context

cdef struct CertificatePair:
    uint32_t chain_at                   # PEM
    uint32_t chain_bytes
    uint32_t key_at                     # PEM
    uint32_t key_bytes
    uint32_t staple_at                  # OCSP response, DER
    uint32_t staple_bytes               # 0: none
    uint32_t staple_until_s             # since 1970: from then on the worker does not send the staple
    uint32_t fresh                      # 1: new in this block; a worker opens it when it loads the block

cdef struct CertificateContext:
    uint32_t first                      # index in the pairs of the contexts
    uint32_t count

cdef struct CertificateName:
    uint32_t at
    uint32_t length
    uint32_t context

cdef struct ClientAuthorities:
    uint32_t at                         # PEM
    uint32_t length
    unsigned char context[TICKET_CONTEXT_BYTES]     # equal for equal demands and authorities: then a ticket opens

cdef struct CertificatesHead:
    uint32_t magic
    uint32_t version
    uint64_t size                       # bytes of the block
    uint32_t pair_count
    uint32_t context_count
    uint32_t choice_count               # pairs of all contexts
    uint32_t name_count
    uint32_t authorities_count
    uint32_t pairs_at
    uint32_t contexts_at
    uint32_t choices_at
    uint32_t names_at
    uint32_t authorities_at
    uint32_t default_context            # for a client that requests no name or an unknown one
    uint32_t ticket_key_count
    unsigned char ticket_keys[TICKET_KEYS_MAX][TICKET_KEY_BYTES]   # newest first

cdef struct TicketKeys:                 # a worker's own copy: the supervisor wipes old blocks
    uint32_t count
    unsigned char key[TICKET_KEYS_MAX][TICKET_KEY_BYTES]    # newest first

cdef struct Publication:                # the first bytes of the memfd
    uint64_t sequence                   # number of the newest block, from 1; 0: none yet
    uint64_t pad
    uint64_t place[2][2]                # [sequence % 2]: offset and size in bytes

cdef bint certificates_valid(const CertificatesHead* head, uint64_t size) noexcept nogil
cdef uint32_t certificates_find(const CertificatesHead* head, const char* name, uint32_t length) noexcept nogil
    # context of a host name, ignoring case; the default context if the name is unknown
cdef const CertificatePair* certificates_pair(const CertificatesHead* head, uint32_t context,
                                              uint32_t which) noexcept nogil
    # pair number `which` of the context; NULL: there are no more
cdef inline uint32_t certificates_choice(const CertificatesHead* head, uint32_t context, uint32_t which) noexcept nogil:
    """Index of this pair among the pairs of all contexts."""
    return (<const CertificateContext*>(<const char*>head + head.contexts_at))[context].first + which
cdef const ClientAuthorities* certificates_authorities(const CertificatesHead* head, uint32_t policy) noexcept nogil
    # the authorities of a door's policy, numbered from 1; NULL: no such policy

cdef int search(const CertificatesHead* head, const char* name, uint32_t length) noexcept nogil
    # index of the name, or -1
cdef bint fits(const CertificatesHead* head, uint64_t at, uint64_t count, uint64_t each) noexcept nogil
