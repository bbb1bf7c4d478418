"""Log lines: one line an event, whatever a client sent; the access log across rotation, drops and a dead disk."""

import contextlib
import fcntl
import json
import os
import re
import resource
import select
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest
from harness.waiting import PATIENCE

from ringway.control.logs import access_log, logs
from ringway.control.logs.access_log import AccessLog, as_json, combined
from ringway.control.running.notify import notify
from ringway.errors import RingwayError

RECORD: dict[str, Any] = {
    "time_ns": 1_795_464_903_123_456_789,
    "client": "192.0.2.7",
    "host": "example.com",
    "method": "GET",
    "target": "/a?b=c",
    "status": 200,
    "bytes": 5120,
    "first_byte_us": 1234,
    "total_us": 2_000_001,
    "upstream": "http://h:8080",
    "reason": "",
    "user_agent": "curl/8",
    "referer": "",
    "minor": 1,
    "tls": "1.3/AES128-GCM",
    "ktls": "send+receive",
}


class Ring:
    """Records put in by a test; `seen` counts those that were taken out."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.seen = threading.Semaphore(0)

    def put(self, **fields: Any) -> None:
        self.records.append(RECORD | fields)
        assert self.seen.acquire(timeout=10)

    def read(self, limit: int) -> list[dict[str, Any]]:
        found, self.records = self.records[:limit], self.records[limit:]
        for _ in found:
            self.seen.release()
        return found


def test_combined() -> None:
    assert combined(RECORD) == (
        '192.0.2.7 - - [23/Nov/2026:20:15:03 +0000] "GET /a?b=c HTTP/1.1" 200 5120 "-" "curl/8" host="example.com" '
        'first_byte=0.001234 total=2.000001 upstream="http://h:8080" reason="-" tls=1.3/AES128-GCM ktls=send+receive\n'
    )


def test_json() -> None:
    line = as_json(RECORD)
    entry = json.loads(line)
    assert entry["time"] == "2026-11-23T20:15:03.123Z"
    assert entry["protocol"] == "HTTP/1.1"
    assert (entry["reason"], entry["referer"], entry["first_byte_us"]) == (None, None, 1234)
    assert line.endswith("}\n")


def test_the_documents_name_each_key() -> None:
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    table = text.partition("| JSON key |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1:3] for row in table.splitlines()[2:]]
    assert sorted(key for keys, _ in rows for key in re.findall(r"`(\w+)`", keys)) == sorted(
        json.loads(as_json(RECORD))
    )
    named = [name for _, names in rows for name in re.findall(r"`(\w+)=`", names)]
    assert named == re.findall(r" (\w+)=", combined(RECORD))


@pytest.mark.parametrize("form", [combined, as_json])
def test_nothing_that_a_client_sends_makes_a_second_line_or_field(form: Any) -> None:
    evil = 'x"\\\r\n1.2.3.4 - - \x1b[31m\x00\x7f\x85\xe2\x80\xa8'
    line = form(RECORD | {"target": evil, "user_agent": evil, "referer": evil, "host": evil, "method": evil})
    assert line.count("\n") == 1
    assert line.isascii()
    assert line[:-1].isprintable()
    if form is combined:
        assert line.count('"') == 2 * 6
        assert r"x\x22\x5c\x0d\x0a1.2.3.4" in line
    else:
        assert json.loads(line)["method"].startswith('x"\\\r\n')


def test_json_shows_utf_8_as_text() -> None:
    octets = "größe".encode().decode("latin-1")
    assert json.loads(as_json(RECORD | {"target": octets}))["target"] == "größe"


def test_a_request_that_was_never_read() -> None:
    assert ' "-" 400 ' in combined(RECORD | {"method": "", "target": "", "status": 400})


def said(capfd: pytest.CaptureFixture[str]) -> str:
    """What was said on stderr since this was asked last."""
    logs.flush()
    return capfd.readouterr().err


def test_events_of_ringway_itself(capfd: pytest.CaptureFixture[str]) -> None:
    logs.warning("a\nb\x1b\udcff")
    line = said(capfd)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning a\\x0ab\\x1b\\xed\\xb3\\xbf\n", line)


def test_events_wait_for_nobody_and_what_is_lost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pipe: as many lines as are kept come in order, and in the place of the others how many there were."""
    reader, writer = os.pipe()
    os.write(writer, b"x" * fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096))
    with os.fdopen(writer, "wb", buffering=0) as stderr, os.fdopen(reader, "rb") as pipe:
        monkeypatch.setattr(sys, "stderr", stderr)
        for number in range(1500):
            logs.info(f"line {number}")
        logs.flush(0.01)
        pipe.read(4096)
        said = [pipe.readline().split(b" ", 1)[1].decode() for _ in range(1000)]
        assert said == [f"info line {number}\n" for number in range(1000)]
        assert pipe.readline().endswith(b" warning stderr was blocked, 500 lines of this log are lost\n")
        logs.info("again")
        assert pipe.readline().endswith(b" info again\n")
        logs.flush()


