"""One Ringway for all protocol tests that do not change it: a proxied host, and a host of files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
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
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<p>start</p>")
    (folder / "a.txt").write_text("a file\n")
    (folder / "t").write_text("t\n")
    with Upstream() as upstream:
        to_folder = {"type": "File", "path": folder}
        config = {
            "performance": {"io_driver": request.param},
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
    running_site.server.assert_sound()
    running_site.rest.assert_back()
    running_site.upstream.assert_sound()
