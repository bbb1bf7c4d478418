"""One Ringway for all protocol tests that do not change it: a proxied host, and a host of files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness.h2 import Http2, connect
from harness.memory import Rest
from harness.raw import Client
from harness.server import SITE_DRIVERS, Server
from harness.upstream import Upstream

BODY_LIMIT = 100_000


@dataclass
class Site:
    """Hosts `proxied` and `half-closing` (with `half_close`) go to `upstream`. Host `files` is `folder`, and `memory`
    is the same from memory. Other hosts are unknown.

    `refusing` is a port of the machine on which nothing listens, behind host `refused`.
    """

    server: Server
    upstream: Upstream
    folder: Path
    rest: Rest

    def connect(self) -> Client:
        return self.server.connect()

    def http2(self, tls: bool = False, **options: Any) -> Http2:
        """Connects a client that speaks HTTP/2. Only `h2_site` has that."""
        return connect(self.server, tls, **options)

    def assert_goes_on(self, client: Http2) -> None:
        """Asserts that this client is still served, and that the tables of both sides are in sync."""
        target = self.upstream.on(b"HTTP/1.1 204 No Content\r\n\r\n")
        for _ in range(2):
            assert client.get(target, ("x-sync", "a value that is indexed")).status == 204
        for request in self.upstream.requests_for(target):
            assert request.one("x-sync") == "a value that is indexed"

    def settle(self) -> None:
        """Waits until the upstream has seen everything that was sent to it before."""
        target = self.upstream.on(b"HTTP/1.1 204 No Content\r\n\r\n")
        with self.connect() as client:
            assert client.get(target, host="proxied").status == 204

    def assert_not_forwarded(self, text: str) -> None:
        """Asserts that the upstream has seen no byte of a request that contains this text."""
        self.settle()
        assert text.encode() not in self.upstream.received


@pytest.fixture(scope="session", params=SITE_DRIVERS)
def running_site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, unused_port: int
) -> Iterator[Site]:
    with started({"performance": {"io_driver": request.param}}, tmp_path_factory, unused_port) as running:
        yield running


@pytest.fixture(scope="session", params=SITE_DRIVERS)
def running_h2_site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    unused_port: int,
    certificate: dict[str, str],
) -> Iterator[Site]:
    """The same with HTTP/2, and TLS on a second listener."""
    config = {
        "performance": {"io_driver": request.param},
        "server": {"plain_listen": "127.0.0.1:0", "http2": True, "h2c": True},
        "tls": certificate,
    }
    with started(config, tmp_path_factory, unused_port) as running:
        yield running


@contextmanager
def started(more: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, unused_port: int) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<p>start</p>")
    (folder / "a.txt").write_text("a file\n")
    (folder / "t").write_text("t\n")
    with Upstream() as upstream:
        to_folder = {"type": "File", "path": folder}
        config = {
            **more,
            "limits": {"request_body_bytes": BODY_LIMIT},
            "host_routes": {
                "proxied": {"type": "Proxy", "url": upstream.url},
                "half-closing": {"type": "Proxy", "url": upstream.url, "half_close": True},
                "files": to_folder,
                "memory": {**to_folder, "mode": "memory"},
                "refused": {"type": "Proxy", "url": f"http://127.0.0.1:{unused_port}"},
                "unresolved": {"type": "Proxy", "url": "http://nowhere.invalid"},
                "moved": {"type": "Redirect", "to": "https://elsewhere{path}", "status": 301},
            },
        }
        with Server(config, tmp_path_factory.mktemp("ringway")) as server:
            yield Site(server, upstream, folder, Rest(server))


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    yield running_site
    assert_at_rest(running_site)


@pytest.fixture
def h2_site(running_h2_site: Site) -> Iterator[Site]:
    yield running_h2_site
    assert_at_rest(running_h2_site)


def assert_at_rest(running: Site) -> None:
    running.server.assert_sound()
    running.rest.assert_back()
    running.upstream.assert_sound()
