"""The block of upstreams with TLS: the supervisor builds it, workers read it."""

import struct

import cython
from cython import address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memcpy

# Reading: the engine's side


def text_within(text, size):
    return cast(uint64_t, text.at) + text.length < size


def peers_valid(head, size):
    i: uint32_t
    p: cython.pointer(cython.const[Peer])
    base: cython.p_const_char = cast(cython.p_const_char, head)
    if (
        size < sizeof(PeersHead)
        or head.magic != PEERS_MAGIC
        or head.version != PEERS_VERSION
        or head.size != size
        or head.peers % 4 != 0
        or head.authorities % 4 != 0
        or head.peers + cast(uint64_t, head.peer_count) * sizeof(Peer) > size
        or head.authorities + cast(uint64_t, head.authority_count) * sizeof(Text) > size
    ):
        return False
    for i in range(head.peer_count):
        p = peer_at(head, i)
        if p.edition == 0:
            continue
        if (
            p.authorities > head.authority_count
            or not text_within(p.name, size)
            or base[p.name.at + p.name.length] != 0
            or not text_within(p.certificate, size)
            or not text_within(p.key, size)
        ):
            return False
    for i in range(head.authority_count):
        if not text_within(authorities_at(head, i), size):
            return False
    return True


# Building: the supervisor's side


def build(peers: list, authorities: list) -> bytearray:
    """The block. `peers`: None (no TLS) or (edition, index of its authorities or None, whether the name is an address,
    verify, name, certificate, key), the last two as PEM bytes or None; `authorities`: PEM as bytes.
    Raises ValueError if the block would have 4 GiB or more."""
    head: PeersHead
    peers_at = (sizeof(PeersHead) + 7) // 8 * 8
    authorities_at_ = peers_at + sizeof(Peer) * len(peers)
    texts_at = authorities_at_ + sizeof(Text) * len(authorities)
    texts = [text for peer in peers if peer is not None for text in (peer[4].encode(), peer[5] or b"", peer[6] or b"")]
    # A NUL follows each text.
    total = texts_at + sum(len(text) + 1 for text in [*texts, *authorities]) + 1
    if total >= 1 << 32:
        raise ValueError("the certificates and authorities for upstreams are larger than 4 GiB")
    block = bytearray(total)
    at = texts_at
    places = []
    for text in [*texts, *authorities]:
        block[at : at + len(text)] = text
        places.append((at, len(text)))
        at += len(text) + 1
    number: cython.int
    given = iter(places)
    for number, peer in enumerate(peers):
        if peer is not None:
            edition, trusted, is_address, verify = peer[:4]
            about = (edition, 0 if trusted is None else 1 + trusted, is_address, verify)
            own = [part for _ in range(3) for part in next(given)]
            struct.pack_into("=2I2B2x6I", block, peers_at + sizeof(Peer) * number, *about, *own)
    for number, place in enumerate(given):
        struct.pack_into("=2I", block, authorities_at_ + sizeof(Text) * number, *place)
    head.magic = PEERS_MAGIC
    head.version = PEERS_VERSION
    head.size = total
    head.peer_count = len(peers)
    head.authority_count = len(authorities)
    head.peers = peers_at
    head.authorities = authorities_at_
    out: cython.uchar[::1] = block
    memcpy(address(out[0]), address(head), sizeof(PeersHead))
    return block


def valid(block) -> bool:
    """Whether workers would accept the block."""
    view: cython.const_uchar[::1] = memoryview(block).cast("B")
    if len(view) == 0:
        return False
    return peers_valid(cast(cython.pointer(cython.const[PeersHead]), address(view[0])), len(view))
