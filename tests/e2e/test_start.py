"""What keeps Ringway from starting: one clear line, exit code 1, no process left. And what does not."""

import datetime
import os
import re
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from harness.memory import left_with
from harness.server import toml
from harness.waiting import DEADLINE

from ringway.control.machine import kernel_tls

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="gives up a right of root")


class Attempt:
    """Runs `ringway run` with a configuration that cannot work."""

    def __init__(self, config, folder, through=()):
        file = folder / "config.toml"
        file.write_text(config if isinstance(config, str) else toml(config), encoding="utf-8")
        mark = uuid.uuid4().hex
        done = subprocess.run(
            [*through, sys.executable, "-P", "-W", "error", "-m", "ringway", "run", "--config", "config.toml"],
            cwd=folder,
            env={**os.environ, "RINGWAY_TEST_MARK": mark},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=4 * DEADLINE,
            check=False,
        )
        self.errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert done.stdout == ""
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert self.errors, done.stderr
        assert left_with(mark) == [], "processes are left"

    @property
    def error(self):
        (line,) = self.errors
        return line


@pytest.fixture
def attempt(tmp_path):
    (tmp_path / "www").mkdir()

    def attempt(through=(), **sections):
        config = {
            "server": {"listen": "127.0.0.1:0", "threads": 2},
            "host_routes": {"*": {"type": "File", "path": "www"}},
            **sections,
        }
        return Attempt(config, tmp_path, through)

    return attempt


# Listening


def test_a_taken_port(attempt):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error = attempt(server={"listen": f"127.0.0.1:{port}"}).error
    assert error.startswith(f"error: cannot listen on 127.0.0.1:{port}: the port is in use; find its owner with")


def test_a_port_that_another_ringway_has(attempt, ringway, tmp_path):
    """Both set SO_REUSEPORT: without a check they would silently share the port."""
    server = ringway({"host_routes": {"*": {"type": "File", "path": tmp_path}}})
    port = server.listener().port
    assert "the port is in use" in attempt(server={"listen": f"127.0.0.1:{port}"}).error
    with server.connect() as client:
        assert client.get("/").status == 404


def test_the_second_of_two_listeners_is_taken(attempt):
    """Ringway does not start partly: the first listener does not serve, either."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found = attempt(server={"listen": ["127.0.0.1:0", f"127.0.0.1:{port}"], "threads": 2})
    assert f"cannot listen on 127.0.0.1:{port}" in found.error


@ROOT
def test_more_listeners_than_a_worker_has_places(attempt):
    error = attempt(server={"listen": ["127.0.0.1:0"] * 257, "threads": 1}).error
    assert "a worker cannot have more than 256 listening sockets" in error


def test_a_forbidden_port(attempt):
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 2:
        pytest.skip("every port is allowed here")
    taken = "-net_bind_service"
    found = attempt(
        server={"listen": "127.0.0.1:1"}, through=["setpriv", f"--bounding-set={taken}", f"--inh-caps={taken}"]
    )
    assert found.error.startswith("error: cannot listen on 127.0.0.1:1: port 1 is reserved for root; allow it with")


def test_an_address_of_another_machine(attempt):
    assert "this machine has no address 192.0.2.1" in attempt(server={"listen": "192.0.2.1:8080"}).error


# Certificates


def test_a_missing_certificate(attempt, certificate):
    found = attempt(tls={**certificate, "cert_path": "missing.crt"})
    assert re.match(r'error: config.toml:\d+: tls.cert_path: "/.*/missing.crt" does not exist; ', found.error)


def test_a_missing_key(attempt, certificate):
    found = attempt(tls={**certificate, "key_path": "missing.key"})
    assert re.match(r'error: config.toml:\d+: tls.key_path: "/.*/missing.key" does not exist', found.error)


def test_the_key_of_another_certificate(attempt, certificate, tmp_path):
    _, key_path = pair(tmp_path)
    assert (
        "tls.key_path: the key does not belong to the certificate"
        in attempt(tls={**certificate, "key_path": key_path}).error
    )


@pytest.mark.parametrize("which", ["cert_path", "key_path"])
def test_a_file_that_is_no_pem(attempt, certificate, tmp_path, which):
    (tmp_path / "garbage").write_bytes(bytes(range(256)))
    assert f"tls.{which}: " in attempt(tls={**certificate, which: "garbage"}).error


@ROOT
def test_a_key_that_may_not_be_read(attempt, certificate, tmp_path):
    key = tmp_path / "own.key"
    key.write_text(Path(certificate["key_path"]).read_text())
    key.chmod(0)
    taken = "-dac_override,-dac_read_search"
    found = attempt(
        tls={**certificate, "key_path": "own.key"},
        through=["setpriv", f"--bounding-set={taken}", f"--inh-caps={taken}"],
    )
    assert f'tls.key_path: "{tmp_path}/own.key"' in found.error


@pytest.mark.skipif(kernel_tls.found().usable("both"), reason="this kernel has TLS")
def test_kernel_tls_without_fallback(attempt, certificate):
    found = attempt(tls={**certificate, "ktls_enabled": True, "ktls_fallback_enabled": False})
    assert "tls.ktls_fallback_enabled: kernel TLS is required here, but not available (" in found.error


def pair(folder):
    """Makes a certificate and its key for this test."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "own.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "own.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return "own.crt", "own.key"


