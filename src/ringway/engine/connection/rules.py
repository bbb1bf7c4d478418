"""Open and close rules, load published blocks."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.native.linux import (
    MAP_FAILED,
    MAP_SHARED,
    PROT_READ,
    SEEK_END,
    close,
    lseek,
    mmap,
    munmap,
)
from cython.cimports.ringway.engine.plan import *
from cython.cimports.ringway.engine.tls import *


def rules_open(snapshot, addresses):
    i: uint32_t
    path: cython.pointer(cython.const[Text])
    r: cython.pointer(Rules) = cast(cython.pointer(Rules), calloc(1, sizeof(Rules)))
    if r == NULL:
        return NULL
    r.certificates = -1
    r.peers = -1
    r.snapshot = cast(cython.pointer(Snapshot), map_whole(snapshot, address(r.snapshot_size)))
    r.addresses = cast(cython.pointer(AddressTable), map_whole(addresses, address(r.addresses_size)))
    if r.snapshot == NULL or r.addresses == NULL or not snapshot_valid(r.snapshot, r.snapshot_size):
        rules_close(r)
        return NULL
    r.origins = cast(cython.pointer(Origin), calloc(r.snapshot.upstream_count + 1, sizeof(Origin)))
    r.folders = cast(cython.pointer(Folder), calloc(r.snapshot.folder_count + 1, sizeof(Folder)))
    if r.origins == NULL or r.folders == NULL:
        rules_close(r)
        return NULL
    for i in range(r.snapshot.upstream_count):
        r.origins[i].index = i
        r.origins[i].rules = r
    for i in range(r.snapshot.folder_count):
        r.folders[i].fd = -1
    for i in range(r.snapshot.folder_count):
        path = folder_at(r.snapshot, i)
        r.folders[i].path = cast(cython.p_char, calloc(path.length + 1, 1))
        if r.folders[i].path == NULL:
            rules_close(r)
            return NULL
        memcpy(r.folders[i].path, text_at(r.snapshot, path[0]), path.length)
    return r


def rules_close(r):
    i: uint32_t
    if r == NULL:
        return
    if r.origins != NULL:
        for i in range(r.snapshot.upstream_count):
            tls_context_close(r.origins[i].tls)
    if r.folders != NULL:
        for i in range(r.snapshot.folder_count):
            if r.folders[i].fd >= 0:
                close(r.folders[i].fd)
            free(r.folders[i].path)
    tls_context_close(r.tls)
    if r.certificates >= 0:
        close(r.certificates)
    if r.peers >= 0:
        close(r.peers)
    if r.snapshot != NULL:
        munmap(cast(cython.p_void, r.snapshot), r.snapshot_size)
    if r.addresses != NULL:
        munmap(cast(cython.p_void, r.addresses), r.addresses_size)
    free(r.origins)
    free(r.folders)
    free(r)


def map_whole(descriptor, size):
    length: cython.longlong = lseek(descriptor, 0, SEEK_END)
    memory: cython.p_void
    if length <= 0:
        return NULL
    memory = mmap(NULL, length, PROT_READ, MAP_SHARED, descriptor, 0)
    if memory == MAP_FAILED:
        return NULL
    size[0] = length
    return memory


def newest_number(descriptor, number):
    page: cython.p_void = mmap(NULL, sizeof(Publication), PROT_READ, MAP_SHARED, descriptor, 0)
    if page == MAP_FAILED:
        return False
    number[0] = load_acquire_64(address(cast(cython.pointer(Publication), page).sequence))
    munmap(page, sizeof(Publication))
    return True


def newest_block(descriptor, seen, sequence, size):
    page: cython.p_void = mmap(NULL, sizeof(Publication), PROT_READ, MAP_SHARED, descriptor, 0)
    offset: uint64_t
    if page == MAP_FAILED:
        return MAP_FAILED
    sequence[0] = load_acquire_64(address(cast(cython.pointer(Publication), page).sequence))
    offset = cast(cython.pointer(Publication), page).place[sequence[0] & 1][0]
    size[0] = cast(cython.pointer(Publication), page).place[sequence[0] & 1][1]
    munmap(page, sizeof(Publication))
    if sequence[0] == seen:
        return NULL
    return mmap(NULL, size[0], PROT_READ, MAP_SHARED, descriptor, cast(cython.longlong, offset))


def take_certificates(w, r):
    sequence: uint64_t = 0
    newer: uint64_t = 0
    size: uint64_t = 0
    i: cython.int
    head: cython.pointer(CertificatesHead)
    tickets: TicketKeys
    block: cython.p_void = newest_block(r.certificates, r.certificates_seen, address(sequence), address(size))
    if block == NULL:
        return 0
    if block == MAP_FAILED:
        return -1
    head = cast(cython.pointer(CertificatesHead), block)
    if not certificates_valid(head, size):
        munmap(block, size)
        return -1
    tickets.count = head.ticket_key_count
    for i in range(TICKET_KEYS_MAX):
        memcpy(tickets.key[i], head.ticket_keys[i], TICKET_KEY_BYTES)
    # The supervisor keeps the last two blocks. If this block is an older one by now, the copied keys may be zeros.
    if not newest_number(r.certificates, address(newer)) or newer - sequence > 1:
        munmap(block, size)
        return -1
    if tls_server_take(r.tls, head, size, address(tickets)) < 0:
        return -1
    # This counter tells the supervisor that the worker uses the block.
    count(w.counters, COUNT_CERTIFICATES, sequence - r.certificates_seen)
    r.certificates_seen = sequence
    return 0
