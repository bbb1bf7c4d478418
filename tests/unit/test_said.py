"""What a worker says is taken strictly: the supervisor goes on, whatever it sends."""

import json
import socket
import sys

import pytest

from ringway.control.running import process
from ringway.control.running.process import WorkerProcess
from ringway.control.running.said import LINE_MOST, BrokenWorker, Lines, parse

READY = {"ready": {"driver": "epoll", "features": ["none"], "pinned": False}}
STOPPED = {"stopped": {"gauges": {"clients": 0}, "open": []}}
RENEWED = {"renewed": {"number": 3, "error": ""}}


@pytest.mark.parametrize(
    "message",
    [READY, STOPPED, RENEWED, {"failed": "there is no ring"}, {"no_driver": {"error": 12}}],
    ids=lambda message: next(iter(message)),
)
def test_what_a_worker_says(message: dict) -> None:
    assert {parse(json.dumps(message).encode())[0]: parse(json.dumps(message).encode())[1]} == message


BROKEN = [
    b"",
    b"5",
    b"null",
    b"[]",
    b'"ready"',
    b"{}",
    b"\xff",
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b'{"unknown": 1}',
    b'{"ready": {}, "stopped": {}}',
    b'{"ready": true}',
    b'{"ready": {"driver": "x", "features": [], "pinned": 1}}',
    b'{"ready": {"driver": "x", "features": [5], "pinned": true}}',
    b'{"ready": {"driver": "x", "features": [], "pinned": true, "more": 1}}',
    b'{"renewed": {"number": true, "error": ""}}',
    b'{"renewed": {"number": 1.5, "error": ""}}',
    b'{"renewed": {"number": 1e999, "error": ""}}',
    b'{"renewed": {"number": NaN, "error": ""}}',
    b'{"renewed": {"number": 1, "error": null}}',
    b'{"renewed": {"error": ""}}',
    b'{"failed": ["x"]}',
    b'{"failed": "' + b"x" * 5000 + b'"}',
    b'{"no_driver": {"error": 0}}',
    b'{"no_driver": {"error": "12"}}',
    b'{"stopped": {"gauges": {"clients": "1"}, "open": []}}',
    b'{"stopped": {"gauges": [], "open": []}}',
    b'{"stopped": {"gauges": {}, "open": [' + b",".join([b'"x"'] * 65) + b"]}}",
    b'{"stopped": null}',
    b'{"no_driver": {"error": ' + b"9" * 10_000 + b"}}",
]


@pytest.mark.parametrize("line", BROKEN, ids=lambda line: line[:40].decode("latin-1"))
def test_what_no_worker_says(line: bytes) -> None:
    with pytest.raises(BrokenWorker):
        parse(line)


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    lines = Lines()
    for _ in range(LINE_MOST // 4096):
        assert lines.take(b"x" * 4096) == []
    with pytest.raises(BrokenWorker):
        lines.take(b"x")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch):
    """A process that says nothing; what it would say is sent in its place."""
    monkeypatch.setattr(process, "COMMAND", [sys.executable, "-c", "import time; time.sleep(600)"])
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(process.socket, "socketpair", lambda: (ours, theirs.dup()))
    started = WorkerProcess(0, {"listeners": [], "memory": 0}, [])
    with theirs:
        started.said = lambda *messages: theirs.sendall(b"".join(json.dumps(m).encode() + b"\n" for m in messages))
        yield started
        started.kill()
        started.process.wait()
    started.close()


@pytest.mark.parametrize(
    "messages",
    [
        [READY, READY],
        [RENEWED],
        [READY, RENEWED],
        [READY, {"no_driver": {"error": 12}}],
        [STOPPED, STOPPED],
        [{"failed": "x"}, READY],
        [READY, {"more": 1}],
    ],
    ids=str,
)
def test_what_is_out_of_turn_ends_it(worker: WorkerProcess, messages: list[dict]) -> None:
    worker.said(*messages)
    assert worker.read()
    assert worker.broken
    assert worker.process.wait(20) == -9
    assert "killed, because it sent " in worker.how_it_ended()
    worker.said(STOPPED)
    assert worker.read()
    assert worker.stopped is None


def test_an_answer_counts_for_the_question_that_was_asked(worker: WorkerProcess) -> None:
    brief = {"listeners": [], "folders": [], "memory": 0, "number": 3}
    worker.renew(brief)
    worker.said(READY, RENEWED)
    assert worker.read()
    assert not worker.broken
    assert worker.renewed == [RENEWED["renewed"]]
    worker.renew({**brief, "number": 4})
    worker.said(RENEWED)
    assert worker.read()
    assert worker.broken
