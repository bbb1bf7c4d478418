"""Fixtures for tests of kernel TLS. These need a kernel with that support, as in `make test-kernel`, and are skipped
elsewhere."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from harness import bulk
from harness.server import Server
from harness.upstream import Upstream

from ringway.control.machine import kernel_tls


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    absent = pytest.mark.skip(reason=f"no kernel TLS here ({kernel_tls.found().why}); make test-kernel")
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kernel)
            if kernel_tls.found().why and os.environ.get("RINGWAY_TEST_KERNEL") != "1":
                item.add_marker(absent)


class Statistics:
    """Changes of /proc/net/tls_stat since this was created."""

    def __init__(self) -> None:
        self.expected_errors = 0
        self._before = self._read()

    def _read(self) -> dict[str, int]:
        lines = Path("/proc/net/tls_stat").read_text(encoding="ascii").splitlines()
        return {name: int(value) for name, value in map(str.split, lines)}

    def __getitem__(self, name: str) -> int:
        return self._read()[name] - self._before[name]


@pytest.fixture
def statistics() -> Iterator[Statistics]:
    """Asserts at the end that the kernel decrypted every record, unless the test sets `expected_errors`."""
    found = Statistics()
    yield found
    assert found["TlsDecryptError"] == found.expected_errors


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    (made / "small").write_text("a file\n")
    bulk.write_file(made / "large", 4_000_000)
    return made


@pytest.fixture(scope="session")
def origin() -> Iterator[Upstream]:
    with Upstream(bulk.serve) as running:
        yield running


class KernelServer(Server):
    """`directions`: those that the kernel takes over."""

    directions = "both"

    def read_all(self) -> None:
        """Waits until the worker has read what was sent: it has then served a second connection."""
        with self.connect(tls=True) as other:
            assert other.get("/small").body == b"a file\n"


def settings(certificate: dict[str, str], folder: Path, origin: Upstream, **tls: object) -> dict[str, Any]:
    """Kernel TLS is mandatory here: a connection that cannot be handed over is rejected."""
    to_folder = {"type": "File", "path": folder}
    return {
        "server": {"listen": "127.0.0.1:0", "threads": 1},
        "tls": {**certificate, "ktls_enabled": True, "ktls_fallback_enabled": False, **tls},
        "limits": {"request_body_bytes": 0},
        "host_routes": {
            "*": to_folder,
            "memory": {**to_folder, "mode": "memory"},
            "proxied": {"type": "Proxy", "url": origin.url},
        },
    }


@pytest.fixture
def settings_with(certificate: dict[str, str], folder: Path, origin: Upstream) -> Callable[..., dict[str, Any]]:
    """Returns settings for a separate server with these keys in `[tls]`."""
    return functools.partial(settings, certificate, folder, origin)


@pytest.fixture(scope="session")
def running_servers(
    tmp_path_factory: pytest.TempPathFactory, certificate: dict[str, str], folder: Path, origin: Upstream
) -> Iterator[dict[str, KernelServer]]:
    with ExitStack() as running:
        servers = {}
        for directions in ("both", "send"):
            config = settings(certificate, folder, origin, ktls_directions=directions)
            servers[directions] = running.enter_context(KernelServer(config, tmp_path_factory.mktemp(directions)))
            servers[directions].directions = directions
        yield servers


@pytest.fixture(params=["both", "send"])
def server(request: pytest.FixtureRequest, running_servers: dict[str, KernelServer]) -> Iterator[KernelServer]:
    """Once with both directions in the kernel, once with only sending."""
    yield running_servers[request.param]
    running_servers[request.param].assert_sound()


@pytest.fixture
def both(running_servers: dict[str, KernelServer]) -> Iterator[KernelServer]:
    yield running_servers["both"]
    running_servers["both"].assert_sound()
