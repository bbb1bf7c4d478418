"""The PROXY protocol's header: read whole, octet by octet and in pieces; written and read again."""

import ipaddress
import struct

import pieces
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringway.engine.http import proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = ("192.0.2.1", 56324, "198.51.100.1", 443)
V6 = ("2001:db8::1", 1, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535)
PORTS = st.integers(0, 65535)
SAME_FAMILY = st.tuples(st.ip_addresses(v=4), PORTS, st.ip_addresses(v=4), PORTS) | st.tuples(
    st.ip_addresses(v=6), PORTS, st.ip_addresses(v=6), PORTS
)


def v2(rest: bytes, command: int = 0x21, family: int = 0x11, tlvs: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest + tlvs)) + rest + tlvs


def packed(source: str, sport: int, destination: str, dport: int) -> bytes:
    ips = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return ips + struct.pack("!HH", sport, dport)


GOOD = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", V4),
    (b"PROXY TCP6 2001:db8::1 2001:DB8:ffff:ffff:ffff:ffff:ffff:ffff 1 65535\r\n", V6),
    (b"PROXY TCP4 192.0.2.1 198.51.100.1 0 0\r\n", ("192.0.2.1", 0, "198.51.100.1", 0)),
    (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", ("192.0.2.1", 1, "::1", 2)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", None),  # 107 in all
    (v2(packed(*V4)), V4),
    (v2(packed(*V4), tlvs=b"\x04\x00\x01x" * 500), V4),
    (v2(packed(*V6), family=0x21), V6),
    (v2(b"\0" * 4080), ("0.0.0.0", 0, "0.0.0.0", 0)),
    (v2(b"", command=0x20, family=0), None),  # LOCAL
    (v2(packed(*V4), command=0x20), None),
    (v2(b"", family=0), None),
    (v2(b"\0" * 216, family=0x31), None),  # a Unix socket
    (v2(packed(*V4), family=0x12), None),  # UDP
]
BAD = [
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\x00",
    b"PROXY\r\n",
    b"PROXY \r\n",
    b"proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
    b"PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1 \r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 host 1 2\r\n",
    b"PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n",
    b"PROXY TCP4\r\n",
    b"PROXY UNKNOWNX\r\n",
    b"PROXY TCP4 192.0.2.1\0 198.51.100.1 1 2\r\n",
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"PROXY " + b"x" * 200,
    SIGNATURE[:11] + b"\r",
    v2(packed(*V4), command=0x11),
    v2(packed(*V4), command=0x22),
    v2(packed(*V4)[:11]),
    v2(packed(*V6)[:35], family=0x21),
    v2(b"\0" * 4081),
]


@pytest.mark.parametrize(("header", "found"), GOOD)
def test_whole_and_with_what_follows(header: bytes, found: tuple | None) -> None:
    assert proxy_header.read(header) == (len(header), found)
    for rest in (b"GET / HTTP/1.1\r\n\r\n", b"\n", b"\0", header):
        assert proxy_header.read(header + rest) == (len(header), found)


@pytest.mark.parametrize(("header", "found"), GOOD)
def test_octet_by_octet(header: bytes, found: tuple | None) -> None:
    for length in range(len(header)):
        assert proxy_header.read(header[:length]) == (0, None), header[:length]


@given(st.sampled_from(GOOD), pieces.CUTS)
def test_in_pieces(good: tuple, cuts: list[int]) -> None:
    header, found = good
    data = b""
    for piece in pieces.split(header, cuts):
        data += piece
        assert proxy_header.read(data) == ((len(header), found) if data == header else (0, None))


@pytest.mark.parametrize("header", BAD)
def test_malformed(header: bytes) -> None:
    assert proxy_header.read(header) == (-1, None)


@pytest.mark.parametrize("header", BAD)
def test_malformed_octet_by_octet(header: bytes) -> None:
    """Once it is malformed it stays so, and it never was good."""
    results = [proxy_header.read(header[: length + 1])[0] for length in range(len(header))]
    assert set(results) <= {0, -1}
    assert sorted(results, reverse=True) == results
    assert results[-1] == -1


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda data: SIGNATURE + b"\x21\x11" + data))
def test_whatever_comes(data: bytes) -> None:
    found, _ = proxy_header.read(data)
    assert found <= len(data)


@given(SAME_FAMILY)
@pytest.mark.parametrize("version", [1, 2])
def test_written_is_read(version: int, ends: tuple) -> None:
    wanted = tuple(str(getattr(end, "ipv4_mapped", None) or end) if not isinstance(end, int) else end for end in ends)
    header = proxy_header.write(version, tuple(str(end) if not isinstance(end, int) else end for end in ends))
    length, (source, sport, destination, dport) = proxy_header.read(header)
    assert length == len(header)
    assert (ipaddress.ip_address(source), sport) == (ipaddress.ip_address(wanted[0]), wanted[1])
    assert (ipaddress.ip_address(destination), dport) == (ipaddress.ip_address(wanted[2]), wanted[3])


def test_written_as_specified() -> None:
    assert proxy_header.write(1, V4) == GOOD[0][0]
    assert proxy_header.write(2, V4) == v2(packed(*V4))
    assert proxy_header.write(2, V6) == v2(packed(*V6), family=0x21)
    assert proxy_header.write(1, None) == b"PROXY UNKNOWN\r\n"
    assert proxy_header.write(2, None) == v2(b"", family=0)


def test_two_families_become_ipv6() -> None:
    mixed = ("192.0.2.1", 1, "2001:db8::1", 2)
    assert proxy_header.write(1, mixed) == b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n"
    assert proxy_header.write(2, mixed) == v2(packed("::ffff:192.0.2.1", 1, "2001:db8::1", 2), family=0x21)
