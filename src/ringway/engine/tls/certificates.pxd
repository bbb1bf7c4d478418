"""Certificates, keys and ticket keys as the supervisor hands them over: one flat block, offsets instead of pointers.

    CertificatesHead | pairs | contexts | pairs of the contexts | names, sorted | authorities |
    texts (PEM, staples, names)

A *pair* is a chain and its key. A *context* is what one SSL_CTX holds: the pairs of different kinds (RSA, ECDSA) for the
same names, of which OpenSSL takes the one that the client can check. A *name* leads to a context: "example.com", or
"*.example.com", which is one label deep (RFC 6125 6.4.3). *Authorities* are those whose certificates clients may show,
one entry for each policy of the snapshot's doors.

The supervisor writes blocks into one memfd, one behind the other, and names the newest in the memfd's first page
(`Published` in control/machine/memory.py); a worker maps the newest, read-only, and opens a context when the first client asks
for one of its names: thousands of certificates cost nothing until they are used.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    CERTIFICATES_MAGIC = 0x43575247     # "GRWC"
    CERTIFICATES_VERSION = 4            # changes with any struct below
    TICKET_KEY_BYTES = 80               # name 16, HMAC 32, AES 32
    TICKET_KEYS_MAX = 3                 # the newest seals; all of them open
    TICKET_CONTEXT_BYTES = 32           # OpenSSL's most
    CERTIFICATE_NAME_MAX = 256          # bytes of a host name; a longer one has no certificate

cdef struct CertificatePair:
    uint32_t chain_at                   # PEM
    uint32_t chain_bytes
    uint32_t key_at                     # PEM
    uint32_t key_bytes
    uint32_t staple_at                  # OCSP response, DER
    uint32_t staple_bytes               # 0: none
    uint32_t staple_until_s             # since 1970: from then on it is not shown
    uint32_t fresh                      # it was not in the block before: a worker opens it when it takes this one

cdef struct CertificateContext:
    uint32_t first                      # in the pairs of the contexts
    uint32_t count

cdef struct CertificateName:
    uint32_t at
    uint32_t length
    uint32_t context

cdef struct ClientAuthorities:
    uint32_t at                         # PEM
    uint32_t length
    unsigned char context[TICKET_CONTEXT_BYTES]     # a ticket opens where this is equal: the same demand, the same authorities

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
    uint32_t default_context            # for a client that asks for no name that we have
    uint32_t ticket_key_count
    unsigned char ticket_keys[TICKET_KEYS_MAX][TICKET_KEY_BYTES]   # newest first

cdef struct TicketKeys:                 # a worker's own copy: the supervisor wipes blocks that are old
    uint32_t count
    unsigned char key[TICKET_KEYS_MAX][TICKET_KEY_BYTES]    # newest first

cdef struct Publication:                # the memfd's first bytes
    uint64_t sequence                   # of the newest block, from 1; 0: none yet
    uint64_t pad
    uint64_t place[2][2]                # [sequence % 2]: offset and size in bytes

cdef bint certificates_valid(const CertificatesHead* head, uint64_t size) noexcept nogil
cdef uint32_t certificates_find(const CertificatesHead* head, const char* name, uint32_t length) noexcept nogil
    # context of a host name in whatever case; the default one if there is none
cdef const CertificatePair* certificates_pair(const CertificatesHead* head, uint32_t context, uint32_t which) noexcept nogil
    # NULL: it has no more
cdef inline uint32_t certificates_choice(const CertificatesHead* head, uint32_t context, uint32_t which) noexcept nogil:
    """Number of this pair among those of all contexts."""
    return (<const CertificateContext*>(<const char*>head + head.contexts_at))[context].first + which
cdef const ClientAuthorities* certificates_authorities(const CertificatesHead* head, uint32_t policy) noexcept nogil
    # of a door's policy, from 1; NULL: there is none

cdef int search(const CertificatesHead* head, const char* name, uint32_t length) noexcept nogil
    # index of the name, or -1
cdef bint fits(const CertificatesHead* head, uint64_t at, uint64_t count, uint64_t each) noexcept nogil
