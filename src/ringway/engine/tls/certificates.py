"""The block of certificates: the supervisor builds it, workers read it."""

import struct

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *

# Reading: the engine's side


def fits(head, at, count, each):
    return at % 4 == 0 and at <= head.size and count <= (head.size - at) // each


def certificates_valid(head, size):
    i: uint32_t
    base: cython.p_const_char = cast(cython.p_const_char, head)
    pairs: cython.pointer(cython.const[CertificatePair])
    contexts: cython.pointer(cython.const[CertificateContext])
    choices: cython.pointer(cython.const[uint32_t])
    names: cython.pointer(cython.const[CertificateName])
    authorities: cython.pointer(cython.const[ClientAuthorities])
    if (
        size < sizeof(CertificatesHead)
        or head.magic != CERTIFICATES_MAGIC
        or head.version != CERTIFICATES_VERSION
        or head.size != size
        or not fits(head, head.pairs_at, head.pair_count, sizeof(CertificatePair))
        or not fits(head, head.contexts_at, head.context_count, sizeof(CertificateContext))
        or not fits(head, head.choices_at, head.choice_count, sizeof(uint32_t))
        or not fits(head, head.names_at, head.name_count, sizeof(CertificateName))
        or not fits(head, head.authorities_at, head.authorities_count, sizeof(ClientAuthorities))
        or head.default_context >= head.context_count
        or head.ticket_key_count < 1
        or head.ticket_key_count > TICKET_KEYS_MAX
    ):
        return False
    pairs = cast(cython.pointer(cython.const[CertificatePair]), base + head.pairs_at)
    contexts = cast(cython.pointer(cython.const[CertificateContext]), base + head.contexts_at)
    choices = cast(cython.pointer(cython.const[uint32_t]), base + head.choices_at)
    names = cast(cython.pointer(cython.const[CertificateName]), base + head.names_at)
    authorities = cast(cython.pointer(cython.const[ClientAuthorities]), base + head.authorities_at)
    for i in range(head.pair_count):
        if cast(uint64_t, pairs[i].chain_at) + pairs[i].chain_bytes > size:
            return False
        if cast(uint64_t, pairs[i].key_at) + pairs[i].key_bytes > size:
            return False
        if cast(uint64_t, pairs[i].staple_at) + pairs[i].staple_bytes > size:
            return False
    for i in range(head.context_count):
        if cast(uint64_t, contexts[i].first) + contexts[i].count > head.choice_count:
            return False
    for i in range(head.choice_count):
        if choices[i] >= head.pair_count:
            return False
    for i in range(head.name_count):
        if cast(uint64_t, names[i].at) + names[i].length > size or names[i].context >= head.context_count:
            return False
    for i in range(head.authorities_count):
        if cast(uint64_t, authorities[i].at) + authorities[i].length > size:
            return False
    return True


def search(head, name, length):
    return table_find(
        cast(cython.p_const_char, head), head.names_at, head.name_count, sizeof(CertificateName), name, length
    )


def certificates_find(head, name, length):
    text: cython.char[CERTIFICATE_NAME_MAX]
    i: uint32_t
    found: cython.int
    names: cython.pointer(cython.const[CertificateName]) = cast(
        cython.pointer(cython.const[CertificateName]), cast(cython.p_const_char, head) + head.names_at
    )
    if length > 0 and name[length - 1] == b".":
        length -= 1  # "example.com." is the same name
    if length == 0 or length > CERTIFICATE_NAME_MAX:
        return head.default_context
    for i in range(length):
        text[i] = cast(cython.char, lower(cast(uint8_t, name[i])))
    found = search(head, text, length)
    if found < 0:
        # RFC 6125 6.4.3: "*" matches only the leftmost label.
        i = 0
        while i < length and text[i] != b".":
            i += 1
        if i == 0 or i == length:
            return head.default_context
        text[i - 1] = b"*"
        found = search(head, cast(cython.p_char, text) + i - 1, length - i + 1)
    return names[found].context if found >= 0 else head.default_context


def certificates_pair(head, context, which):
    base: cython.p_const_char = cast(cython.p_const_char, head)
    contexts: cython.pointer(cython.const[CertificateContext]) = cast(
        cython.pointer(cython.const[CertificateContext]), base + head.contexts_at
    )
    choices: cython.pointer(cython.const[uint32_t]) = cast(
        cython.pointer(cython.const[uint32_t]), base + head.choices_at
    )
    if which >= contexts[context].count:
        return NULL
    return (
        cast(cython.pointer(cython.const[CertificatePair]), base + head.pairs_at)
        + choices[contexts[context].first + which]
    )


