"""The other commands: demo, check, cert."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from harness.authority import Authority
from harness.curl import curl
from harness.foreign import environment
from harness.memory import left_with
from harness.server import toml
from harness.waiting import DEADLINE

PROGRAM = [sys.executable, "-P", "-m", "ringway"]


def call(*arguments, folder=None):
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
        check=False,
    )


class Demo:
    """Runs `ringway demo` in its own session, as in a terminal, with an empty folder for temporary files."""

    def __init__(self, folder, *arguments):
        self.mark = uuid.uuid4().hex
        self.folder = folder / "tmp"
        self.folder.mkdir()
        self.process = subprocess.Popen(
            [*PROGRAM, "demo", *arguments],
            env={**os.environ, "RINGWAY_TEST_MARK": self.mark, "TMPDIR": str(self.folder), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        self.told = []
        for line in self.process.stdout:
            self.told.append(line)
            if line.startswith("Ctrl-C ends the demo"):
                break
        else:
            raise AssertionError(f"it ended: {self.process.stderr.read()}")
        return self

    def __exit__(self, *_):
        try:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
        finally:
            self.process.wait(DEADLINE)
            self.process.stdout.close()
            self.process.stderr.close()

    @property
    def url(self):
        return re.search(r"https://\S+?/", "".join(self.told))[0]

    def assert_nothing_left(self):
        assert left_with(self.mark) == []
        assert list(self.folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_demo(tmp_path, number):
    with Demo(tmp_path, "--listen", "127.0.0.1:0") as demo:
        assert re.fullmatch(r"https://127\.0\.0\.1:[1-9]\d*/", demo.url)
        # The printed curl lines work unchanged, even in a shell that fails when "?" matches no file.
        lines = [line.strip() for line in demo.told if line.strip().startswith("curl ")]
        assert len(lines) >= 3
        for line in lines:
            done = subprocess.run(
                ["bash", "-O", "failglob", "-c", f"{line} --silent --show-error --fail"],
                capture_output=True,
                timeout=DEADLINE,
                env=environment(),
                check=False,
            )
            assert done.returncode == 0, (line, done.stderr)
            assert done.stdout
        page = curl(demo.url)
        assert (page.status, page.fields("content-type")) == (200, ["text/html; charset=utf-8"])
        assert b"<" in page.body
        said = json.loads(curl(f"{demo.url}api/hello?name=you", "--header", "X-Own: here").body)
        assert (said["method"], said["path"], said["headers"]["X-Own"]) == ("GET", "/hello?name=you", "here")
        assert said["headers"]["X-Forwarded-Proto"] == "https"
        said = json.loads(curl(f"{demo.url}api/echo", "--data", "some text").body)
        assert (said["method"], said["body_bytes"], said["body"]) == ("POST", 9, "some text")
        assert curl(f"{demo.url}missing").status == 404
        (folder,) = demo.folder.iterdir()
        assert folder.name.startswith("ringway-demo-")
        began = time.monotonic()
        os.killpg(demo.process.pid, number)
        assert demo.process.wait(2 * DEADLINE) == 0
        assert time.monotonic() - began < DEADLINE
        text = demo.process.stderr.read()
        assert "Traceback" not in text
        assert " error " not in text
        assert '"GET /missing HTTP/1.1" 404 ' in demo.process.stdout.read()  # its access log
        demo.assert_nothing_left()


def test_demo_ends_while_a_browser_stays(tmp_path):
    """An open keep-alive connection does not delay the end."""
    with Demo(tmp_path, "--listen", "127.0.0.1:0") as demo:
        port = int(re.search(r":(\d+)/", demo.url)[1])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), DEADLINE)) as sock:
            sock.sendall(b"GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
            os.killpg(demo.process.pid, signal.SIGINT)
            assert demo.process.wait(2 * DEADLINE) == 0
        demo.assert_nothing_left()


def test_demo_on_a_taken_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = call("demo", "--listen", f"127.0.0.1:{other.getsockname()[1]}")
    assert done.returncode == 1
    assert re.search(r"^error: cannot listen on .*: the port is in use; .*--listen", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_cert_and_check_and_run(ringway, tmp_path):
    """The steps of the README: make a certificate, check the configuration, run."""
    done = call("cert", "pair", "--curve", "secp384r1", "--host", "example.com", "--host", "127.0.0.1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    text = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "pair/server.crt"), "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE,
        env=environment(),
    ).stdout
    assert "DNS:example.com, IP Address:127.0.0.1" in text
    assert "secp384r1" in text
    assert (tmp_path / "pair/server.key").stat().st_mode & 0o777 == 0o600
    again = call("cert", "pair", folder=tmp_path)
    assert again.returncode == 1
    assert again.stderr.startswith('error: "pair/server.crt" exists; use --force to replace it')

    (tmp_path / "www").mkdir()
    (tmp_path / "www/index.html").write_text("x")
    config = {
        "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0", "threads": 2},
        "performance": {"reuseport_balancing": "cbpf"},
        "tls": {"cert_path": f"{tmp_path}/pair/server.crt", "key_path": f"{tmp_path}/pair/server.key"},
        "host_routes": {
            "example.com": {"type": "File", "path": f"{tmp_path}/www"},
            "api.example.com": {"type": "Proxy", "url": "http://127.0.0.1:9/v2"},
            "*": {"type": "Redirect", "to": "https://example.com{path}"},
        },
        "path_routes": {"example.com": {"/api/": {"type": "Proxy", "url": "http://localhost:9"}}},
    }
    (tmp_path / "config.toml").write_text(toml(config))
    done = call("check", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    text = done.stdout
    for wanted in (
        "config.toml: configuration OK",
        "https://127.0.0.1:0",
        "http://127.0.0.1:0",
        "cbpf",
        "worker 0",
        "worker 1",
        "cgroup CPU quota",
        f"folder {tmp_path}/www (sendfile)",
        "http://127.0.0.1:9/v2",
        "308 to https://example.com{path}",
        "http://localhost:9",
        "I/O driver",
        "kernel TLS",
        "open files",
    ):
        assert wanted in text, text
    server = ringway(config)
    port = server.listener(tls=True).port
    got = curl(
        f"https://example.com:{port}/",
        *("--resolve", f"example.com:{port}:127.0.0.1", "--cacert", f"{tmp_path}/pair/server.crt"),
        secure=True,
    )
    assert (got.code, got.status, got.body) == (0, 200, b"x"), got
    got = curl(f"http://127.0.0.1:{server.listener().port}/a?b")
    assert (got.status, got.fields("location")) == (308, ["https://example.com/a?b"])


def test_check_starts_nothing_and_opens_nothing(ringway, tmp_path):
    """`check` works while Ringway runs with the same file."""
    server = ringway({"host_routes": {"*": {"type": "File", "path": tmp_path}}})
    config = {
        "server": {"listen": f"127.0.0.1:{server.listener().port}"},
        "host_routes": {"*": {"type": "File", "path": tmp_path}},
        "access_log": {"path": f"{tmp_path}/access.log"},
    }
    (tmp_path / "beside.toml").write_text(toml(config))
    done = call("check", "--config", "beside.toml", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "access.log").exists()


def test_check_says_whom_an_upstream_must_be(tmp_path):
    certificate, key = Authority(tmp_path).issue(["client"], client=True)
    url = "https://127.0.0.1:1"
    routes = {
        "one": {"type": "Proxy", "url": url, "ca_path": tmp_path / "tests.pem", "server_name": "app.example"},
        "two": {"type": "Proxy", "url": url, "verify": False, "cert_path": certificate, "key_path": key},
    }
    (tmp_path / "config.toml").write_text(toml({"server": {"listen": "127.0.0.1:0"}, "host_routes": routes}))
    done = call("check", folder=tmp_path)
    assert done.returncode == 0, done
    assert f"{url}  127.0.0.1; verified as app.example with {tmp_path}/tests.pem\n" in done.stdout
    assert f"{url}  127.0.0.1; NOT verified, with client certificate {certificate}\n" in done.stdout
    line = next(line for line in done.stdout.splitlines() if "is not verified" in line)
    assert re.fullmatch(rf"warning: .*config.toml:\d+: host_routes.two.verify: {url} is not verified, .*", line)


def test_check_says_what_is_wrong(tmp_path):
    (tmp_path / "config.toml").write_text('[server]\nlisten = "127.0.0.1:0"\nthreats = 1\n')
    done = call("check", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "error: config.toml:3: server.threats: there is no such key; did you mean `threads`?\n"


def test_the_installed_program_is_the_same():
    program = Path(sys.executable).parent / "ringway"
    if not program.exists():
        pytest.skip("not installed as a program")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.stdout == call("--version").stdout
    assert done.stdout.startswith("ringway, version ")
