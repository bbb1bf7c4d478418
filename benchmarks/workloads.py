"""The list of workloads."""

from dataclasses import dataclass

SMALL_BYTES = 100
FILE_BYTES = 1024
LARGE_FILE_BYTES = 100 * 1024
LARGE_BYTES = 1024 * 1024

PROXY_SMALL = "/proxy-100b/"
PROXY_LARGE = "/proxy-1m/"
FILE = "/file-1k/"
LARGE_FILE = "/file-100k/"


@dataclass(frozen=True)
class Workload:
    """One kind of request, repeated as fast as the server answers it."""

    name: str
    """The name for `--only`."""
    title: str
    """The name in the table."""
    path: str
    """Target of the request, the same for nginx and Ringway."""
    body_bytes: int
    """Length of the response's body."""
    tls: bool = False
    close: bool = False
    """Each request has its own connection (`Connection: close`)."""
    upload_bytes: int = 0
    """Length of the request's body."""
    limit: str | None = None
    """The limit program that does the minimum of work for this workload: "relay", "origin" or None."""
    target: float = 1.0
    """Target for the CPU time per request, as a fraction of nginx's."""


WORKLOADS = (
    Workload("proxy-100b", "proxied 100 B", PROXY_SMALL, SMALL_BYTES, limit="relay", target=0.80),
    Workload("proxy-100b-tls", "proxied 100 B, TLS", PROXY_SMALL, SMALL_BYTES, tls=True),
    Workload("file-1k", "file of 1 KiB", FILE + "file.bin", FILE_BYTES, limit="origin", target=0.75),
    Workload("file-1k-tls", "file of 1 KiB, TLS", FILE + "file.bin", FILE_BYTES, tls=True),
    Workload("file-100k", "file of 100 KiB", LARGE_FILE + "file.bin", LARGE_FILE_BYTES),
    Workload("proxy-1m", "proxied 1 MiB", PROXY_LARGE, LARGE_BYTES),
    Workload("connection", "new connection, 1 KiB", FILE + "file.bin", FILE_BYTES, close=True),
    Workload("connection-tls", "new connection, 1 KiB, TLS", FILE + "file.bin", FILE_BYTES, tls=True, close=True),
)
