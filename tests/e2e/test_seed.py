"""The configuration of the seed's README, unchanged except for addresses, paths and ports."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from harness import bulk
from harness.curl import curl
from harness.foreign import environment
from harness.server import Server

from ringway.control.machine import kernel_tls

CONFIG = (Path(__file__).parent / "seed.toml").read_text(encoding="utf-8")
KEY = (
    "openssl genpkey -algorithm EC -out server.key "
    "-pkeyopt ec_paramgen_curve:secp384r1 -pkeyopt ec_param_enc:named_curve"
)
CERTIFICATE = (
    'openssl req -new -x509 -key server.key -out server.crt -days 365 -subj "/CN=localhost/O=Development/C=JP"'
)


@pytest.fixture(scope="module")
def seed(tmp_path_factory, origin):
    folder = tmp_path_factory.mktemp("seed")
    for command in (KEY, CERTIFICATE):
        subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True, timeout=30, env=environment())
    example = folder / "var/www/example"
    static = folder / "var/www/static"
    for path in (example / "docs", static / "css"):
        path.mkdir(parents=True)
    (example / "index.html").write_text("<p>example")
    (example / "docs/index.html").write_text("<p>docs")
    (example / "apix").write_text("not the api")
    bulk.write_file(example / "large", 3_000_000)
    (static / "css/site.css").write_text("p { color: red }")
    config = CONFIG
    for old, new in {
        "0.0.0.0:443": "127.0.0.1:0",
        "/path/to/cert.pem": f"{folder}/server.crt",
        "/path/to/key.pem": f"{folder}/server.key",
        '"/var/www/': f'"{folder}/var/www/',
        "localhost:8080": f"localhost:{origin.port}",
    }.items():
        assert old in config
        config = config.replace(old, new)
    with Server(config, folder) as server:
        yield server


@pytest.fixture
def get(seed):
    def get(host, path, *options, **more):
        port = seed.listener(tls=True).port
        return curl(f"https://{host}:{port}{path}", "--resolve", f"{host}:{port}:127.0.0.1", *options, **more)

    yield get
    seed.assert_sound()


def test_starts_with_four_workers_and_says_once_what_runs_otherwise(seed):
    assert len(seed.worker_pids) == 4
    assert [listener.tls for listener in seed.listeners] == [True]
    told = [line for line in seed.lines if "kernel TLS" in line]
    if kernel_tls.found().why:
        assert len(told) == 1
        assert re.search(r" warning \S+\.toml:\d+: tls\.ktls_enabled: ", told[0])
    else:
        begins = [line.partition(" info kernel TLS: ")[2].partition(":")[0] for line in told]
        assert begins == ["TLS 1.2", "TLS 1.3", "KeyUpdate"]
    assert not [line for line in seed.lines if "reuseport" in line.lower()]


def test_host_route_to_files(get):
    got = get("example.com", "/")
    assert (got.status, got.body, got.fields("content-type")) == (200, b"<p>example", ["text/html; charset=utf-8"])
    assert get("EXAMPLE.com", "/docs/").body == b"<p>docs"
    got = get("example.com", "/docs")
    assert (got.status, got.fields("location")) == (301, ["/docs/"])
    got = get("example.com", "/large", keep=False)
    assert (got.status, got.size, got.sha256) == (200, 3_000_000, bulk.checksum(3_000_000))


def test_host_route_to_the_proxy(get, origin):
    got = get("api.example.com", "/length/1000")
    assert (got.status, got.sha256) == (200, bulk.checksum(1000))
    request = origin.requests[-1]
    assert (request.target, request.one("x-forwarded-proto")) == ("/length/1000", "https")
    assert request.one("host").startswith("api.example.com:")
    got = get("api.example.com", "/up", upload=lambda stream: stream.write(b"abc"))
    assert json.loads(got.body)["size"] == 3


def test_path_route_to_the_proxy_replaces_the_prefix(get, origin):
    assert get("example.com", "/api/length/77").sha256 == bulk.checksum(77)
    assert origin.requests[-1].target == "/length/77"
    # A prefix matches whole segments.
    assert get("example.com", "/apix").body == b"not the api"


def test_path_route_to_files(get):
    got = get("example.com", "/static/css/site.css")
    assert (got.status, got.body) == (200, b"p { color: red }")
    assert got.fields("content-type") == ["text/css; charset=utf-8"]
    assert get("example.com", "/css/site.css").status == 404


def test_anything_else_is_not_found(get):
    assert get("other.example.com", "/").status == 404
    assert get("example.com", "/missing").status == 404
    assert get("example.com", "/static/../../../server.key", "--path-as-is").status == 400


def test_a_body_of_10_mib_passes_and_a_byte_more_does_not(get):
    for size, status in ((10 << 20, 200), ((10 << 20) + 1, 413)):
        got = get("api.example.com", "/up", upload=lambda stream, size=size: send(stream, size))
        assert got.status == status, got


def send(stream, size):
    for piece in bulk.pieces(size):
        stream.write(piece)


def test_the_certificate_is_the_seeds(seed):
    text = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{seed.listener(tls=True).port}", "-showcerts"],
        input=b"",
        capture_output=True,
        timeout=30,
        env=environment(),
        check=False,
    ).stdout.decode()
    assert "CN = localhost" in text
    assert "secp384r1" in text or "384 bit" in text
    assert "TLSv1.3" in text
