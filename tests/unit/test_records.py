"""Records: a ring in shared memory with one writer and one reader."""

import mmap
import re
import struct
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringway.engine.base.records import EVENTS, SIZE, BrokenRing, Reader, write_event

PXD = (Path(__file__).parents[2] / "src/ringway/engine/base/records.pxd").read_text(encoding="utf-8")
RING = int(re.search(r"RECORD_RING_BYTES = (\d+)", PXD)[1])
LONGEST = 60_000  # a text's length has 16 bits


@pytest.fixture
def block():
    with mmap.mmap(-1, SIZE) as shared:
        yield shared


def events(found: list[dict]) -> list[tuple[str, int, str]]:
    return [(item["event"], item["number"], item["detail"]) for item in found]


def test_events_stand_in_the_order_of_the_enum() -> None:
    source = PXD.split("cdef enum EventCode:")[1].split("cdef struct")[0]
    names = re.findall(r"^    EVENT_(\w+)", source, re.M)
    assert names[0] == "NONE"
    assert ("", *(name.lower() for name in names[1:])) == EVENTS


def test_nothing_there(block) -> None:
    assert Reader(block).read() == []


def test_first_in_first_out(block) -> None:
    for number in range(5):
        assert write_event(block, 3, -number, b"http://h:%d" % number)
    assert events(Reader(block).read()) == [("connect_failed", -n, f"http://h:{n}") for n in range(5)]
    assert Reader(block).read() == []


def test_no_more_than_asked_for(block) -> None:
    for number in range(5):
        write_event(block, 1, number, b"")
    reader = Reader(block)
    assert [item["number"] for item in reader.read(2)] == [0, 1]
    assert [item["number"] for item in reader.read(2)] == [2, 3]
    assert [item["number"] for item in reader.read(2)] == [4]


def test_octets_above_ascii_survive(block) -> None:
    write_event(block, 3, 0, bytes(range(256)))
    assert Reader(block).read()[0]["detail"].encode("latin-1") == bytes(range(256))


def test_full_is_told_and_nothing_is_overwritten(block) -> None:
    written = 0
    while write_event(block, 2, written, b"x" * 1000):
        written += 1
    assert written > RING // 1200
    assert not write_event(block, 2, written, b"x" * 1000)
    found = Reader(block).read(written + 1)
    assert [item["number"] for item in found] == list(range(written))
    assert write_event(block, 2, 7, b"x" * 1000)
    assert [item["number"] for item in Reader(block).read()] == [7]


def test_place_for_one_after_one_was_read(block) -> None:
    """Once round the ring, record by record, with the ring full all the time."""
    number = 0
    while write_event(block, 2, number, b"y" * 5000):
        number += 1
    reader, oldest = Reader(block), 0
    for _ in range(3 * number):
        # At the end of the ring its rest is filled up, so not every record that goes makes place for one.
        found = reader.read(1)
        assert [item["number"] for item in found] == [oldest]
        oldest += 1
        if write_event(block, 2, number, b"y" * 5000):
            number += 1
    assert [item["number"] for item in reader.read(10**6)] == list(range(oldest, number))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, LONGEST), st.integers(0, 40)), min_size=1, max_size=400))
def test_as_a_queue(steps: list[tuple[int, int]]) -> None:
    """Against a queue of Python: what was written comes out in order, whole, or was refused."""
    block = bytearray(SIZE)
    reader, wanted, number = Reader(block), deque(), 0
    for length, reads in steps:
        text = bytes([number % 256]) * length
        if write_event(block, 1, number, text):
            wanted.append((number, text))
            number += 1
        else:
            assert wanted, "refused by an empty ring"
        for item in reader.read(reads):
            assert (item["number"], item["detail"].encode("latin-1")) == wanted.popleft()
    for item in reader.read(10**6):
        assert (item["number"], item["detail"].encode("latin-1")) == wanted.popleft()
    assert not wanted


@pytest.mark.parametrize("left", [8, 16, 64, 80, 88, 96, 104, 200])
def test_the_end_of_the_ring(left: int) -> None:
    """A record never lies across the end, however little is left there."""
    block = bytearray(SIZE)
    # head and tail lie on cache lines of their own in front of the data.
    struct.pack_into("Q", block, 0, 5 * RING - left)
    struct.pack_into("Q", block, 64, 5 * RING - left)
    reader = Reader(block)
    for number in range(3):
        assert write_event(block, 1, number, b"abc")
    assert [(item["number"], item["detail"]) for item in reader.read()] == [(n, "abc") for n in range(3)]
    assert reader.read() == []