@pytest.mark.parametrize("shared", [True, False])
def test_stderr_that_somebody_else_made_nonblocking(monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    """The flag is one for all that share it: a line longer than the pipe then goes out in pieces."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, not shared)
    with os.fdopen(writer, "wb", buffering=0) as stderr, os.fdopen(reader, "rb") as pipe:
        monkeypatch.setattr(sys, "stderr", stderr)
        logs.info("y" * 20_000)
        assert pipe.readline().endswith(b" info " + b"y" * 20_000 + b"\n")
        logs.flush()


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("before\n")
    ring = Ring()
    log = AccessLog(str(path), "json")
    log.attach(0, ring, lambda: 0)
    log.start()
    ring.put(target="/after")
    log.stop()
    before, after = path.read_text().splitlines()
    assert before == "before"
    assert json.loads(after)["target"] == "/after"


def test_reopening_goes_on_in_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "access.log"
    opened = threading.Event()
    monkeypatch.setattr(logs, "info", lambda message: opened.set() if "reopened" in message else None)
    ring = Ring()
    log = AccessLog(str(path), "combined")
    log.attach(0, ring, lambda: 0)
    log.start()
    path.rename(tmp_path / "old.log")
    log.reopen()
    assert opened.wait(10)
    ring.put(target="/new")
    log.stop()
    assert "/new" in path.read_text()
    assert (tmp_path / "old.log").read_text() == ""


def open_files(path: Path) -> int:
    """How many descriptors of this process are of this file."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{name}") == str(path)
    return found


