"""The io_uring driver uses fewer features if the kernel refuses some. Ringway still serves, and logs what it found."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import bulk
from harness.raw import chunked
from harness.waiting import DEADLINE

# linux/io_uring.h
SUBMIT_ALL, COOP_TASKRUN, SINGLE_ISSUER, DEFER_TASKRUN = 1 << 7, 1 << 8, 1 << 12, 1 << 13
SIZE = 3_000_000


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """The environment in which the kernel refuses these flags."""
    library = tmp_path_factory.mktemp("refuse") / "refuse_flags.so"
    source = Path(__file__).with_name("refuse_flags.c")
    subprocess.run(
        # With liburing, so that RTLD_NEXT finds it: the libraries of an extension module are only in its own scope.
        ["gcc", "-Wall", "-shared", "-fPIC", "-o", library, source, "-Wl,--no-as-needed", "-luring", "-ldl"],
        check=True,
        timeout=DEADLINE,
    )
    # After the libraries of a sanitizer, which must be first.
    preload = " ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(library)]))
    return lambda flags: {"LD_PRELOAD": preload, "RINGWAY_TEST_REFUSED_FLAGS": str(flags)}


@pytest.mark.parametrize(
    ("refused", "left", "features"),
    [
        (0, SINGLE_ISSUER | DEFER_TASKRUN, True),
        (DEFER_TASKRUN, COOP_TASKRUN, False),
        (SINGLE_ISSUER, COOP_TASKRUN, False),
        (SINGLE_ISSUER | DEFER_TASKRUN | COOP_TASKRUN, 0, False),
    ],
    ids=["nothing refused", "no deferring", "no single issuer", "neither, nor cooperative"],
)
def test_serves_with_what_is_left(ringway, refusing, upstream, tmp_path, certificate, refused, left, features):
    bulk.write_file(tmp_path / "large", SIZE)
    up = upstream()
    target = up.on(lambda link, request: link.send(b"HTTP/1.1 200 OK\r\n" + echo(link.body(request))))
    config = {
        "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
        "performance": {"io_driver": "io_uring"},
        "tls": certificate,
        "host_routes": {
            "app": {"type": "Proxy", "url": up.url},
            "files": {"type": "File", "path": tmp_path},
        },
    }
    server = ringway(config, env=refusing(refused))
    flags = int(server.wait_line(r"^io_uring set up with flags .*: 0$").split()[5].rstrip(":"), 16)
    assert flags & (SINGLE_ISSUER | DEFER_TASKRUN | COOP_TASKRUN) == left
    ready = server.wait_line(r"worker 0 .* ready")
    assert "io_uring: multishot accept" in ready
    assert ("single issuer, deferred task work" in ready) == features
    body = b"".join(bulk.pieces(SIZE))
    for tls in (False, True):
        with server.connect(tls=tls) as client:
            assert client.get("/large", host="files").body == body
            sent = client.get(
                target, "Transfer-Encoding: chunked", method="POST", body=chunked(body[:70_000]), host="app"
            )
            assert (sent.status, sent.body) == (200, body[:70_000])


def echo(body):
    return f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_check_says_what_was_found(refusing, tmp_path):
    """`ringway check` does the same trial as a worker."""
    file = tmp_path / "config.toml"
    file.write_text('[server]\nlisten = "127.0.0.1:0"\n[host_routes]\n"*" = { type = "Redirect", to = "/" }\n')
    found = {}
    for refused in (0, DEFER_TASKRUN):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ringway", "check", "--config", str(file)],
            capture_output=True,
            text=True,
            env={**os.environ, **refusing(refused)},
            timeout=DEADLINE,
            check=True,
        )
        found[refused] = re.search(r"I/O driver +(.*)", done.stdout)[1]
    assert found[0].startswith("io_uring, tested: ")
    assert found[0].endswith("single issuer, deferred task work")
    assert found[DEFER_TASKRUN] == found[0].removesuffix(", single issuer, deferred task work")
