"""What few clients can take of what all share, and that others are served meanwhile."""

import ssl
import struct

import pytest
from harness.records import Peer

HELLO = b"\x01\0\0\0"  # a ClientHello of no bytes: within a TLS 1.2 connection it asks for renegotiation


def files(folder, certificate, **more):
    (folder / "a").write_bytes(b"x")
    return {
        "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
        "tls": certificate,
        "host_routes": {"*": {"type": "File", "path": folder}},
        **more,
    }


# What OpenSSL writes by itself


def kinds_of(peer: Peer, last: int, count: int) -> list[int]:
    """Types of the records that come, up to the `count`-th of type `last`."""
    found: list[int] = []
    data = b""
    while found.count(last) < count:
        more = peer.sock.recv(65536)
        assert more, f"it ended after {found}"
        data += more
        while len(data) >= 5 and len(data) >= 5 + struct.unpack("!H", data[3:5])[0]:
            found.append(data[0])
            data = data[5 + struct.unpack("!H", data[3:5])[0] :]
    return found


@pytest.mark.parametrize("reads", [False, True], ids=["silent", "reads"])
def test_answers_to_renegotiation_are_bounded(ringway, certificate, tmp_path, reads):
    """Each is refused by an alert of 31 bytes: after some hundred of them without a request the connection ends."""
    server = ringway(files(tmp_path, certificate))
    with Peer(server.listener(tls=True).address, tmp_path, ssl.TLSVersion.TLSv1_2, window=2048) as peer:
        peer.handshake()
        try:
            for _ in range(200):
                peer.raw(peer.craft_12(22, HELLO))
                if reads:
                    kinds_of(peer, 21, 1)
        except (ConnectionError, AssertionError):
            return  # it has ended
        alerts = peer.rest()
        assert len(alerts) < 200 * 31


def test_some_renegotiations_between_requests_are_refused_and_no_more(ringway, certificate, tmp_path):
    server = ringway(files(tmp_path, certificate))
    with Peer(server.listener(tls=True).address, tmp_path, ssl.TLSVersion.TLSv1_2) as peer:
        peer.handshake()
        for _ in range(3):
            peer.raw(b"".join(peer.craft_12(22, HELLO) for _ in range(60)))
            assert kinds_of(peer, 21, 60).count(21) == 60
            peer.raw(peer.craft_12(23, b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n"))
            assert kinds_of(peer, 23, 1) == [23]