def test_reopening_closes_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a file that logrotate has removed keeps its place on the disk."""
    path, old = tmp_path / "access.log", tmp_path / "old.log"
    opened = threading.Event()
    monkeypatch.setattr(logs, "info", lambda message: opened.set() if "reopened" in message else None)
    log = AccessLog(str(path), "combined")
    log.start()
    for _ in range(3):
        path.rename(old)
        opened.clear()
        log.reopen()
        assert opened.wait(10)
        assert (open_files(old), open_files(path)) == (0, 1)
    log.stop()
    assert open_files(path) == 0


def test_another_file_after_a_reload_closes_the_old_one(tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    log = AccessLog(str(first), "combined")
    log.start()
    log.change(str(second), "json")
    log.stop()
    assert (open_files(first), open_files(second)) == (0, 0)


def test_one_worker_cannot_fill_the_log_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(logs, "warning", lines.append)
    monkeypatch.setattr(access_log.time, "monotonic", lambda: 5.0)
    ring, other = Ring(), Ring()
    ring.records = [{"event": "peers", "number": 0, "detail": "x" * 60_000}] * 500
    other.records = [{"event": "key_update", "number": 0, "detail": ""}]
    log = AccessLog(None, "json")
    log.attach(0, ring, lambda: 0)
    log.attach(1, other, lambda: 0)
    log.start()
    log.stop()
    told = [line for line in lines if line.startswith("worker 0: cannot use the new certificate")]
    assert len(told) == 64
    assert len(told) == 64
    assert max(map(len, lines)) < 1000
    assert max(map(len, lines)) < 1000
    assert "worker 0: 436 more events in one second than Ringway logs" in lines
    assert "worker 0: 436 more events in one second than Ringway logs" in lines
    assert any(line.startswith("worker 1: ") for line in lines)


def test_a_ring_that_cannot_be_read_is_told_once_and_the_others_go_on(tmp_path: Path) -> None:
    class Broken(Ring):
        def read(self, limit: int) -> list:
            raise ValueError("a record of 0 bytes")

    told: list[str] = []
    good, path = Ring(), tmp_path / "a.log"
    log = AccessLog(str(path), "json")
    log.attach(0, Broken(), lambda: 0, broken=told.append)
    log.attach(1, good, lambda: 0)
    log.start()
    for number in range(3):
        good.put(target=f"/{number}")
    log.stop()
    assert told == ["a record of 0 bytes"]
    assert path.read_text().count("\n") == 3


def test_records_of_several_workers_are_in_the_order_of_time(tmp_path: Path) -> None:
    first, second = Ring(), Ring()
    first.records = [RECORD | {"time_ns": 3, "target": "/3"}, RECORD | {"time_ns": 5, "target": "/5"}]
    second.records = [RECORD | {"time_ns": 4, "target": "/4"}]
    log = AccessLog(str(tmp_path / "a.log"), "json")
    log.attach(0, first, lambda: 0)
    log.attach(1, second, lambda: 0)
    log.start()
    log.stop()
    targets = [json.loads(line)["target"] for line in (tmp_path / "a.log").read_text().splitlines()]
    assert targets == ["/3", "/4", "/5"]


def test_what_a_dead_worker_left_is_written_before_its_ring_is_released(tmp_path: Path) -> None:
    ring = Ring()
    ring.records = [dict(RECORD)]
    path = tmp_path / "a.log"
    written: list[int] = []
    log = AccessLog(str(path), "json")
    log.attach(0, ring, lambda: 0, lambda: written.append(path.read_text().count("\n")))
    log.attach(0, Ring(), lambda: 0, lambda: written.append(-1))
    assert not written
    log.start()
    log.stop()
    assert written == [1, -1]


def test_a_worker_that_comes_and_goes_while_the_rings_are_read_leaves_nothing(tmp_path: Path) -> None:
    released = threading.Event()

    class Slow(Ring):
        def read(self, limit: int) -> list:
            if not log.met:
                log.met = True
                log.attach(1, Ring(), lambda: 0, released.set)
                log.detach(1)
            return super().read(limit)

    class Log(AccessLog):
        met = False

    log = Log(str(tmp_path / "a.log"), "json")
    log.attach(0, Slow(), lambda: 0)
    log.start()
    assert released.wait(10)
    log.stop()


class Stuck:
    """A pipe as stdout that nobody reads; `full` waits until the log cannot write any more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        monkeypatch.setattr(sys, "__stdout__", types.SimpleNamespace(fileno=lambda: self.writer))
        monkeypatch.setattr(access_log, "_STUCK", 0.2 * PATIENCE)

    def full(self) -> None:
        full = select.poll()
        full.register(self.writer, select.POLLOUT)
        end = time.monotonic() + 20
        while full.poll(0):
            assert time.monotonic() < end

    def read(self) -> str:
        os.close(self.writer)
        with os.fdopen(self.reader, encoding="ascii") as stream:
            return stream.read()


