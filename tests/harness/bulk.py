"""Large bodies: generates, sends, receives and checks them piece by piece."""

import functools
import hashlib
import json
import random
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.upstream import Link, Request
from harness.waiting import DEADLINE

SIZES = {"0B": 0, "1B": 1, "64KiB": 65536, "10MiB": 10 << 20}
GIB = 1 << 30

PIECE = 65536
# A prime number of bytes, so that the checksum shows when pieces of a power of two are swapped or repeated.
_BLOCK = random.Random(7).randbytes(1_048_583)
_TWICE = memoryview(_BLOCK + _BLOCK)


def pieces(size: int, piece: int = PIECE) -> Iterator[memoryview]:
    """Yields a body of `size` bytes, the same in every call."""
    at = 0
    while at < size:
        start = at % len(_BLOCK)
        length = min(piece, size - at, len(_BLOCK))
        yield _TWICE[start : start + length]
        at += length


@functools.cache
def checksum(size: int) -> str:
    """Returns the SHA-256 of that body."""
    return checksum_of(pieces(size, 1 << 20))[1]


def checksum_of(parts: Iterable[bytes | memoryview]) -> tuple[int, str]:
    """Returns size and SHA-256 of these parts."""
    digest = hashlib.sha256()
    size = 0
    for part in parts:
        digest.update(part)
        size += len(part)
    return size, digest.hexdigest()


def send_body(sock: socket.socket, size: int, chunked: bool) -> None:
    """Sends that body, plain (the head has Content-Length) or in chunks of different sizes."""
    if not chunked:
        for part in pieces(size):
            sock.sendall(part)
        return
    sizes = [1, 16, 1000, PIECE, PIECE + 7, 3 * PIECE]
    at = 0
    for number in range(size + 1):
        if at == size:
            break
        length = min(sizes[number % len(sizes)], size - at)
        start = at % len(_BLOCK)
        sock.sendall(b"%x\r\n%b\r\n" % (length, _TWICE[start : start + length]))
        at += length
    sock.sendall(b"0\r\n\r\n")


def write_file(path: Path, size: int) -> Path:
    with path.open("wb") as stream:
        for part in pieces(size, 1 << 20):
            stream.write(part)
    return path


def serve(link: Link) -> None:
    """Serves an Upstream. `GET /length/N`, `/chunked/N` and `/close/N` get N bytes with that framing. Other methods get
    size and checksum of their body."""
    while True:
        request = link.head(seconds=3600)
        if request.method == "GET":
            _send_bulk(link, request)
        else:
            if "expect" in request:
                link.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            size, checksum = checksum_of(_received(link, request))
            body = json.dumps({"size": size, "sha256": checksum, "framing": request.framing}).encode()
            link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _send_bulk(link: Link, request: Request) -> None:
    _, framing, number = request.target.split("/")
    size = int(number)
    field = {
        "length": f"Content-Length: {size}\r\n",
        "chunked": "Transfer-Encoding: chunked\r\n",
        "close": "Connection: close\r\n",
    }[framing]
    link.send(f"HTTP/1.1 200 OK\r\n{field}\r\n".encode())
    link.sock.settimeout(6 * DEADLINE)
    link.or_ended(lambda: send_body(link.sock, size, framing == "chunked"))
    if framing == "close":
        link.close()


def _received(link: Link, request: Request) -> Iterator[bytes]:
    if request.framing == "length":
        left = int(request.one("content-length"))
        while left:
            data = link.some(min(left, PIECE))
            left -= len(data)
            yield data
    elif request.framing == "chunked":
        while size := int(link.line().partition(b";")[0], 16):
            while size:
                data = link.some(min(size, PIECE))
                size -= len(data)
                yield data
            assert link.line() == b""
        while link.line():
            pass
