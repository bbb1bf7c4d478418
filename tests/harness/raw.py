"""A client that sends exact bytes and reads responses byte for byte."""

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from harness.waiting import DEADLINE

Fields = list[tuple[str, str]]


class Ended(Exception):
    """The peer ended the connection when more data was expected."""


def parse_fields(lines: Sequence[bytes]) -> Fields:
    """Returns the fields in order, with names in lower case and values without surrounding whitespace."""
    found = []
    for line in lines:
        name, colon, value = line.partition(b":")
        assert (bool(name), colon, name.strip()) == (True, b":", name), f"no header field: {line!r}"
        found.append((name.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1")))
    return found


def message(start: str, *fields: str, body: bytes = b"") -> bytes:
    """Returns the bytes of a message: first line, field lines, body."""
    return "\r\n".join([start, *fields, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes, trailers: str = "") -> bytes:
    """Returns a body in the chunked coding (RFC 9112 7.1)."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + f"0\r\n{trailers}\r\n".encode(
        "latin-1"
    )


class Message:
    """The common part of requests and responses."""

    fields: Fields
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for own, value in self.fields if own == name.lower()]

    def one(self, name: str) -> str:
        """Returns the value of a field that must appear exactly once."""
        values = self.all(name)
        assert len(values) == 1, f"{name} appears {len(values)} times in {self.fields}"
        return values[0]

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))


def own_reason(status: int, body: bytes) -> str:
    """Returns the reason in the body of Ringway's own response, at the beginning of its second line."""
    lines = body.decode("latin-1").split("\n")
    assert lines[0].startswith(f"{status} "), f"not a response of Ringway's own: {status} {body[:300]!r}"
    return lines[1].partition(":")[0]


@dataclass
class Response(Message):
    """One response. `framing`: what determined its end (none, length, chunked or close)."""

    version: str
    status: int
    phrase: str
    fields: Fields
    framing: str
    head: bytes
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: Fields = field(default_factory=list)

    @property
    def reason(self) -> str:
        """The reason in the body of Ringway's own response."""
        return own_reason(self.status, self.body)

    @property
    def keeps(self) -> bool:
        """Whether the connection persists (RFC 9112 9.3)."""
        options = ",".join(self.all("connection")).lower().replace(" ", "").split(",")
        if "close" in options or self.framing == "close":
            return False
        return self.version == "HTTP/1.1" or "keep-alive" in options


class Reader:
    """Reads from a socket, with one deadline for each call."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        """Everything that was received, including what was not read yet."""
        self._at = 0

    @property
    def rest(self) -> bytes:
        """What was received but not read yet."""
        return self.received[self._at :]

    def more(self, end: float) -> bool:
        """Waits for more bytes. False: the peer has ended the connection."""
        left = end - time.monotonic()
        if left <= 0:
            raise AssertionError(f"received nothing more in time; unread so far: {self.rest[-300:]!r}")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            raise AssertionError(f"received nothing more in time; unread so far: {self.rest[-300:]!r}") from None
        except ssl.SSLZeroReturnError:  # close_notify, after this side's
            data = b""
        self.received += data
        return bool(data)

    def need(self, end: float) -> None:
        if not self.more(end):
            raise Ended(f"the connection ended; unread so far: {self.rest[-300:]!r}")

    def line(self, end: float) -> bytes:
        """Reads a line and returns it without CR LF. A bare CR or LF in it fails the test."""
        while (at := self.received.find(b"\r\n", self._at)) < 0:
            self.need(end)
        found = self.received[self._at : at]
        self._at = at + 2
        assert not set(b"\r\n") & set(found), f"bare CR or LF in {found!r}"
        return found

    def exactly(self, count: int, end: float) -> bytes:
        parts = [self.received[self._at : self._at + count]]
        have = len(parts[0])
        self._at += have
        # Join the pieces of a large body only once.
        while have < count:
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"received only {have} of {count} bytes in time")
            self.sock.settimeout(left)
            data = self.sock.recv(min(count - have, 1 << 20))
            if not data:
                raise Ended(f"the connection ended after {have} of {count} bytes")
            parts.append(data)
            have += len(data)
        if len(parts) > 1:
            self.received += b"".join(parts[1:])
            self._at = len(self.received)
        return b"".join(parts)

    def some(self, most: int, end: float) -> bytes:
        """Returns one to `most` bytes, and forgets everything that was read."""
        if not self.rest:
            self.received, self._at = b"", 0
            self.sock.settimeout(max(0.001, end - time.monotonic()))
            data = self.sock.recv(most)
            if not data:
                raise Ended("the connection ended")
            return data
        found = self.received[self._at : self._at + most]
        self._at += len(found)
        return found

    def passing_line(self, end: float) -> bytes:
        """Reads a line, and forgets everything that was read before."""
        self.received, self._at = self.rest, 0
        return self.line(end)

    def lines(self, end: float) -> list[bytes]:
        """Reads lines up to the empty line."""
        found = []
        while line := self.line(end):
            found.append(line)
        return found

    def chunked(self, end: float) -> tuple[list[bytes], Fields]:
        """Reads a chunked body and returns chunks and trailers (RFC 9112 7.1)."""
        chunks = []
        while True:
            size = int(self.line(end).partition(b";")[0], 16)
            if size == 0:
                return chunks, parse_fields(self.lines(end))
            chunks.append(self.exactly(size, end))
            assert self.exactly(2, end) == b"\r\n", "a chunk does not end with CR LF"

    def to_end(self, end: float) -> bytes:
        while self.more(end):
            pass
        found = self.rest
        self._at = len(self.received)
        return found


class Client:
    """A connection to Ringway. `address`: a host and port, or the path of a Unix socket. `window`: size of the receive
    buffer. `source`: its own address."""

    def __init__(
        self,
        address: tuple[str, int] | str,
        tls: bool = False,
        window: int | None = None,
        source: str | None = None,
        context: ssl.SSLContext | None = None,
        host: str = "localhost",
    ) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else family, socket.SOCK_STREAM)
        try:
            if window is not None:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            if source is not None:
                self.sock.bind((source, 0))
            self.sock.settimeout(DEADLINE)
            self.sock.connect(address)
            if not isinstance(address, str):
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                # An end without close_notify is an error, because an attacker can cause it.
                self.sock = (context or any_certificate()).wrap_socket(
                    self.sock, server_hostname=host, suppress_ragged_eofs=False
                )
        except BaseException:
            self.sock.close()
            raise
        self.reader = Reader(self.sock)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def own_address(self) -> tuple[str, int]:
        host, port = self.sock.getsockname()[:2]
        return host, port

    # Sending

    def send(self, data: bytes) -> None:
        self.sock.settimeout(DEADLINE)
        self.sock.sendall(data)

    def send_pieces(self, data: bytes, size: int = 1) -> None:
        """Sends each piece in its own segment, as far as the kernel allows."""
        for at in range(0, len(data), size):
            self.send(data[at : at + size])

    def drip(self, data: bytes, seconds: float, every: float = 0.02) -> int:
        """Sends a byte at a time until the peer sends something or ends. Returns how many it sent. Fails if that takes
        longer than `seconds`, or if `data` does not suffice."""
        end = time.monotonic() + seconds
        sent = 0
        while not select.select([self.sock], [], [], every)[0]:
            assert time.monotonic() < end, "the peer tolerated a byte at a time for too long"
            assert sent < len(data), "the data did not suffice"
            if not self.try_send(data[sent : sent + 1]):
                break
            sent += 1
        return sent

    def pour(self, data: bytes, seconds: float = DEADLINE) -> int:
        """Sends as much as the peer receives, until it sends something or ends. Returns how much it sent."""
        end = time.monotonic() + seconds
        sent = 0
        self.sock.setblocking(False)
        while sent < len(data):
            readable, writable, _ = select.select([self.sock], [self.sock], [], max(0.0, end - time.monotonic()))
            assert readable or writable, "the peer neither receives nor sends anything"
            if readable:
                break
            try:
                sent += self.sock.send(data[sent : sent + 65536])
            except BlockingIOError:
                continue
            except ConnectionError:
                break
        return sent

    def try_send(self, data: bytes) -> bool:
        """Sends data. False: the peer has closed the connection."""
        try:
            self.send(data)
        except (ConnectionError, ssl.SSLError):
            return False
        return True

    def finish(self) -> None:
        """Sends FIN. Reading is still possible."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Closes the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()

    # Receiving

    def response(self, method: str = "GET", seconds: float = DEADLINE) -> Response:
        """Reads the next response, which can be interim (1xx). `method`: the method of the request, which decides
        whether there is a body."""
        end = time.monotonic() + seconds
        response = self.response_head(seconds)
        # RFC 9112 6.3
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            response.framing = "none"
        elif "transfer-encoding" in response:
            assert response.one("transfer-encoding") == "chunked"
            assert "content-length" not in response
            response.framing = "chunked"
            response.chunks, response.trailers = self.reader.chunked(end)
            response.body = b"".join(response.chunks)
        elif "content-length" in response:
            response.framing = "length"
            response.body = self.reader.exactly(int(response.one("content-length")), end)
        else:
            response.framing = "close"
            response.body = self.reader.to_end(end)
        return response

    def response_head(self, seconds: float = DEADLINE) -> Response:
        """Reads the next head, and nothing after it."""
        end = time.monotonic() + seconds
        start, *lines = self.reader.lines(end)
        version, status, phrase = start.decode("latin-1").split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), start
        head = b"\r\n".join([start, *lines, b"", b""])
        return Response(version, int(status), phrase, parse_fields(lines), "", head)

    def exactly(self, count: int, seconds: float = DEADLINE) -> bytes:
        return self.reader.exactly(count, time.monotonic() + seconds)

    def to_end(self, seconds: float = DEADLINE) -> bytes:
        """Returns everything until the peer ends the connection with FIN."""
        return self.reader.to_end(time.monotonic() + seconds)

    def assert_ended(self, seconds: float = DEADLINE) -> None:
        """Asserts that the peer ends the connection (FIN or RST) and sends nothing more."""
        try:
            rest = self.to_end(seconds)
        except (ConnectionError, ssl.SSLError):
            rest = self.reader.rest
        assert rest == b"", f"received more before the end: {rest[:300]!r}"

    def assert_broken(self, seconds: float = DEADLINE) -> bytes:
        """Asserts that the peer aborts the connection (RST), so that its data does not count as complete. Returns what
        was received before."""
        try:
            rest = self.to_end(seconds)
        except (ConnectionResetError, ssl.SSLEOFError):
            return self.reader.rest
        raise AssertionError(f"the connection ended with FIN, after {rest[-300:]!r}")

    def get(
        self, target: str = "/", *fields: str, method: str = "GET", body: bytes = b"", host: str = "localhost"
    ) -> Response:
        """Sends a request with Host and these fields, and reads its response."""
        self.send(message(f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, body=body))
        return self.response(method)


def any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context
