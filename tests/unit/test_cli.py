"""The command line as a user meets it."""

import json
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import ringway
from ringway.config.load import load
from ringway.control.commands.report import report
from ringway.demo import SITE, demo_config
from ringway.demo.origin import Origin


def call(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "ringway", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        check=False,
    )


def test_version_and_help_import_nothing_heavy() -> None:
    assert call("--version").stdout == f"ringway, version {ringway.__version__}\n"
    code = "import sys, ringway.cli; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pydantic", "cryptography"} & set(found)


@pytest.mark.parametrize("command", ["run", "check", "cert", "demo", "schema"])
def test_every_command_has_a_help_text(command: str) -> None:
    done = call(command, "--help")
    assert done.returncode == 0
    assert f"Usage: ringway {command}" in done.stdout
    assert len(done.stdout) > 100


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_help_keeps_its_columns(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """In a wide terminal there is room to join two lines."""
    monkeypatch.setenv("COLUMNS", columns)
    lines = call("--help").stdout.splitlines()
    for command in ("demo", "cert", "check", "run", "reload", "upgrade"):
        (line,) = [line for line in lines if re.search(rf": +ringway {command}\b", line)]
        assert line.index("ringway") == 37, line


@pytest.mark.parametrize("command", ["run", "check"])
def test_everything_wrong_is_one_line_each_and_exit_code_1(command: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[server]\nlisten = "x"\nthreds = 2\n[tls]\ncert_path = "a"\nkey_path = "b"\n'
    )
    done = call(command, folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith('error: config.toml:2: server.listen: "x" is not an address with a port; write')
    assert lines[1] == "error: config.toml:3: server.threds: there is no such key; did you mean `threads`?"
    assert lines[2].startswith(f'error: config.toml:5: tls.cert_path: "{tmp_path}/a" does not exist; make one with')
    assert lines[3].startswith(f'error: config.toml:6: tls.key_path: "{tmp_path}/b" does not exist')
    assert lines[4:] == ["4 problems"]


def test_no_file_at_all(tmp_path: Path) -> None:
    done = call("run", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: config.toml: there is no such file; name one with")


def test_a_taken_port_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        (tmp_path / "config.toml").write_text(
            f'[server]\nlisten = "{address}"\n[host_routes]\n"*" = {{type="File", path="."}}'
        )
        done = call("run", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: cannot listen on {address}: the port is in use")
    assert "Traceback" not in done.stderr


def test_cert_makes_what_run_takes(tmp_path: Path) -> None:
    done = call("cert", "pair", "--curve", "secp384r1", "--host", "localhost", "--host", "127.0.0.1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    config = done.stdout[done.stdout.index("[tls]") :] + '[server]\nlisten = "127.0.0.1:0"\n'
    (tmp_path / "config.toml").write_text(config)
    assert call("check", folder=tmp_path).returncode == 0
    again = call("cert", "pair", folder=tmp_path)
    assert again.returncode == 1
    assert again.stderr == 'error: "pair/server.crt" exists; use --force to replace it\n'


@pytest.mark.parametrize("host", ["ü.test", "", "a b"])
def test_cert_says_what_is_wrong_with_a_name(tmp_path: Path, host: str) -> None:
    done = call("cert", "pair", "--host", host, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f'error: --host: "{host}" is not ')
    assert "; write " in line
    assert not (tmp_path / "pair").exists()


def test_the_schema_is_json() -> None:
    assert json.loads(call("schema").stdout)["title"] == "Ringway's config.toml"


def test_the_report_says_what_would_run(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        f"""
[server]
listen = "127.0.0.1:8443"
threads = 2
[host_routes]
"*" = {{ type = "File", path = "{tmp_path}" }}
"a.example" = {{ type = "Redirect", to = "https://b.example{{path}}", status = 302 }}
[path_routes."*"]
"/api/" = {{ type = "Proxy", url = "http://127.0.0.1:9/v2", strip_prefix = false }}
"/b/" = {{ type = "Proxy", url = "http://no-such-name.invalid" }}
"""
    )
    lines = [" ".join(line.split()) for line in report(load(str(file)))]
    assert "http://127.0.0.1:8443" in lines
    assert [line for line in lines if line.startswith("worker 1 CPU ")]
    without = "; no index.html in it: 404 for the folder itself"
    assert f"* (other paths) File folder {tmp_path} (sendfile){without}" in lines
    assert "Included files:" not in lines
    (tmp_path / "index.html").write_text("x")
    assert f"* (other paths) File folder {tmp_path} (sendfile)" in [
        " ".join(x.split()) for x in report(load(str(file)))
    ]
    assert "* /api/ Proxy http://127.0.0.1:9/v2, prefix kept" in lines
    assert "a.example (other paths) Redirect 302 to https://b.example{path}" in lines
    assert "http://127.0.0.1:9 127.0.0.1" in lines
    assert [line for line in lines if line.startswith("http://no-such-name.invalid:80 does not resolve (")]
    for name in ("I/O driver", "kernel TLS", "open files", "cgroup CPU quota", "CPUs allowed", "balanced by"):
        assert [line for line in lines if line.startswith(name)], name


def test_the_report_lists_the_included_files(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('include = "b.toml"\n')
    (tmp_path / "b.toml").write_text("[server]\nlisten = 8443\n")
    file = tmp_path / "config.toml"
    file.write_text('include = "a.toml"\n')
    lines = report(load(str(file)))
    start = lines.index("Included files:")
    assert lines[start + 1 : start + 4] == [f"  {tmp_path}/a.toml", f"  {tmp_path}/b.toml", ""]


def test_the_demos_application_answers_with_what_it_was_asked() -> None:
    with Origin() as origin:
        request = urllib.request.Request(f"http://127.0.0.1:{origin.port}/hello?a=b", b"x" * 100_000, {"X-Mine": "yes"})
        with urllib.request.urlopen(request, timeout=20) as response:
            said = json.load(response)
        port = origin.port
    assert (said["method"], said["path"], said["body_bytes"]) == ("POST", "/hello?a=b", 100_000)
    assert said["headers"]["X-Mine"] == "yes"
    assert said["body"] == "x" * 16384
    assert said["body_note"] == "cut: these are the first 16384 bytes"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def mirrored(origin: Origin, *fields: str, body: bytes = b"") -> Any:
    head = "\r\n".join(["POST / HTTP/1.0", "Host: h", f"Content-Length: {len(body)}", *fields, "", ""])
    with socket.create_connection(("127.0.0.1", origin.port), timeout=20) as sock:
        sock.sendall(head.encode("latin-1") + body)
        with sock.makefile("rb") as stream:
            return json.loads(stream.read().partition(b"\r\n\r\n")[2])


def test_the_demos_application_shows_every_line_of_the_head() -> None:
    with Origin() as origin:
        said = mirrored(origin, "X-Two: a", "Cookie: a=b", "x-two: b, c", "cookie: c=d", "X-Empty:")
    assert said["headers"] == {
        "Host": "h",
        "Content-Length": "0",
        "X-Two": ["a", "b, c"],
        "Cookie": ["a=b", "c=d"],
        "X-Empty": "",
    }
    assert (said["body"], said["body_bytes"]) == ("", 0)
    assert "body_note" not in said


@pytest.mark.parametrize(
    ("body", "text", "note"),
    [
        ("größe".encode(), "größe", None),
        (b"x" * 16384, "x" * 16384, None),
        (b"x" * 16385, "x" * 16384, "cut: these are the first 16384 bytes"),
        (b"x" * 16383 + "ß".encode() * 9, "x" * 16383, "cut: these are the first 16384 bytes"),
        (b"\xff\x00", None, "not shown: it is not UTF-8"),
        (b"x" * 9 + "ß".encode()[:1], None, "not shown: it is not UTF-8"),
        (b"\xff" * 100_000, None, "not shown: it is not UTF-8"),
    ],
    ids=["text", "just so much", "cut", "cut within a character", "octets", "half a character", "many octets"],
)
def test_the_demos_application_shows_the_body(body: bytes, text: str | None, note: str | None) -> None:
    with Origin() as origin:
        said = mirrored(origin, body=body)
    assert (said["body_bytes"], said["body"], said.get("body_note")) == (len(body), text, note)


def test_the_demos_application_takes_chunks_and_waits_with_100_continue() -> None:
    with Origin() as origin, socket.create_connection(("127.0.0.1", origin.port), timeout=20) as sock:
        head = b"PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        sock.sendall(head)
        stream = sock.makefile("rb")
        assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
        sock.sendall(b"5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\nGET /next HTTP/1.0\r\n\r\n")
        answer = stream.read()
        assert b'"body_bytes": 8' in answer
        assert b'"body": "helloabc"' in answer
        assert b'"path": "/next"' in answer
        stream.close()


def test_the_demos_site_is_installed_and_whole(tmp_path: Path) -> None:
    from ringway.config.values import Address

    config = demo_config([Address("127.0.0.1", 0)], 8080, "c", "k")
    assert list(config.host_routes) == ["*"]
    page = (SITE / "index.html").read_text(encoding="utf-8")
    for name in ("style.css", "ring.svg"):
        assert name in page
        assert (SITE / name).is_file()


def test_the_demo_says_what_is_wrong_with_its_address() -> None:
    done = call("demo", "--listen", "localhost")
    assert done.returncode == 1
    assert done.stderr.startswith('error: --listen: "localhost" has no port; write "localhost:443"')