def certificates_authorities(head, policy):
    if policy < 1 or policy > head.authorities_count:
        return NULL
    return (
        cast(cython.pointer(cython.const[ClientAuthorities]), cast(cython.p_const_char, head) + head.authorities_at)
        + policy
        - 1
    )


# Building: the supervisor's side


def build(
    pairs: list,
    contexts: list,
    names: dict,
    default: int,
    ticket_keys: list,
    authorities: list | None = None,
    fresh: frozenset[int] = frozenset(),
) -> bytearray:
    """The block. `pairs`: (chain, key, staple, until): PEM as bytes, an OCSP response (b"": none) and the time from
    which on workers do not send it; `contexts`: tuples of indices of pairs; `names`: lower-case host name (also
    "*.example.com") to index of a context; `ticket_keys`: 80 bytes each, newest first; `authorities`: (PEM, context of
    tickets) by policy; `fresh`: indices of new pairs.
    Raises ValueError if the block would have 4 GiB or more."""
    head: CertificatesHead
    number: cython.int
    choices = [index for context in contexts for index in context]
    ordered = sorted((name.encode("ascii"), context) for name, context in names.items())
    pairs_at = (sizeof(CertificatesHead) + 7) // 8 * 8
    contexts_at = pairs_at + sizeof(CertificatePair) * len(pairs)
    choices_at = contexts_at + sizeof(CertificateContext) * len(contexts)
    names_at = choices_at + 4 * len(choices)
    trusted = authorities or []
    authorities_at = names_at + sizeof(CertificateName) * len(ordered)
    texts_at = authorities_at + sizeof(ClientAuthorities) * len(trusted)
    texts = sum(len(chain) + len(key) + len(staple) for chain, key, staple, _ in pairs)
    total = texts_at + texts + sum(len(name) for name, _ in ordered) + sum(len(text) for text, _ in trusted)
    if total >= 1 << 32:
        raise ValueError("the certificates are larger than 4 GiB")
    block = bytearray(total)
    at = texts_at
    for number, (chain, key, staple, until) in enumerate(pairs):
        places = []
        for text in (chain, key, staple):
            block[at : at + len(text)] = text
            places += [at, len(text)]
            at += len(text)
        about = (min(until, 0xFFFFFFFF), number in fresh)
        struct.pack_into("=8I", block, pairs_at + sizeof(CertificatePair) * number, *places, *about)
    first = 0
    for number, context in enumerate(contexts):
        struct.pack_into("=2I", block, contexts_at + 8 * number, first, len(context))
        first += len(context)
    struct.pack_into(f"={len(choices)}I", block, choices_at, *choices)
    for number, (name, context) in enumerate(ordered):
        struct.pack_into("=3I", block, names_at + 12 * number, at, len(name), context)
        block[at : at + len(name)] = name
        at += len(name)
    for number, (text, context) in enumerate(trusted):
        struct.pack_into(
            f"=2I{TICKET_CONTEXT_BYTES}s",
            block,
            authorities_at + sizeof(ClientAuthorities) * number,
            at,
            len(text),
            context,
        )
        block[at : at + len(text)] = text
        at += len(text)
    keys = list(ticket_keys)[:TICKET_KEYS_MAX]
    head.magic = CERTIFICATES_MAGIC
    head.version = CERTIFICATES_VERSION
    head.size = total
    head.pair_count = len(pairs)
    head.context_count = len(contexts)
    head.choice_count = len(choices)
    head.name_count = len(ordered)
    head.authorities_count = len(trusted)
    head.pairs_at = pairs_at
    head.contexts_at = contexts_at
    head.choices_at = choices_at
    head.names_at = names_at
    head.authorities_at = authorities_at
    head.default_context = default
    head.ticket_key_count = len(keys)
    for number in range(len(keys)):
        sealing: bytes = keys[number]
        if len(sealing) != TICKET_KEY_BYTES:
            raise ValueError(f"a ticket key has {TICKET_KEY_BYTES} bytes")
        memcpy(head.ticket_keys[number], cast(cython.p_char, sealing), TICKET_KEY_BYTES)
    out: cython.uchar[::1] = block
    memcpy(address(out[0]), address(head), sizeof(CertificatesHead))
    return block


def find(block, name: str) -> int:
    """For tools and tests: index of the context for a client that requests `name`. Raises ValueError if the block is
    invalid."""
    view: cython.const_uchar[::1] = memoryview(block).cast("B")
    head: cython.pointer(cython.const[CertificatesHead]) = cast(
        cython.pointer(cython.const[CertificatesHead]), address(view[0])
    )
    if not certificates_valid(head, len(view)):
        raise ValueError("not a block of certificates")
    text: bytes = name.encode("latin-1")
    return certificates_find(head, text, len(text))