def test_a_reader_that_stands_still_holds_up_neither_a_start_nor_the_end(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pipe = Stuck(monkeypatch)
    first, second = Ring(), Ring()
    first.records = [RECORD | {"target": f"/{number}"} for number in range(2000)]
    second.records = [RECORD | {"target": f"/{number}"} for number in range(2000, 2100)]
    released: list[str] = []
    log = AccessLog("stdout", "json")
    log.attach(0, first, lambda: 0, lambda: released.append("first"))
    log.start()
    pipe.full()
    log.attach(0, second, lambda: 0, lambda: released.append("second"))  # its worker died
    assert not released
    log.stop()
    assert released == ["first", "second"]
    lines = pipe.read().splitlines()
    assert [json.loads(line)["target"] for line in lines] == [f"/{number}" for number in range(len(lines))]
    (told,) = said(capfd).splitlines()
    assert told.endswith(f" warning the access log stdout accepts no more lines, {2100 - len(lines)} lines are lost")


def test_what_is_left_is_counted_however_long_that_takes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pipe = Stuck(monkeypatch)
    waited = threading.Semaphore(0)
    join = threading.Thread.join

    class Slow(Ring):
        def read(self, limit: int) -> list[dict[str, Any]]:
            assert waited.acquire(timeout=10)  # the end has waited once more
            return super().read(limit)

    def joined(thread: threading.Thread, timeout: float | None = None) -> None:
        """Once the lines are given up, time passes only when the thread makes progress: the machine may be slow."""
        seen = log._progress
        waited.release()
        join(thread, timeout)
        while log._given_up and thread.is_alive() and log._progress == seen:
            join(thread, timeout)

    first, slow = Ring(), Slow()
    first.records, slow.records = [dict(RECORD)] * 2000, [dict(RECORD)] * 5000
    log = AccessLog("stdout", "json")
    log.attach(0, first, lambda: 0)
    log.start()
    pipe.full()
    log.attach(0, slow, lambda: 0)
    monkeypatch.setattr(threading.Thread, "join", joined)
    log.stop()
    lines = pipe.read().splitlines()
    (told,) = said(capfd).splitlines()
    assert told.endswith(f" warning the access log stdout accepts no more lines, {7000 - len(lines)} lines are lost")


def test_a_reader_that_goes_on_gets_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Stuck(monkeypatch)
    monkeypatch.setattr(access_log, "_STUCK", 60)
    ring = Ring()
    ring.records = [RECORD | {"target": f"/{number}"} for number in range(2000)]
    log = AccessLog("stdout", "json")
    log.attach(0, ring, lambda: 0)
    log.start()
    pipe.full()
    lines: list[str] = []
    reading = threading.Thread(target=lambda: lines.extend(pipe_lines(pipe.reader, 2000)))
    reading.start()
    log.stop()
    reading.join(20)
    os.close(pipe.writer)
    assert [json.loads(line)["target"] for line in lines] == [f"/{number}" for number in range(2000)]


def pipe_lines(reader: int, count: int) -> list[str]:
    with os.fdopen(reader, encoding="ascii") as stream:
        return [stream.readline() for _ in range(count)]


def test_workers_that_die_while_the_log_stands_still_are_bounded(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pipe = Stuck(monkeypatch)
    ring = Ring()
    ring.records = [dict(RECORD) for _ in range(2000)]
    released: list[int] = []
    log = AccessLog("stdout", "json")
    log.attach(0, ring, lambda: 0, lambda: released.append(0))
    log.start()
    pipe.full()
    for number in range(1, access_log._WAITING_MOST + 3):
        log.attach(0, Ring(), lambda: 0, lambda number=number: released.append(number))  # type: ignore[misc]
    assert released == [1, 2]
    assert said(capfd).count("the records of a dead process are lost") == 2
    log.stop()
    assert released == [1, 2, 0, *range(3, access_log._WAITING_MOST + 3)]
    pipe.read()


@pytest.mark.parametrize("read", [False, True])
def test_a_fifo_is_no_log(tmp_path: Path, read: bool) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if read else -1
    expected = "is neither a file nor a device; name a file, or" if read else "cannot be opened"
    with pytest.raises(RingwayError, match=expected):
        AccessLog(str(path), "json")
    if read:
        os.close(reader)


def test_events_and_drops_are_told_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    ring = Ring()
    ring.records = [{"event": "connect_failed", "number": 111, "detail": "http://a\nb"}, dict(RECORD)]
    log = AccessLog(None, "combined")
    log.attach(2, ring, lambda: 7)
    log.start()
    log.stop()
    lines = said(capfd).splitlines()
    assert lines[0].endswith(r" warning worker 2: cannot connect to http://a\x0ab (Connection refused)")
    assert lines[1].endswith(" warning worker 2: 7 access records dropped, the log was too slow")
    assert len(lines) == 2


FULL = "the access log {path} cannot be written (No space left on device), lines are lost"


def told(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The warnings, without their time."""
    return [line.partition(" warning ")[2] for line in said(capfd).splitlines() if " warning " in line]


def test_a_disk_that_is_full_is_told_once_and_lines_are_counted(capfd: pytest.CaptureFixture[str]) -> None:
    ring = Ring()
    log = AccessLog("/dev/full", "combined")
    log.attach(0, ring, lambda: 0)
    log.start()
    ring.put()
    ring.put()
    log.stop()
    full = FULL.format(path="/dev/full")
    assert told(capfd) == [full, "the access log /dev/full accepts no more lines, 2 lines are lost"]


def test_lines_that_are_lost_are_counted_again_and_again(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(access_log, "_DROPS_EVERY", -1)
    ring = Ring()
    log = AccessLog("/dev/full", "combined")
    log.attach(0, ring, lambda: 0)
    log.start()
    for _ in range(5):
        ring.put()
    log.stop()
    first, *counts = told(capfd)
    assert first == FULL.format(path="/dev/full")
    assert "the access log /dev/full cannot be written, 1 lines are lost" in counts
    assert sum(int(re.findall(r"(\d+) lines are lost", line)[0]) for line in counts) == 5


def test_lines_that_are_lost_are_told_when_the_log_recovers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "access.log"
    path.symlink_to("/dev/full")
    ring = Ring()
    log = AccessLog(str(path), "json")
    log.attach(0, ring, lambda: 0)
    log.start()
    for _ in range(3):
        ring.put(target="/lost")
    path.unlink()
    log.reopen()
    ring.put(target="/again")
    log.stop()
    warnings = told(capfd)
    assert warnings == [FULL.format(path=path), f"the access log {path} can be written again, 3 lines are lost"]
    assert [json.loads(line)["target"] for line in path.read_text().splitlines()] == ["/again"]


def test_a_line_that_was_written_in_part_spoils_no_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "access.log"
    size = 1 << 30  # larger than whatever else this process may write: its limit is one for all files
    with path.open("wb") as stream:
        stream.truncate(size)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ring = Ring()
    log = AccessLog(str(path), "json")
    log.attach(0, ring, lambda: 0)
    log.start()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limit[1]))
        ring.put(target="/torn")
        ring.put(target="/lost")
        ring.put(target="/lost")  # taken: so the one before is written, or not
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    ring.put(target="/whole")
    log.stop()
    with path.open("rb") as stream:
        stream.seek(size)
        torn, *whole = stream.read().splitlines()
    assert len(torn) == 100
    targets = [json.loads(line)["target"] for line in whole]
    assert targets in (["/whole"], ["/lost", "/whole"])
    first, second = told(capfd)
    assert first == f"the access log {path} cannot be written (File too large), lines are lost"
    lost = 4 - len(targets)
    assert second == f"the access log {path} can be written again, {lost} lines are lost"


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RingwayError, match=r"access_log\.path: .* cannot be opened \(Is a directory\)"):
        AccessLog(str(tmp_path), "combined")


def test_formats_are_those_of_the_configuration() -> None:
    from ringway.config.model import AccessLog

    schema = AccessLog.model_json_schema()
    assert schema["properties"]["format"]["enum"] == list(access_log.FORMATS)


def test_the_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert notify("READY=1")
        assert manager.recv(100) == b"READY=1"
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not notify("READY=1")
