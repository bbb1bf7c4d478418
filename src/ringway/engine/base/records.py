"""Access records: a worker writes them, the supervisor reads them."""

import re

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
    "address_failed",
    "http2_blamed",
    "gave_way",
)
SUITE = re.compile("[A-Za-z0-9_-]*")  # the name of a cipher suite: the log writes it without escaping
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
        # A record never wraps. `size` and `kind` always fit: the size of each record is a multiple of 8.
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


class BrokenRing(ValueError):
    """The ring holds something that a correct worker does not write. The message says what."""


class Reader:
    """Reads one worker's ring. `block` is the shared memory (a writable buffer of SIZE bytes).

    The reader does not trust the worker, which can write anything, anywhere, at any time. The reader reads nothing
    outside the ring, copies each record's head before it checks it, and remembers itself where the next record begins.
    """

    def __init__(self, block) -> None:
        self.block = memoryview(block).cast("B")
        if len(self.block) < SIZE:
            raise ValueError(f"a record ring has {SIZE} bytes")
        self.tail = tail_of(self.block)
        self.broken = ""

    def read(self, limit: int = 1000) -> list:
        """Returns at most `limit` records as dicts, oldest first; an empty list if there is none. After an invalid
        record it first returns the valid ones before it, then raises BrokenRing on every call."""
        found = []
        while len(found) < limit and not self.broken:
            try:
                item, self.tail = read_one(self.block, self.tail)
            except BrokenRing as error:
                self.broken = str(error)
                break
            if item is None:
                break
            if item:
                found.append(item)
        if self.broken and not found:
            raise BrokenRing(self.broken)
        return found


@cython.cfunc
def ring_in(block) -> cython.pointer(RecordRing):
    view: cython.uchar[::1] = block
    return cast(cython.pointer(RecordRing), address(view[0]))


def tail_of(block) -> int:
    return ring_in(block).tail


def read_one(block, at: int) -> tuple:
    """Returns the record at `at` as a dict, and where the next one begins. {}: a filler; None: no record.
    Raises BrokenRing."""
    ring: cython.pointer(RecordRing) = ring_in(block)
    tail: uint64_t = at
    there: uint64_t = load_acquire_64(address(ring.head)) - tail
    place: uint32_t = cast(uint32_t, tail % RECORD_RING_BYTES)
    rest: uint32_t = RECORD_RING_BYTES - place
    record: Record
    if there == 0:
        return None, at
    if there > RECORD_RING_BYTES or there % 8:
        raise BrokenRing("the ring's head is not at the end of a record")
    # A filler can be shorter than a record's head. The worker cannot change this copy.
    memset(address(record), 0, sizeof(Record))
    memcpy(address(record), ring.data + place, min(cast(uint32_t, sizeof(Record)), rest))
    if record.size == 0 or record.size % 8 or record.size > min(there, cast(uint64_t, rest)):
        raise BrokenRing(f"a record of {record.size} bytes")
    if record.kind == RECORD_SKIP:
        if place == 0 or record.size != rest:
            raise BrokenRing("a filler that does not end at the end of the ring")
        item = {}
    else:
        item = item_of(record, ring.data + place + sizeof(Record))
    store_release_64(address(ring.tail), tail + record.size)
    return item, tail + record.size


@cython.cfunc
def item_of(record: Record, texts: cython.p_char) -> dict:
    """`texts` follow the record's head in the ring. Raises BrokenRing."""
    length: cython.int
    total: cython.int = sum([length for length in lengths_of(record)])
    if record.size < sizeof(Record) or cast(cython.int, record.size - sizeof(Record)) < total:
        raise BrokenRing(f"a record of {record.size} bytes with {total} bytes of text")
    if record.kind == RECORD_EVENT:
        if not 0 < record.code < len(EVENTS):
            raise BrokenRing(f"an event with the unknown number {record.code}")
        return {"event": EVENTS[record.code], "number": record.number, "detail": texts_of(record, texts)[4]}
    if record.kind != RECORD_ACCESS:
        raise BrokenRing(f"a record of the unknown kind {record.kind}")
    return access_item(record, texts)


@cython.cfunc
def lengths_of(record: Record) -> tuple:
    return (
        record.client_length,
        record.host_length,
        record.method_length,
        record.target_length,
        record.upstream_length,
        record.agent_length,
        record.referer_length,
        record.cipher_length,
    )


@cython.cfunc
def texts_of(record: Record, at: cython.p_char) -> list:
    texts = []
    n: cython.int
    for n in lengths_of(record):
        texts.append(at[:n].decode("latin-1"))
        at += n
    return texts


@cython.cfunc
def access_item(record: Record, at: cython.p_char) -> dict:
    client, host, method, target, upstream, agent, referer, cipher = texts_of(record, at)
    reason = ""
    if (
        record.reason >= REASON_COUNT
        or record.offload >= len(OFFLOADS)
        or record.status > 999
        or record.minor > HTTP2_MINOR
    ):
        raise BrokenRing("an access record with an invalid reason, status or version")
    if record.tls not in (0, 12, 13) or not SUITE.fullmatch(cipher):
        raise BrokenRing("an access record with an invalid TLS version or cipher")
    if record.time_ns < 0:
        raise BrokenRing("an access record with a time before 1970")
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
    """The cipher in OpenSSL's name of a suite. The rest follows from version and certificate."""
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
