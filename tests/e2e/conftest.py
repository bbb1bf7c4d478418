"""Fixtures of the end-to-end tests: nginx, an origin in Python for large bodies, curl, one running site."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import bulk
from harness.authority import Authority
from harness.curl import Curl, curl
from harness.memory import Rest
from harness.nginx import Nginx
from harness.server import SITE_DRIVERS, Server
from harness.successors import end, successors
from harness.upstream import Upstream


@pytest.fixture(scope="session")
def origin() -> Iterator[Upstream]:
    with Upstream(bulk.serve) as running:
        yield running


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with Nginx(tmp_path_factory.mktemp("nginx")) as running:
        for size in bulk.SIZES.values():
            bulk.write_file(running.files / str(size), size)
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nothing trusts by default."""
    return Authority(tmp_path_factory.mktemp("other"), "others")


@dataclass
class Site:
    """Hosts `nginx` and `python` are proxied to these two; hosts `files` and `memory` serve a folder. Over TCP and
    TLS."""

    server: Server
    nginx: Nginx
    origin: Upstream
    folder: Path
    rest: Rest

    def url(self, host: str, path: str, tls: bool) -> str:
        port = self.server.listener(tls).port
        return f"{'https' if tls else 'http'}://{host}:{port}{path}"

    def curl(self, host: str, path: str, tls: bool, *options: str, **more: Any) -> Curl:
        port = self.server.listener(tls).port
        resolve = ["--resolve", f"{host}:{port}:127.0.0.1"]
        return curl(self.url(host, path, tls), *resolve, *options, **more)


@pytest.fixture(scope="session", params=SITE_DRIVERS)
def running_site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    nginx: Nginx,
    origin: Upstream,
    certificate: dict[str, str],
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    for size in bulk.SIZES.values():
        bulk.write_file(folder / str(size), size)
    config = {
        "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0", "threads": 1},
        "tls": certificate,
        "performance": {"io_driver": request.param},
        "limits": {"request_body_bytes": 0},
        "host_routes": {
            "nginx": {"type": "Proxy", "url": nginx.url},
            "python": {"type": "Proxy", "url": origin.url},
            "files": {"type": "File", "path": str(folder)},
            "memory": {"type": "File", "path": str(folder), "mode": "memory"},
        },
    }
    with Server(config, tmp_path_factory.mktemp("ringway")) as server:
        yield Site(server, nginx, origin, folder, Rest(server))


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    yield running_site
    running_site.server.assert_sound()
    running_site.rest.assert_back()
    running_site.origin.assert_sound()


@pytest.fixture
def upgraded(ringway: Callable[..., Server]) -> Iterator[Callable[..., Server]]:
    """Starts a Ringway. Ends its successors at the end of the test."""
    servers: list[Server] = []

    def start(*arguments: Any, **options: Any) -> Server:
        servers.append(ringway(*arguments, **options))
        return servers[-1]

    yield start
    for server in servers:
        for pid in successors(server):
            end(pid)


class Names:
    """The names that Ringway can resolve."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.env = {
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(Path(__file__).parent / "names"), os.environ.get("PYTHONPATH")])
            ),
            "RINGWAY_TEST_NAMES": str(file),
        }
        self.set()

    def set(self, **addresses: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text("".join(f"{name} {ips}\n" for name, ips in addresses.items()))
        os.replace(new, self.file)

    def hang(self) -> None:
        """Delays lookups until their line is written to the file."""
        new = self.file.with_suffix(".new")
        os.mkfifo(new)
        os.replace(new, self.file)


@pytest.fixture
def names(tmp_path: Path) -> Names:
    return Names(tmp_path / "names")
