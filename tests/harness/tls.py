"""TLS for tests: contexts with only one version, and a side that can send close_notify and still read."""

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
    """One side of a TLS connection that can send close_notify and still read. `unwrap()` of an SSLSocket discards
    unread data."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, server_hostname: str | None = None, early: bytes = b""
    ) -> None:
        """A client of `server_hostname`, or a server if that is None. Sends `early` with the end of the handshake."""
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
        """Sends close_notify. Passes no input to OpenSSL, so that received data cannot make it fail."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.sock.sendall(self.outgoing.read())
