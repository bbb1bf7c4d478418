"""Records: a ring in shared memory with one writer and one reader."""

import mmap
import re
import struct
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringway.engine.base.records import EVENTS, SIZE, Reader, write_event

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