def test_a_block_that_is_too_small() -> None:
    with pytest.raises(ValueError, match="bytes"):
        Reader(bytearray(SIZE - 1))


# A worker that somebody else has taken over

HEAD = struct.Struct("@IBBHBBHi8HBqQQQ")


def record(
    size=None, kind=1, reason=0, tls=0, code=0, texts=(b"",) * 8, offload=0, time_ns=1, status=200, total_us=0
) -> bytes:
    text = b"".join(texts)
    whole = (HEAD.size + len(text) + 7) // 8 * 8
    lengths = map(len, texts)
    size = whole if size is None else size
    head = HEAD.pack(size, kind, 1, status, reason, tls, code, 0, *lengths, offload, time_ns, 0, 0, total_us)
    return (head + text).ljust(whole)


def lies(block, data: bytes, head: int | None = None, at: int = 0) -> Reader:
    block[128 + at % RING : 128 + at % RING + len(data)] = data
    struct.pack_into("Q", block, 64, at)
    reader = Reader(block)
    struct.pack_into("Q", block, 0, at + len(data) if head is None else head)
    return reader


def test_a_record_that_a_worker_might_have_written(block) -> None:
    texts = (b"192.0.2.1", b"a", b"GET", b"/", b"", b"", b"", b"TLS_AES_128_GCM_SHA256")
    (found,) = lies(block, record(tls=13, texts=texts)).read()
    assert (found["client"], found["tls"]) == ("192.0.2.1", "1.3/AES128-GCM")


def test_a_tunnel_of_a_day(block) -> None:
    """Microseconds need more than 32 bits."""
    (found,) = lies(block, record(total_us=86_400_000_000)).read()
    assert found["total_us"] == 86_400_000_000


BROKEN = {
    "size 0": record(size=0),
    "odd size": record(size=HEAD.size + 4),
    "behind the head": record(size=2 * HEAD.size),
    "behind the ring": record(size=2**32 - 8),
    "shorter than a head": record(size=8),
    "texts longer than the record": record(size=HEAD.size, texts=(b"x" * 64, *(b"",) * 7)),
    "filler of the whole ring": struct.pack("=IB", RING, 0).ljust(HEAD.size),
    "short filler": struct.pack("=IB", 8, 0).ljust(HEAD.size),
    "kind": record(kind=3),
    "event 0": record(kind=2),
    "event": record(kind=2, code=len(EVENTS)),
    "reason": record(reason=255),
    "tls": record(tls=9),
    "cipher": record(tls=13, texts=(*(b"",) * 7, b"x\n2026 forged")),
    "offload": record(offload=4),
    "status": record(status=1000),
    "time": record(time_ns=-1),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_no_worker_writes_is_refused(block, data: bytes) -> None:
    reader = lies(block, data)
    for _ in range(2):
        with pytest.raises(BrokenRing):
            reader.read()


@pytest.mark.parametrize("head", [8 * RING, 2**64 - 64, 4, HEAD.size - 8])
def test_a_head_that_is_nowhere(block, head: int) -> None:
    with pytest.raises(BrokenRing):
        lies(block, record(), head).read()


def test_the_end_of_the_ring_is_not_passed(block) -> None:
    """Neither by a record nor by the look at its head."""
    with pytest.raises(BrokenRing):
        lies(block, struct.pack("=IB", 64, 2).ljust(8), 5 * RING + 64, 5 * RING - 8).read()
    long = record(texts=(b"x" * 64, *(b"",) * 7))
    place = 5 * RING - HEAD.size
    with pytest.raises(BrokenRing):
        lies(block, long[: HEAD.size], place + len(long), place).read()


def test_what_came_before_is_returned(block) -> None:
    reader = lies(block, record() + record(size=0))
    assert len(reader.read()) == 1
    with pytest.raises(BrokenRing):
        reader.read()


def test_where_the_reader_is_only_the_reader_knows(block) -> None:
    reader = lies(block, record() * 2)
    assert len(reader.read(1)) == 1
    struct.pack_into("Q", block, 64, 8)
    assert len(reader.read()) == 1
