"""The access log of the real process: its content, its destination, and log rotation."""

import datetime
import fcntl
import json
import os
import re
import select
import signal
import threading
import time

import pytest
from harness.memory import counters_of
from harness.waiting import DEADLINE

# The combined log format with Ringway's additions.
COMBINED = re.compile(
    r'(?P<client>\S+) - - \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d+) (?P<bytes>\d+) '
    r'"(?P<referer>[^"]*)" "(?P<agent>[^"]*)" host="(?P<host>[^"]*)" first_byte=(?P<first_byte>\d+\.\d+) '
    r'total=(?P<total>\d+\.\d+) upstream="(?P<upstream>[^"]*)" reason="(?P<reason>[^"]*)" '
    r"tls=(?P<tls>\S+) ktls=(?P<ktls>\S+)\n"
)


ABC = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


@pytest.fixture
def site(tmp_path, upstream, certificate):
    """Returns a configuration with all kinds of routes."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("hello")
    origin = upstream()
    return origin, {
        "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
        "tls": certificate,
        "host_routes": {
            "files": {"type": "File", "path": root},
            "app": {"type": "Proxy", "url": origin.url},
            "old": {"type": "Redirect", "to": "https://new{path}"},
        },
    }


def lines_of(path, count):
    """Waits until the file has this many lines, and returns them."""
    end = time.monotonic() + DEADLINE
    while True:
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        if len(lines) >= count and lines[-1].endswith("\n"):
            assert len(lines) == count, lines
            return lines
        assert time.monotonic() < end, f"{len(lines)} of {count} lines: {lines}"


def talk(server, origin):
    """Sends seven requests of every kind, in order. Returns the target of the slow one, and its minimum time in
    microseconds."""
    gate = threading.Event()
    slow = origin.on(lambda link, request: (gate.wait(DEADLINE), link.send(ABC)))
    with server.connect() as client:
        client.get("/a.txt?x=1", "User-Agent: tester/1.0", "Referer: http://from/here", host="files")
        client.get("/missing", host="files")
        client.get("/path", host="old")
        client.get("/a.txt", host="files", method="HEAD")
    with server.connect(tls=True) as client:
        client.send(f"GET {slow} HTTP/1.1\r\nHost: app\r\n\r\n".encode())
        origin.request(slow)
        began = time.monotonic_ns()
        for _ in range(20):
            server.connect().close()  # a request that takes its time and writes no line
        least = (time.monotonic_ns() - began) // 1000
        gate.set()
        client.response()
    with server.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        client.response()
    with server.connect() as client:
        client.get("/", host="nobody")
    return slow, least


def test_json(ringway, site, tmp_path):
    origin, config = site
    path = tmp_path / "access.log"
    before = time.time()
    server = ringway({**config, "access_log": {"path": str(path), "format": "json"}})
    slow, least = talk(server, origin)
    found = [json.loads(line) for line in lines_of(path, 7)]
    for entry in found:
        assert list(entry) == [
            *("time", "client", "host", "method", "target", "protocol", "status", "bytes", "first_byte_us", "total_us"),
            *("upstream", "reason", "tls", "ktls", "referer", "user_agent"),
        ]
        assert entry["client"] == "127.0.0.1"
        moment = datetime.datetime.fromisoformat(entry["time"]).timestamp()
        assert before - 1 < moment < time.time() + 1
        assert 0 <= entry["first_byte_us"] <= entry["total_us"] < 60_000_000
    file, missing, redirect, head, proxied, broken, nobody = found
    assert pick(file, "host method target protocol status bytes upstream reason tls referer user_agent") == [
        *("files", "GET", "/a.txt?x=1", "HTTP/1.1", 200, 5, None, None, None),
        *("http://from/here", "tester/1.0"),
    ]
    assert pick(missing, "target status reason") == ["/missing", 404, "file_not_found"]
    assert missing["bytes"] > 0
    assert pick(redirect, "host target status bytes reason") == ["old", "/path", 308, 0, None]
    assert pick(head, "method status bytes") == ["HEAD", 200, 0]
    assert pick(proxied, "host target status bytes upstream reason") == ["app", slow, 200, 3, origin.url, None]
    assert re.fullmatch(r"1\.3/AES(128|256)-GCM|1\.3/CHACHA20-POLY1305", proxied["tls"])
    assert least <= proxied["first_byte_us"] <= proxied["total_us"]
    assert pick(broken, "status reason") == [400, "bad_request_line"]
    assert pick(nobody, "host status reason") == ["nobody", 404, "no_route"]


def pick(entry, names):
    return [entry[name] for name in names.split()]


def test_combined(ringway, site, tmp_path):
    origin, config = site
    path = tmp_path / "access.log"
    server = ringway({**config, "access_log": {"path": str(path), "format": "combined"}})
    slow, least = talk(server, origin)
    lines = lines_of(path, 7)
    found = [COMBINED.fullmatch(line) for line in lines]
    assert all(found), lines
    file, missing, redirect, head, proxied, broken, nobody = (match.groupdict() for match in found)
    assert pick(file, "client request status bytes referer agent host upstream reason tls") == [
        *("127.0.0.1", "GET /a.txt?x=1 HTTP/1.1", "200", "5", "http://from/here", "tester/1.0", "files"),
        *("-", "-", "-"),
    ]
    moment = datetime.datetime.strptime(file["time"], "%d/%b/%Y:%H:%M:%S %z")
    assert abs(moment.timestamp() - time.time()) < 60
    assert pick(missing, "request status reason") == ["GET /missing HTTP/1.1", "404", "file_not_found"]
    assert pick(redirect, "status bytes") == ["308", "0"]
    assert pick(head, "request bytes") == ["HEAD /a.txt HTTP/1.1", "0"]
    assert pick(proxied, "request status bytes upstream") == [f"GET {slow} HTTP/1.1", "200", "3", origin.url]
    assert least / 1e6 <= float(proxied["first_byte"]) <= float(proxied["total"]) < 60
    assert broken["status"] == "400"
    assert pick(nobody, "host status reason") == ["nobody", "404", "no_route"]


def elapsed_us(server, least=20):
    """Returns the microseconds of some requests of another client. Before them, the worker has seen everything that was
    sent."""
    with server.connect() as other:
        other.get("/a.txt?first", host="files")
        began = time.monotonic_ns()
        for _ in range(least):
            other.get("/a.txt?other", host="files")
        return (time.monotonic_ns() - began) // 1000


def test_times_begin_with_the_first_byte_of_the_request(ringway, site):
    """The time includes a head that arrives slowly, but not the pause between two requests."""
    _, config = site
    server = ringway(config)
    with server.connect() as client:
        for turn in ("new", "kept"):
            elapsed_us(server)  # pause
            began = time.monotonic_ns()
            client.send(f"GET /a.txt?{turn} HTTP/1.1\r\nHo".encode())
            least = elapsed_us(server)
            client.send(b"st: files\r\n\r\n")
            assert client.response().status == 200
            record = server.record(f"/a.txt?{turn}")
            most = (time.monotonic_ns() - began) // 1000
            assert least <= record["first_byte_us"] <= record["total_us"] <= most


@pytest.mark.parametrize("together", [True, False], ids=["with the one before", "after it"])
@pytest.mark.parametrize("body", ["", "Content-Length: 2"], ids=["no body", "body"])
def test_times_of_a_pipelined_request_begin_when_it_came(ringway, site, together, body):
    """The time includes waiting for the request before it."""
    origin, config = site
    server = ringway(config)
    gate = threading.Event()
    held = origin.on(lambda link, request: (gate.wait(DEADLINE), link.send(ABC)))
    first = f"POST {held} HTTP/1.1\r\nHost: app\r\n{body}\r\n\r\n".encode() + b"ab"
    if not body:
        first = f"GET {held} HTTP/1.1\r\nHost: app\r\n\r\n".encode()
    second = b"GET /a.txt?second HTTP/1.1\r\nHost: files\r\n\r\n"
    with server.connect() as client:
        began = time.monotonic_ns()
        client.send(first + second if together else first)
        origin.request(held)
        if not together:
            client.send(second)
        least = elapsed_us(server)
        gate.set()
        assert client.response().body == b"abc"
        assert client.response().body == b"hello"
    record = server.record("/a.txt?second")
    assert least <= record["total_us"] <= (time.monotonic_ns() - began) // 1000


@pytest.mark.parametrize("form", ["json", "combined"])
def test_nothing_that_a_client_sends_makes_a_line_of_its_own(ringway, site, tmp_path, form):
    _, config = site
    path = tmp_path / "access.log"
    server = ringway({**config, "access_log": {"path": str(path), "format": form}})
    with server.connect() as client:
        client.send(b'GET /"\x80\xff HTTP/1.1\r\nHost: files\r\nUser-Agent: a"b\\\x1b[2J\r\n\r\n')
        client.response()
    with server.connect() as client:
        client.send(b'GET /?a"b HTTP/1.1\r\nHost: files\r\nUser-Agent: q"\xc3\xa4\t\\x\r\n\r\n')
        client.response()
    lines = lines_of(path, 2)
    for line in lines:
        assert line.isascii()
        assert line[:-1].isprintable()
        if form == "json":
            json.loads(line)
        else:
            assert COMBINED.fullmatch(line), line


def test_reopened_on_sigusr1(ringway, site, tmp_path):
    """As logrotate does: rename, then signal. No line is lost, and no new line goes to the old file."""
    _, config = site
    path = tmp_path / "access.log"
    server = ringway({**config, "access_log": {"path": str(path), "format": "json"}})
    with server.connect() as client:
        for turn in range(3):
            for number in range(10):
                client.get(f"/{turn}/{number}", host="files")
            lines_of(path, 10)
            os.rename(path, tmp_path / f"access.log.{turn}")
            server.process.send_signal(signal.SIGUSR1)
            server.wait_for(
                lambda turn=turn: sum(f"access log {path} reopened" in line for line in server.lines) == turn + 1,
                "reopening",
            )
        client.get("/last", host="files")
        assert [json.loads(line)["target"] for line in lines_of(path, 1)] == ["/last"]
    for turn in range(3):
        entries = [json.loads(line) for line in (tmp_path / f"access.log.{turn}").read_text().splitlines()]
        assert [entry["target"] for entry in entries] == [f"/{turn}/{number}" for number in range(10)]


def test_a_reopening_that_fails_keeps_the_old_file(ringway, site, tmp_path):
    _, config = site
    logs = tmp_path / "logs"
    logs.mkdir()
    server = ringway({**config, "access_log": {"path": str(logs / "access.log"), "format": "json"}})
    with server.connect() as client:
        client.get("/1", host="files")
        lines_of(logs / "access.log", 1)
        logs.rename(tmp_path / "moved")
        server.process.send_signal(signal.SIGUSR1)
        server.wait_line("the old file stays in use")
        client.get("/2", host="files")
        lines_of(tmp_path / "moved/access.log", 2)


def test_it_goes_on_where_it_was(ringway, site, tmp_path):
    """A second run appends. Only owner and group can read the file."""
    _, config = site
    path = tmp_path / "access.log"
    for count in (1, 2):
        server = ringway({**config, "access_log": {"path": str(path), "format": "json"}})
        with server.connect() as client:
            client.get("/a.txt", host="files")
        server.stop()
        assert len(path.read_text().splitlines()) == count  # written before the end
    assert path.stat().st_mode & 0o777 == 0o640


def test_off_by_default(ringway, tmp_path):
    (tmp_path / "index.html").write_text("x")
    server = ringway(
        f'[server]\nlisten = "127.0.0.1:0"\nthreads = 1\n'
        f'[host_routes]\n"*" = {{ type = "File", path = "{tmp_path}" }}\n'
    )
    with server.connect() as client:
        assert client.get("/").body == b"x"
        assert client.get("/missing").status == 404
    server.stop()
    assert server.records == []
    assert not [line for line in server.lines if "GET" in line or "/missing" in line]
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", server.file.name}


def test_a_full_log_drops_and_counts_but_never_waits(ringway, site):
    """Requests continue, and dropped records are counted."""
    _, config = site
    server = ringway(config)
    (pid,) = server.worker_pids
    batch = b"GET /a.txt HTTP/1.1\r\nHost: files\r\nUser-Agent: %b\r\n\r\n" % (b"x" * 900) * 50
    os.kill(server.process.pid, signal.SIGSTOP)  # nothing reads the ring
    try:
        sent = 0
        while counters_of(pid)["records_dropped"] == 0:
            assert sent < 100_000
            with server.connect() as client:
                for _ in range(20):
                    client.send(batch)
                    for _ in range(50):
                        assert client.response().status == 200
                        sent += 1
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    server.stop()
    dropped = re.search(r"worker 0: (\d+) access records dropped", server.text)
    assert dropped
    # Each request is either written or counted.
    assert len(server.records) + int(dropped[1]) == sent


def test_a_reader_of_stdout_that_stands_still_holds_nothing_up(ringway, site):
    """A worker that dies is restarted, SIGTERM ends everything, and lost lines are logged."""
    _, config = site
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    try:
        server = ringway(config, stdout=writer)
        server.expected = [r"worker 0 .* died: "]
        (pid,) = server.worker_pids
        with server.connect() as client:
            for _ in range(40):
                client.send(b"GET /a.txt HTTP/1.1\r\nHost: files\r\n\r\n" * 50)
                for _ in range(50):
                    assert client.response().status == 200
        full = select.poll()
        full.register(writer, select.POLLOUT)
        end = time.monotonic() + DEADLINE
        while full.poll(0):
            assert time.monotonic() < end
        os.kill(pid, signal.SIGKILL)
        server.wait_for(lambda: len(server.worker_pids) == 2, "a second worker")
        with server.connect() as client:
            assert client.get("/a.txt", host="files").status == 200
        server.stop()
        os.close(writer)
        writer = -1
        with os.fdopen(reader, "rb", closefd=False) as stream:
            written = len(stream.readlines())
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    lost = re.search(r"warning the access log stdout accepts no more lines, (\d+) lines are lost", server.text)
    assert lost
    assert written + int(lost[1]) == 2001
