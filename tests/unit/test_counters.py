"""Counters: their names, and how a block of them is read."""

import re
import struct
from pathlib import Path

import pytest

from ringway.engine.base import counters

PXD = Path(__file__).parents[2] / "src/ringway/engine/base/counters.pxd"


def test_names_stand_in_the_order_of_the_enum() -> None:
    source = PXD.read_text(encoding="utf-8").split("cdef enum Counter:")[1].split("cdef struct")[0]
    names = re.findall(r"^    (?:GAUGE|COUNT)_(\w+)", source, re.M)
    names.remove("COUNT")  # GAUGE_COUNT is a number of gauges
    assert [name.lower() for name in names] == counters.NAMES


def test_gauges_come_first() -> None:
    assert counters.NAMES[: len(counters.GAUGES)] == counters.GAUGES
    assert counters.GAUGES[0] == "clients"
    assert "accepted" not in counters.GAUGES


def test_read() -> None:
    numbers = [*range(len(counters.NAMES) - 1), -3]
    block = bytearray(struct.pack(f"{len(numbers)}q", *numbers) + bytes(100))
    assert list(counters.read(block).items()) == list(zip(counters.NAMES, numbers, strict=True))


def test_a_block_that_is_too_small() -> None:
    with pytest.raises(struct.error):
        counters.read(bytearray(counters.SIZE - 1))
