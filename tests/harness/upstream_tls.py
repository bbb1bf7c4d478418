"""Routes to upstreams with TLS, and checks for connections to them that fail."""

from collections.abc import Mapping
from typing import Any

from harness.authority import Authority
from harness.server import Server


def to(url: str, authority: Authority | None = None, **more: Any) -> dict[str, Any]:
    """Returns a route. Without `authority` it trusts the authorities of the system."""
    trusted = {} if authority is None else {"ca_path": authority.path}
    return {"type": "Proxy", "url": url, **trusted, **more}


def config(url: str, authority: Authority | None = None, **more: Any) -> Mapping[str, Any]:
    return {"host_routes": {"*": to(url, authority, **more)}}


def refused(server: Server, reason: str, status: int = 502, target: str = "/") -> None:
    with server.connect() as client:
        response = client.get(target)
        assert (response.status, response.reason) == (status, reason)
        assert response.keeps
    record = server.record(target)
    assert (record["status"], record["reason"]) == (status, reason)
    assert record["upstream"].startswith("https://")