# Routes, and the file itself


def test_a_missing_folder(attempt):
    found = attempt(host_routes={"example.com": {"type": "File", "path": "missing"}})
    assert '/missing" does not exist; create it or correct the path' in found.error
    assert 'host_routes."example.com".path' in found.error


@pytest.mark.parametrize("url", ["nonsense", "localhost:8080", "https://u@localhost", "https://", "http://h:99999", ""])
def test_a_url_that_is_none(attempt, url):
    found = attempt(host_routes={"*": {"type": "Proxy", "url": url}})
    assert 'host_routes."*".url' in found.error


def test_a_file_that_is_no_toml(tmp_path):
    found = Attempt('[server]\nlisten = "127.0.0.1:0\n', tmp_path)
    assert found.error.startswith("error: config.toml:2: not TOML: a string is not closed (column 22); add a quote")


def test_a_log_in_a_missing_folder(attempt):
    found = attempt(access_log={"path": "logs/access.log"})
    assert re.search(r'access_log.path: the folder "/.*/logs" does not exist', found.error)


def test_everything_wrong_is_said_at_once(attempt, certificate):
    found = attempt(
        server={"listen": "127.0.0.1:0", "thread": 2},
        tls={**certificate, "key_path": "missing.key"},
        host_routes={"a": {"type": "File", "path": "missing"}, "b": {"type": "Proxy", "url": "x"}},
    )
    assert len(found.errors) == 4
    assert "did you mean `threads`?" in found.errors[0]


@pytest.mark.parametrize("limit", [10, 14, 18, 22, 24])
def test_far_too_few_descriptors(attempt, limit):
    """The limit is reached at any point: for the sockets, the shared memory, the worker's process, its ring."""
    error = attempt(through=["prlimit", f"--nofile={limit}:{limit}"]).error
    assert f"not enough file descriptors, RLIMIT_NOFILE is {limit}" in error


# IPv6, several listeners


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv6(ringway, tmp_path):
    (tmp_path / "index.html").write_text("x")
    server = ringway(
        {
            "server": {"listen": ["127.0.0.1:0", "[::1]:0"]},
            "host_routes": {"*": {"type": "File", "path": tmp_path}},
        }
    )
    from harness.raw import Client

    assert [listener.host for listener in server.listeners] == ["127.0.0.1", "::1"]
    for listener in server.listeners:
        with Client(listener.address) as client:
            assert client.get("/?" + listener.host).body == b"x"
    assert server.record("/?::1")["client"] == "::1"
