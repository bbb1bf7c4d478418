"""Sessions of random frames: whatever comes, nothing is left open and other clients are served."""

import contextlib
import random
import socket
import struct

import hpack
import pytest
from harness.h2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    head,
    settings_frame,
)

SESSIONS = 25
WINDOWS = [1, 100, 65535, 1 << 20]


def a_head(dice: random.Random, encoder: hpack.Encoder) -> bytes:
    host, path = dice.choice(
        [("files", "/a.txt"), ("memory", "/a.txt"), ("files", "/none"), ("proxied", "/x"), ("", "/")]
    )
    fields = [("range", f"bytes={dice.randrange(9)}-{dice.randrange(99)}")] if dice.random() < 0.3 else []
    if dice.random() < 0.2:
        fields.append(("content-length", str(dice.randrange(50))))
    if dice.random() < 0.05:
        fields.append((":late", "x"))
    return encoder.encode(head(dice.choice(["GET", "POST", "HEAD"]), path, host, *fields))


def a_step(dice: random.Random, encoder: hpack.Encoder, ids: list[int]) -> bytes:
    kind, id = dice.random(), dice.choice(ids[-20:])
    end = END_STREAM if dice.random() < 0.6 else 0
    if kind < 0.35:
        id = ids[-1]
        ids.append(id + 2)
        block = a_head(dice, encoder)
        if dice.random() < 0.15:
            return frame(HEADERS, end, id, block[:3]) + frame(CONTINUATION, END_HEADERS, id, block[3:])
        return frame(HEADERS, end | END_HEADERS, id, block)
    if kind < 0.6:
        return frame(DATA, dice.choice([0, 0, END_STREAM]), id, dice.randbytes(dice.choice([0, 1, 500, 5000, 16000])))
    if kind < 0.75:
        return frame(WINDOW_UPDATE, 0, dice.choice([0, id]), struct.pack(">I", dice.choice(WINDOWS)))
    if kind < 0.85:
        return frame(RST_STREAM, 0, id, struct.pack(">I", dice.randrange(14)))
    if kind < 0.9:
        return frame(PING, dice.choice([0, 1]), 0, b"12345678")
    if kind < 0.93:
        return frame(HEADERS, END_STREAM | END_HEADERS, id, encoder.encode([("x-trailer", "y")]))
    if kind < 0.96:
        return settings_frame({4: dice.choice([0, 10, 65535, 1 << 20])})
    return frame(
        dice.randrange(20), dice.randrange(256), dice.choice([0, id, 1 << 20]), dice.randbytes(dice.randrange(30))
    )


def session(dice: random.Random, address: tuple[str, int]) -> None:
    """Sends one session in pieces, reads now and then, and leaves in one of several ways."""
    encoder, ids = hpack.Encoder(), [1]
    octets = PREFACE + settings_frame({4: dice.choice([0, 100, 65535])})
    octets += frame(SETTINGS, 1) if dice.random() < 0.8 else b""
    octets += b"".join(a_step(dice, encoder, ids) for _ in range(dice.randrange(1, 60)))
    with socket.create_connection(address) as sock, contextlib.suppress(OSError):
        sock.settimeout(0.02)
        while octets:
            size = dice.choice([1, 9, 50, 1000, 20000])
            sock.sendall(octets[:size])
            octets = octets[size:]
            if dice.random() < 0.3:
                with contextlib.suppress(TimeoutError):
                    sock.recv(65536)
        if dice.random() < 0.3:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("seed", range(4))
def test_random_sessions(h2_site, seed):
    dice = random.Random(seed)
    h2_site.server.expected.append("closed a connection with HTTP/2, because the client wasted work")
    h2_site.upstream.on(lambda link, request: None, "/x")
    for _ in range(SESSIONS):
        session(dice, h2_site.server.address)
        with h2_site.http2() as client:
            assert client.get("/a.txt", host="files").body == b"a file\n"
