"""Access records: written by a worker, read by the supervisor."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.ringway.engine.base.atomics import *
from cython.cimports.ringway.engine.base.outcome import *

SIZE = sizeof(RecordRing)  # bytes of one worker's ring
EVENTS = (
    "",
    "accept_failed",
    "no_buffers",
    "connect_failed",
    "clients_full",
    "ktls_refused",
    "key_update",
    "certificates",
    "upstream_tls_failed",
    "upstream_untrusted",
    "peers",
    "client_untrusted",
    "proxy_refused",
    "gave_way",
)
OFFLOADS = ("", "send", "receive", "send+receive")


def record_begin(ring, text_bytes):
    size: uint32_t = (cast(uint32_t, sizeof(Record)) + text_bytes + 7) // 8 * 8
    head: uint64_t = ring.head
    at: uint32_t = cast(uint32_t, head % RECORD_RING_BYTES)
    skip: uint32_t = RECORD_RING_BYTES - at if at + size > RECORD_RING_BYTES else 0
    if head + skip + size - load_acquire_64(address(ring.tail)) > RECORD_RING_BYTES:
        return NULL
    record: cython.pointer(Record)
    if skip:
        # Never across the end. `size` and `kind` always fit: every record's size is a multiple of 8.
        record = cast(cython.pointer(Record), ring.data + at)
        record.size = skip
        record.kind = RECORD_SKIP
        store_release_64(address(ring.head), head + skip)
        at = 0
    record = cast(cython.pointer(Record), ring.data + at)
    memset(record, 0, sizeof(Record))
    record.size = size
    return record


def record_end(ring, record):
    store_release_64(address(ring.head), ring.head + record.size)


class Reader:
    """Reads one worker's ring. `block` is the shared memory (a writable buffer of SIZE bytes)."""

    def __init__(self, block) -> None:
        self.block = memoryview(block).cast("B")
        if len(self.block) < SIZE:
            raise ValueError(f"a record ring has {SIZE} bytes")

    def read(self, limit: int = 1000) -> list:
        """At most `limit` records, oldest first, as dicts; an empty list when there is none."""
        found = []
        while len(found) < limit:
            item = read_one(self.block)
            if item is None:
                break
            if item:
                found.append(item)
        return found


def read_one(block):
    """One record as a dict; {} for a filler; None when there is none."""
    view: cython.uchar[::1] = block
    ring: cython.pointer(RecordRing) = cast(cython.pointer(RecordRing), address(view[0]))
    tail: uint64_t = ring.tail
    if load_acquire_64(address(ring.head)) == tail:
        return None
    record: cython.pointer(Record) = cast(cython.pointer(Record), ring.data + tail % RECORD_RING_BYTES)
    size: uint32_t = record.size
    item = {}
    if record.kind == RECORD_ACCESS:
        item = access_item(record)
    elif record.kind == RECORD_EVENT:
        texts = texts_of(record)
        item = {"event": EVENTS[record.code], "number": record.number, "detail": texts[4]}
    store_release_64(address(ring.tail), tail + size)
    return item


@cython.cfunc
def texts_of(record: cython.pointer(Record)) -> list:
    lengths = (
        record.client_length,
        record.host_length,
        record.method_length,
        record.target_length,
        record.upstream_length,
        record.agent_length,
        record.referer_length,
        record.cipher_length,
    )
    at: cython.p_char = cast(cython.p_char, record) + sizeof(Record)
    texts = []
    n: cython.int
    for n in lengths:
        texts.append(at[:n].decode("latin-1"))
        at += n
    return texts


@cython.cfunc
def access_item(record: cython.pointer(Record)) -> dict:
    client, host, method, target, upstream, agent, referer, cipher = texts_of(record)
    reason = ""
    if record.reason:
        reason = cast(bytes, reason_name(record.reason)).decode()
    return {
        "time_ns": record.time_ns,
        "client": client,
        "host": host,
        "method": method,
        "target": target,
        "minor": record.minor,
        "status": record.status,
        "bytes": record.bytes,
        "first_byte_us": record.first_byte_us,
        "total_us": record.total_us,
        "upstream": upstream,
        "reason": reason,
        "user_agent": agent,
        "referer": referer,
        "tls": f"1.{record.tls - 10}/{short_cipher(cipher)}" if record.tls else "",
        "ktls": OFFLOADS[record.offload],
    }


def short_cipher(name: str) -> str:
    """Of OpenSSL's name of a suite, the cipher: the rest follows from version and certificate."""
    for kind in ("128", "256"):
        if f"AES_{kind}_GCM" in name or f"AES{kind}-GCM" in name:
            return f"AES{kind}-GCM"
    return "CHACHA20-POLY1305" if "CHACHA20" in name else name


def write_event(block, code: int, number: int, text: bytes) -> bool:
    """For tests: write one event as a worker does. False: the ring is full."""
    view: cython.uchar[::1] = memoryview(block).cast("B")
    ring: cython.pointer(RecordRing) = cast(cython.pointer(RecordRing), address(view[0]))
    length: uint32_t = len(text)
    record: cython.pointer(Record) = record_begin(ring, length)
    if record == NULL:
        return False
    record.kind = RECORD_EVENT
    record.code = code
    record.number = number
    record.upstream_length = length
    if length:
        memcpy(cast(cython.p_char, record) + sizeof(Record), cast(cython.p_char, text), length)
    record_end(ring, record)
    return True
