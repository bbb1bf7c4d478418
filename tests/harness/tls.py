"""TLS for tests: one version alone, and a side that can end and still read."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

import pytest

VERSION = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls1.2", "tls1.3"])
Result = TypeVar("Result")


def of_version(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


class Half:
    """One side of TLS in which an end is said and what still comes is read: `unwrap()` of an SSLSocket throws away what
    it has not read."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, server_hostname: str | None = None, early: bytes = b""
    ) -> None:
        """A client of `server_hostname`, or without one the server. `early` goes with the end of the handshake."""
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_side=server_hostname is None, server_hostname=server_hostname
        )
        self.settimeout, self.fileno, self.close = sock.settimeout, sock.fileno, sock.close
        self.shutdown, self.setsockopt = sock.shutdown, sock.setsockopt
        self.until_done(lambda: self.tls.do_handshake() or (early and self.tls.write(early)))

    def until_done(self, step: Callable[[], Result]) -> Result:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outgoing.read())
                data = self.sock.recv(65536)
                self.incoming.write(data) if data else self.incoming.write_eof()
            finally:
                self.sock.sendall(self.outgoing.read())

    def sendall(self, data: bytes) -> None:
        self.until_done(lambda: self.tls.write(data))

    def recv(self, size: int) -> bytes:
        try:
            return self.until_done(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def end(self) -> None:
        """close_notify. Nothing is fed to it, so it cannot trip over data that came."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.sock.sendall(self.outgoing.read())
