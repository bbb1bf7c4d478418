"""The demo's application: a small HTTP server that answers every request with itself, as JSON."""

import codecs
import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_PIECE = 65536
_SHOWN = 16384
"""Bytes of a body that are answered with; the rest is counted."""


class Mirror(BaseHTTPRequestHandler):
    """Answers any method: what came, which headers, and the body if it is text."""

    protocol_version = "HTTP/1.1"
    # One write for head and body, and no waiting for more.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 90
    """Seconds of silence before a connection is closed: longer than the proxy keeps idle ones."""

    def __getattr__(self, name: str) -> Any:
        """BaseHTTPRequestHandler asks for do_GET and the like."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def handle_expect_100(self) -> bool:
        """The go-ahead must not wait in the buffer for the answer that it asks the body for."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def answer(self) -> None:
        """One request, mirrored."""
        body, length = self._read_body()
        said = {
            "method": self.command,
            "path": self.path,
            "headers": _fields(self.headers.items()),
            "body_bytes": length,
            **_shown(body, length),
        }
        answer = json.dumps(said, indent=2).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _read_body(self) -> tuple[bytes, int]:
        """Its beginning and its length; the rest is dropped."""
        beginning = bytearray()
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            total = self._read(int(self.headers.get("Content-Length", 0)), beginning)
            return bytes(beginning), total
        total = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            total += self._read(size, beginning)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return bytes(beginning), total

    def _read(self, length: int, beginning: bytearray) -> int:
        """So much of the body; what is not there because the connection ended is not counted."""
        left = length
        while left and (piece := self.rfile.read(min(left, _PIECE))):
            left -= len(piece)
            beginning += piece[: _SHOWN - len(beginning)]
        return length - left

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing: the demo's own log is what matters."""


def _fields(lines: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """By their names, which have no case; those that stand there several times with all their values, in order."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name, value in lines:
        found.setdefault(name.lower(), (name, []))[1].append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.values()}


def _shown(beginning: bytes, length: int) -> dict[str, str | None]:
    """The body as text, and what of it is not shown."""
    cut = length > len(beginning)
    try:
        # A character that is cut in two is no reason to call it no text.
        text = codecs.getincrementaldecoder("utf-8")().decode(beginning, final=not cut)
    except UnicodeDecodeError:
        return {"body": None, "body_note": "not shown: it is not UTF-8"}
    if cut:
        return {"body": text, "body_note": f"cut: these are the first {len(beginning)} bytes"}
    return {"body": text}


class Origin:
    """The application on a free port of 127.0.0.1, while the `with` block runs."""

    def __enter__(self) -> "Origin":
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
        # Its threads serve idle connections: the end does not wait for them.
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo origin", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
