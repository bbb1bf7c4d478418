"""Upstreams with TLS, as the supervisor publishes them: trusted authorities and client certificates. One flat block.

It contains keys, so the supervisor publishes it in the same way as the block of certificates (certificates.pxd).

    PeersHead | peers, one for each upstream of the snapshot | authorities | texts (PEM, names)
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ringway.engine.plan.snapshot cimport Text

cdef enum:
    PEERS_MAGIC = 0x50525247    # "GRRP"
    PEERS_VERSION = 1           # changes with any struct below

cdef struct Peer:
    uint32_t edition            # changes when anything else of the peer changes; 0: an upstream without TLS
    uint32_t authorities        # 1 + index of the trusted authorities; 0: none
    uint8_t address             # `name` is an IP address
    uint8_t verify
    Text name                   # the name that its certificate must have, followed by a NUL
    Text certificate            # client certificate, sent if the upstream requests one; length 0: none
    Text key

cdef struct PeersHead:
    uint32_t magic
    uint32_t version
    uint64_t size               # bytes of the block
    uint32_t peer_count
    uint32_t authority_count
    uint32_t peers              # offset
    uint32_t authorities        # offset of Text

cdef inline const Peer* peer_at(const PeersHead* head, uint32_t index) noexcept nogil:
    return <const Peer*>(<const char*>head + head.peers) + index

cdef inline Text authorities_at(const PeersHead* head, uint32_t index) noexcept nogil:
    return (<const Text*>(<const char*>head + head.authorities))[index]

cdef bint peers_valid(const PeersHead* head, uint64_t size) noexcept nogil
cdef bint text_within(Text text, uint64_t size) noexcept nogil
