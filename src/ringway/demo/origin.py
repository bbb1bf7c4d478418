"""The demo's application: a small HTTP server that answers every request with itself, as JSON."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_PIECE = 65536


class Mirror(BaseHTTPRequestHandler):
    """Answers any method: what came, which headers, how long the body was."""

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
        length = self._read_body()
        said = {
            "method": self.command,
            "path": self.path,
            "headers": dict(self.headers.items()),
            "body_bytes": length,
        }
        body = json.dumps(said, indent=2).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _read_body(self) -> int:
        """Its length; the body itself is dropped."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._read_chunks()
        length = left = int(self.headers.get("Content-Length", 0))
        while left and (piece := self.rfile.read(min(left, _PIECE))):
            left -= len(piece)
        return length - left

    def _read_chunks(self) -> int:
        total = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            total += len(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return total

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing: the demo's own log is what matters."""


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
