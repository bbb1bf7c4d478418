"""The demo's application: a small HTTP server that answers every request with a description of it, as JSON."""

import codecs
import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_PIECE = 65536
_SHOWN = 16384
"""Bytes of a request body that the answer shows. It only counts the rest."""


class Mirror(BaseHTTPRequestHandler):
    """Answers a request of any method with its method, path, fields, and its body if that is text."""

    protocol_version = "HTTP/1.1"
    # Send head and body in one write, at once.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 90
    """Seconds before an idle connection is closed. Longer than the proxy keeps idle connections."""

    def __getattr__(self, name: str) -> Any:
        """BaseHTTPRequestHandler calls do_GET, do_POST and so on."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def handle_expect_100(self) -> bool:
        """Flushes 100 (Continue) from the buffer. Otherwise the client would never send the body."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def answer(self) -> None:
        """Answers one request."""
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
        """Reads the whole body. Returns its beginning and its length."""
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
        """Reads `length` bytes of the body, fewer if the connection ends. Returns how many it read."""
        left = length
        while left and (piece := self.rfile.read(min(left, _PIECE))):
            left -= len(piece)
            beginning += piece[: _SHOWN - len(beginning)]
        return length - left

    def log_message(self, format: str, *arguments: Any) -> None:
        """Logs nothing. Ringway's access log shows the requests."""


def _fields(lines: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Returns the fields by name, ignoring case. A field that appears several times has the list of its values."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name, value in lines:
        found.setdefault(name.lower(), (name, []))[1].append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.values()}


def _shown(beginning: bytes, length: int) -> dict[str, str | None]:
    """Returns the body as text, and a note if a part of it is not shown."""
    cut = length > len(beginning)
    try:
        # The end of the shown part can cut a character in two.
        text = codecs.getincrementaldecoder("utf-8")().decode(beginning, final=not cut)
    except UnicodeDecodeError:
        return {"body": None, "body_note": "not shown: it is not UTF-8"}
    if cut:
        return {"body": text, "body_note": f"cut: these are the first {len(beginning)} bytes"}
    return {"body": text}


class Origin:
    """Runs the application on a free port of 127.0.0.1 during the `with` block."""

    def __enter__(self) -> "Origin":
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
        # Do not wait at the end for threads that serve idle connections.
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
