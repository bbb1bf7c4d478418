"""The table of upstream addresses: one writer, many readers, no lock."""

import mmap
import struct
import subprocess
import sys
import time

import pytest

from ringway.engine.plan import addresses

TWO = [("192.0.2.1", 80), ("2001:db8::1", 8080)]
MOST = 16


@pytest.fixture
def table():
    return bytearray(addresses.size(3))


def test_a_fresh_table_has_no_address(table) -> None:
    assert addresses.read(table, 0) == []
    assert addresses.pick(table, 0, 0) == (None, 0, 0)


def test_there_is_a_table_without_upstreams_too() -> None:
    assert addresses.size(0) > 0


def test_written_and_read(table) -> None:
    addresses.write(table, 1, TWO)
    assert addresses.read(table, 0) == []
    assert addresses.read(table, 1) == TWO
    assert addresses.read(table, 2) == []


def test_picked_in_turn(table) -> None:
    addresses.write(table, 1, TWO)
    assert [addresses.pick(table, 1, turn) for turn in range(4)] == 2 * [(*TWO[0], 2), (*TWO[1], 2)]


@pytest.mark.parametrize("port", [1, 255, 256, 8080, 65535])
@pytest.mark.parametrize("ip", ["127.0.0.1", "255.255.255.255", "::1", "fe80::1:2:3:4", "fe80::1%4294967295"])
def test_family_and_port_as_the_kernel_wants_them(table, ip: str, port: int) -> None:
    addresses.write(table, 2, [(ip, port)])
    assert addresses.pick(table, 2, 7) == (ip, port, 1)


def test_fewer_than_before_and_none(table) -> None:
    addresses.write(table, 0, TWO)
    addresses.write(table, 0, TWO[1:])
    assert addresses.read(table, 0) == TWO[1:]
    addresses.write(table, 0, [])
    assert addresses.pick(table, 0, 0) == (None, 0, 0)


def test_no_more_than_there_is_room_for(table) -> None:
    many = [(f"192.0.2.{i}", i) for i in range(1, 40)]
    addresses.write(table, 0, many)
    assert addresses.read(table, 0) == many[:MOST]
    assert addresses.read(table, 1) == []


@pytest.mark.parametrize("index", [-1, 3, 1000])
def test_an_upstream_that_is_not_there(table, index: int) -> None:
    with pytest.raises(IndexError):
        addresses.write(table, index, TWO)
    with pytest.raises(IndexError):
        addresses.read(table, index)


def test_what_is_no_address_changes_nothing(table) -> None:
    addresses.write(table, 0, TWO)
    with pytest.raises(ValueError, match="does not appear"):
        addresses.write(table, 0, [("example.com", 80)])
    assert addresses.read(table, 0) == TWO


def test_a_writer_that_died_half_way(table) -> None:
    """Its successor's write makes the entry whole again; until then there is no address, and no endless wait."""
    addresses.write(table, 0, TWO)
    (version,) = struct.unpack_from("I", table)
    assert version % 2 == 0
    struct.pack_into("I", table, 0, version + 1)
    assert addresses.pick(table, 0, 0) == (None, 0, 0)
    addresses.write(table, 0, TWO)
    assert addresses.pick(table, 0, 0) == (*TWO[0], 2)
    assert struct.unpack_from("I", table)[0] % 2 == 0


WRITER = """
import itertools, mmap, sys
from ringway.engine.plan import addresses
with mmap.mmap(int(sys.argv[1]), 0) as table:
    for n in itertools.count():
        # All octets of an address and its port say the same.
        d = n % 250 + 1
        addresses.write(table, 0, [(f"{d}.{d}.{d}.{d}", d * 257)] * (n % 16 + 1))
"""


def test_a_reader_never_sees_half_of_a_write(tmp_path) -> None:
    with open(tmp_path / "table", "w+b") as file:
        file.truncate(addresses.size(1))
        with mmap.mmap(file.fileno(), 0) as table:
            writer = subprocess.Popen([sys.executable, "-c", WRITER, str(file.fileno())], pass_fds=[file.fileno()])
            try:
                until = time.monotonic() + 10
                while addresses.read(table, 0) == [] and writer.poll() is None and time.monotonic() < until:
                    pass
                seen = set()
                for turn in range(100_000):
                    ip, port, _ = addresses.pick(table, 0, turn)
                    if ip is None:
                        continue  # a thousand looks in a row met a write: the writer was stopped half way
                    octets = {int(octet) for octet in ip.split(".")}
                    assert octets == {port // 257}
                    seen |= octets
                assert writer.poll() is None
                assert len(seen) > 1
            finally:
                writer.kill()
                writer.wait()
