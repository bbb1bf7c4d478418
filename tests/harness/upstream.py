"""An upstream that answers exact bytes and records what it receives.

    with Upstream() as upstream:
        target = upstream.on(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")    # a new target with this answer
        target = upstream.on(lambda link, request: ...)                # or a function that answers
    with Upstream(serve=lambda link: ...) as upstream:                 # or a function that serves whole connections
    with Upstream(context=authority.serves("localhost")) as upstream:  # with TLS, see `harness.authority`

Every connection has a thread. When a function returns, the connection stays open for the next request, unless the
function closed it. `Ended` (the peer closed the connection) ends it; any other exception fails the test.
"""

import contextlib
import itertools
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from harness.raw import Ended, Fields, Message, Reader, parse_fields
from harness.waiting import DEADLINE, Found, Journal

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@dataclass
class Request(Message):
    """One request as the upstream got it."""

    method: str
    target: str
    version: str
    fields: Fields
    head: bytes
    link: "Link"
    body: bytes = b""
    framing: str = "none"
    trailers: Fields | None = None


class Link:
    """One connection, on the side of the upstream."""

    def __init__(self, upstream: "Upstream", sock: socket.socket, number: int) -> None:
        self.upstream = upstream
        self.sock = sock
        self.number = number
        """From 0, in the order of accept()."""
        self.reader = Reader(sock)
        self.requests: list[Request] = []
        self.closed = False
        self.resumed: bool | None = None
        """Whether a TLS session was resumed, after the handshake."""
        self.client = ""
        """The first name in the client's certificate."""

    def secure(self, context: ssl.SSLContext) -> None:
        """Starts TLS. Raises Ended if the handshake fails, and adds the reason to `upstream.failures`."""
        self.sock.settimeout(DEADLINE)
        try:
            # An end without close_notify is an error.
            self.sock = context.wrap_socket(self.sock, server_side=True, suppress_ragged_eofs=False)
        except OSError as error:
            with self.upstream.journal:
                self.upstream.failures.append(str(error))
                self.upstream.journal.notify_all()
            raise Ended(str(error)) from None
        self.reader = Reader(self.sock)
        self.resumed = self.tls.session_reused
        self.client = next((name for _, name in (self.tls.getpeercert() or {}).get("subjectAltName", ())), "")

    @property
    def tls(self) -> ssl.SSLSocket:
        assert isinstance(self.sock, ssl.SSLSocket)
        return self.sock

    def head(self, seconds: float = DEADLINE) -> Request:
        """Reads the head of the next request, not its body, and adds it to `upstream.requests`. Raises Ended at the end
        of the connection."""
        end = time.monotonic() + seconds
        start, *lines = self.or_ended(lambda: self.reader.lines(end))
        method, target, version = start.decode("latin-1").split(" ")
        head = b"\r\n".join([start, *lines, b"", b""])
        request = Request(method, target, version, parse_fields(lines), head, self)
        if "transfer-encoding" in request:
            request.framing = "chunked"
        elif "content-length" in request:
            request.framing = "length"
        self.requests.append(request)
        with self.upstream.journal:
            self.upstream.requests.append(request)
            self.upstream.journal.notify_all()
        return request

    def body(self, request: Request, seconds: float = DEADLINE) -> bytes:
        end = time.monotonic() + seconds
        if request.framing == "chunked":
            chunks, request.trailers = self.or_ended(lambda: self.reader.chunked(end))
            request.body = b"".join(chunks)
        elif request.framing == "length":
            request.body = self.or_ended(lambda: self.reader.exactly(int(request.one("content-length")), end))
        return request.body

    def request(self, seconds: float = DEADLINE) -> Request:
        """Reads the next request with its body."""
        request = self.head(seconds)
        self.body(request, seconds)
        return request

    def exactly(self, count: int, seconds: float = DEADLINE) -> bytes:
        return self.or_ended(lambda: self.reader.exactly(count, time.monotonic() + seconds))

    def to_end(self, seconds: float = DEADLINE) -> bytes:
        """Returns everything until Ringway ends the connection with FIN or RST."""
        try:
            return self.reader.to_end(time.monotonic() + seconds)
        except (ConnectionError, ssl.SSLEOFError):
            return self.reader.rest

    def send(self, data: bytes, seconds: float = DEADLINE) -> None:
        self.sock.settimeout(seconds)
        self.or_ended(lambda: self.sock.sendall(data))

    def finish(self) -> None:
        """Sends FIN. Reading is still possible."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Closes the connection properly: with TLS it sends close_notify first."""
        if not self.closed and isinstance(self.sock, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self.sock.settimeout(0)  # do not wait for Ringway's close_notify
                self.sock.unwrap()
        self.cut()

    def cut(self) -> None:
        """Closes the connection with FIN, without close_notify."""
        self.closed = True
        self.sock.close()

    def reset(self) -> None:
        """Closes the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut()

    def some(self, most: int, seconds: float = DEADLINE) -> bytes:
        """Returns the next data, at most `most` bytes, and does not keep it (for large bodies)."""
        return self.or_ended(lambda: self.reader.some(most, time.monotonic() + seconds))

    def line(self, seconds: float = DEADLINE) -> bytes:
        """Returns the next line, and does not keep it."""
        return self.or_ended(lambda: self.reader.passing_line(time.monotonic() + seconds))

    def or_ended(self, action: Callable[[], Found]) -> Found:
        """Runs an action. Raises Ended instead of errors if the peer or the harness has closed the connection."""
        try:
            return action()
        except (ConnectionError, ssl.SSLEOFError) as error:
            raise Ended(str(error)) from None
        except OSError:
            if self.closed or self.upstream.ending:
                raise Ended("closed by the harness") from None
            raise


Answer = bytes | Callable[[Link, Request], None]


class Upstream:
    """An upstream. `serve` gets each new connection; without it, the target of a request selects the answer (see `on`).

    `requests`: all requests, in the order of their heads. `links`: all connections.
    """

    def __init__(
        self,
        serve: Callable[[Link], None] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        context: ssl.SSLContext | None = None,
        path: str | None = None,
    ) -> None:
        """`path`: the path of a Unix socket, instead of host and port."""
        self.context = context
        self.path = path
        self.requests: list[Request] = []
        self.links: list[Link] = []
        self.failures: list[str] = []
        """Errors of failed handshakes."""
        self.faults: list[BaseException] = []
        self.journal = Journal()
        self.ending = False
        self._serve = serve or self._by_target
        self._answers: dict[str, Answer] = {}
        self._targets = itertools.count(1)
        self._threads: list[threading.Thread] = []
        self._listener = _listen((host, port) if path is None else path)
        self.port: int = 0 if path is not None else self._listener.getsockname()[1]
        self.host = host

    @property
    def url(self) -> str:
        if self.path is not None:
            return f"http://unix:{self.path}"
        return f"{'http' if self.context is None else 'https'}://{self.authority}"

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __enter__(self) -> "Upstream":
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None:
            self.assert_sound()

    def close(self) -> None:
        self.ending = True
        for sock in [self._listener, *(link.sock for link in self.links)]:
            # Wake the threads that wait for this socket.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in [self._acceptor, *self._threads]:
            thread.join(DEADLINE)

    def assert_sound(self) -> None:
        """Asserts that no handler has failed so far."""
        if self.faults:
            raise AssertionError(f"the upstream's handler failed: {self.faults[0]!r}") from self.faults[0]

    def on(self, answer: Answer, target: str | None = None) -> str:
        """Sets the answer for a target (by default a new one, `/t<number>`) with any query. Returns the target. Bytes
        are sent after the whole request was received. A function is called after its head was received."""
        target = target or f"/t{next(self._targets)}"
        self._answers[target] = answer
        return target

    # Waiting

    def request(self, target: str, seconds: float = DEADLINE) -> Request:
        """Waits for the head of a request for this target (with any query)."""
        return self.journal.until(
            lambda: next((r for r in self.requests if r.target.partition("?")[0] == target), None),
            f"request for {target}",
            seconds,
        )

    def requests_for(self, target: str) -> list[Request]:
        return [r for r in self.requests if r.target.partition("?")[0] == target]

    def link(self, number: int, seconds: float = DEADLINE) -> Link:
        """Waits for the connection with this number."""
        self.journal.until(lambda: len(self.links) > number, f"connection {number}", seconds)
        return self.links[number]

    @property
    def received(self) -> bytes:
        """All bytes that all connections received, even if they are not a request."""
        return b"".join(link.reader.received for link in self.links)

    # Threads

    def _accept(self) -> None:
        while not self.ending:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self.path is None:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(self, sock, len(self.links))
            with self.journal:
                self.links.append(link)
                self.journal.notify_all()
            thread = threading.Thread(target=self._run, args=(link,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, link: Link) -> None:
        try:
            if self.context is not None:
                link.secure(self.context)
            self._serve(link)
        except Ended:
            pass
        except BaseException as error:
            self.faults.append(error)
        finally:
            link.close()
            with self.journal:
                self.journal.notify_all()

    def _by_target(self, link: Link) -> None:
        # An idle connection can wait as long as the test runs. Closing the upstream ends it.
        while not link.closed:
            request = link.head(seconds=3600)
            answer = self._answers.get(request.target.partition("?")[0], HELLO)
            if callable(answer):
                answer(link, request)
            else:
                link.body(request)
                link.send(answer)


def _listen(address: tuple[str, int] | str) -> socket.socket:
    if not isinstance(address, str):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        return socket.create_server(address, family=family)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    return listener


def answers(*given: bytes | None) -> Callable[[Link], None]:
    """Returns a function for `serve`: the requests of each connection get these answers, in order. It closes the
    connection instead of answering for None, and at the end of the list."""

    def serve(link: Link) -> None:
        for answer in given:
            link.request(seconds=3600)
            if answer is None:
                return
            link.send(answer)

    return serve
