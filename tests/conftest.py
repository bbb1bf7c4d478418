"""Fixtures for all tests. Each one that starts something asserts at its end that nothing is left of it."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest

pytest.register_assert_rewrite("harness")

from harness.server import Server  # noqa: E402
from harness.upstream import Link, Upstream  # noqa: E402

# The time of an example depends on the load of the machine.
hypothesis.settings.register_profile("ringway", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("ringway")


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """pytest's temporary folder. Workers with another user can serve files in it."""
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def ringway(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts Ringway: `ringway({"host_routes": ...})`. Stops and checks it at the end of the test."""
    with ExitStack() as running:

        def start(config: Mapping[str, Any] | str, **options: Any) -> Server:
            return running.enter_context(Server(config, tmp_path, **options))

        yield start


@pytest.fixture
def upstream() -> Iterator[Callable[..., Upstream]]:
    """Starts an upstream: `upstream()` or `upstream(serve)`, see `harness.upstream`."""
    with ExitStack() as running:

        def start(serve: Callable[[Link], None] | None = None, **options: Any) -> Upstream:
            return running.enter_context(Upstream(serve, **options))

        yield start


@pytest.fixture(scope="session")
def unused_port() -> Iterator[int]:
    """A port of 127.0.0.1 on which nothing ever listens: it is bound, and connections are refused."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Returns a `[tls]` section with a new certificate for localhost."""
    from ringway.control.certificates.certificates import write_self_signed

    cert_path, key_path = write_self_signed(
        str(tmp_path_factory.mktemp("certificate")), ["localhost", "127.0.0.1"], "P-256", 2, False
    )
    return {"cert_path": str(cert_path), "key_path": str(key_path)}
