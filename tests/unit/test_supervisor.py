"""The supervisor with worker processes that have no engine: starting, restarting, draining, and starting nothing by
halves. What a worker really serves is tested end to end."""

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from ringway.config.load import Loaded
from ringway.config.model import Config
from ringway.control.certificates.certificates import write_self_signed
from ringway.control.logs import logs
from ringway.control.machine import io_driver
from ringway.control.running import process, supervisor
from ringway.control.running.rules import Rules
from ringway.control.running.seats import restart_pause
from ringway.control.running.supervisor import Supervisor
from ringway.control.sockets.listeners import Group
from ringway.errors import RingwayError

WAIT = 20


class Log:
    """The supervisor's log as a queue of lines, and all lines so far."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        monkeypatch.setattr(logs, "_write", self._write)

    def _write(self, level: str, message: str) -> None:
        self.lines.append(f"{level} {message}")
        self._queue.put(self.lines[-1])

    def wait_for(self, text: str) -> str:
        while True:
            line = self._queue.get(timeout=WAIT)
            if text in line:
                return line


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Also puts plain Python in the place of what the engine lays out in shared memory."""
    engine = {
        "snapshot": types.SimpleNamespace(build=lambda plan: b"snapshot"),
        "addresses": types.SimpleNamespace(size=lambda count: 64, write=lambda block, index, found: None),
        "counters": types.SimpleNamespace(SIZE=64, read=lambda block: {"records_dropped": 0}),
        "records": types.SimpleNamespace(SIZE=64, Reader=lambda block: types.SimpleNamespace(read=lambda limit: [])),
    }
    for name, module in engine.items():
        monkeypatch.setitem(sys.modules, f"ringway.engine.{name}", module)
        monkeypatch.setattr(f"ringway.engine.{name}", module, raising=False)
    monkeypatch.setattr(process, "COMMAND", [sys.executable, str(Path(__file__).parent / "worker_double.py")])
    return Log(monkeypatch)


def run(
    monkeypatch: pytest.MonkeyPatch,
    behaviours: str,
    scene: Callable[[list[Group]], None],
    drain: float = 20,
    workers: int = 0,
    driver: str = "auto",
) -> list[Group]:
    """Runs a supervisor in this thread; `scene` plays in another one once all workers are ready, and must end it."""
    monkeypatch.setenv("DOUBLE", behaviours)
    config = Config.model_validate(
        {
            "server": {"listen": "127.0.0.1:0", "threads": workers or len(behaviours.split())},
            "host_routes": {"*": {"type": "Redirect", "to": "/"}},
            "timeouts": {"drain": drain},
            "performance": {"io_driver": driver},
        }
    )
    seen: list[Group] = []
    failures: list[BaseException] = []

    def play(groups: list[Group]) -> None:
        try:
            scene(groups)
        except BaseException as error:
            failures.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def ready(groups: list[Group]) -> None:
        seen.extend(groups)
        threading.Thread(target=play, args=(groups,), daemon=True).start()

    try:
        assert Supervisor(Loaded(config, "test"), ready).run() == 0
    finally:
        monkeypatch.undo()
    assert not failures, failures
    return seen


def refused(group: Group) -> bool:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((group.address.ip, group.address.port))
    return True


def test_ready_then_drained_with_nothing_left(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (group,) = run(monkeypatch, "obeys leaks", lambda groups: None)
    assert f"info listening on {group.url}" in log.lines
    assert log.lines.index("info ready") > log.lines.index(f"info listening on {group.url}")
    assert "info worker 0 stopped, nothing left open" in log.lines
    assert "warning worker 1 left open: 2 clients (client 3 busy)" in log.lines
    assert refused(group)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("fails", "there is no ring here"),
        ("crashes", "signal SIGSEGV"),
        ("quits", "exit code 3"),
        ("babbles", "killed, because it sent a line that is not an object with one key"),
    ],
)
def test_one_worker_that_does_not_start_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, log: Log, behaviour: str, reason: str
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RingwayError, match=rf"^worker 1 \(pid \d+\) (could not start|died): {reason}$"):
        run(monkeypatch, f"obeys {behaviour} obeys", lambda groups: pytest.fail("was never ready"))
    assert "info ready" not in log.lines
    assert len(os.listdir("/proc/self/fd")) == before


def test_at_the_start_all_workers_take_epoll_if_one_cannot_have_io_uring(
    monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(io_driver, "_tried", io_driver.Trial(("everything",)))
    run(monkeypatch, "obeys ringless obeys ringless", lambda groups: None, workers=2)
    (line,) = [line for line in log.lines if line.startswith("warning I/O driver: epoll, because ")]
    assert "setting it up for all workers: Cannot allocate memory" in line
    assert not any("could not start" in line for line in log.lines)
    assert {"info worker 2 stopped, nothing left open", "info worker 3 stopped, nothing left open"} <= set(log.lines)
    assert len(os.listdir("/proc/self/fd")) == before


def test_it_does_not_start_where_io_uring_is_a_must_and_a_worker_cannot_have_it(
    monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    with pytest.raises(RingwayError, match="could not start: io_uring cannot be set up"):
        run(monkeypatch, "obeys ringless", lambda groups: pytest.fail("was never ready"), driver="io_uring")


def ready_pids(log: Log) -> list[int]:
    """Of every worker that has been ready so far, in that order."""
    return [int(found[1]) for line in log.lines if (found := re.match(r"info worker \d+ \(pid (\d+)\) ready", line))]


def test_a_worker_that_dies_is_started_again_and_the_listeners_stay(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    monkeypatch.setattr(supervisor, "_QUICK_DEATH", 0.0)

    def scene(groups: list[Group]) -> None:
        log.wait_for("info ready")
        os.kill(ready_pids(log)[0], signal.SIGKILL)
        assert log.wait_for("died").endswith("died: signal SIGKILL; restarting now")
        # While it is away, connections wait in its listener.
        with socket.create_connection((groups[0].address.ip, groups[0].address.port)):
            log.wait_for("ready on CPU")
        assert len(set(ready_pids(log))) == 3

    run(monkeypatch, "obeys obeys", scene)


def test_a_worker_that_does_not_drain_is_killed_at_the_deadline(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    monkeypatch.setattr(supervisor, "_GRACE", 0.05)
    run(monkeypatch, "hangs obeys", lambda groups: None, drain=0.1)
    assert "warning the drain timeout has passed, killing the remaining workers" in log.lines
    assert any("worker 0" in line and "ended with signal SIGKILL" in line for line in log.lines)
    assert "info worker 1 stopped, nothing left open" in log.lines


def test_a_second_signal_ends_at_once(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    def scene(groups: list[Group]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        log.wait_for("SIGINT: draining, running requests have 20 s")
        # The second one comes from `run`.

    run(monkeypatch, "hangs hangs", scene)
    assert "info SIGTERM again: ending at once" in log.lines
    assert "info worker 0 stopped, nothing left open" in log.lines


def test_the_pause_before_a_restart_grows_when_it_dies_at_once_again_and_again() -> None:
    assert [restart_pause(deaths) for deaths in range(9)] == [0, 0, 1, 2, 4, 8, 16, 30, 30]
    assert restart_pause(10**6) == 30


def test_a_worker_imports_no_more_than_it_needs() -> None:
    code = "import sys, ringway.control.running.worker; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"pydantic", "click", "cryptography", "tomllib", "subprocess", "asyncio", "ringway.config", "ringway.cli"}
    assert not heavy & set(found)


def test_a_worker_takes_its_brief_and_not_a_byte_more() -> None:
    from ringway.control.running.worker import read_brief

    ours, theirs = socket.socketpair()
    with ours, theirs:
        big = '{"key": "' + "x" * 150_000 + '"}'
        sender = threading.Thread(target=ours.sendall, args=(big.encode() + b"\nd",))
        sender.start()
        brief = read_brief(theirs)
        sender.join()
        assert brief is not None
        assert len(brief["key"]) == 150_000
        assert theirs.recv(10) == b"d"
        ours.close()
        assert read_brief(theirs) is None


def test_the_brief_of_a_worker_has_no_key(tmp_path: Path) -> None:
    """It crosses as text; keys are in memory whose descriptor it has."""
    certificate, key = write_self_signed(str(tmp_path), ["client"])
    shown = {"cert_path": certificate, "key_path": key, "ca_path": certificate}
    config = Config.model_validate(
        {
            "server": {"listen": "127.0.0.1:0", "threads": 1},
            "tls": {"cert_path": certificate, "key_path": key},
            "host_routes": {"*": {"type": "Proxy", "url": "https://127.0.0.1", **shown}},
        }
    )
    built = Rules(config, lambda news: None)
    try:
        assert "PRIVATE KEY" not in str(built.brief)
        for name in ("certificates", "peers"):
            size = os.fstat(built.brief[name]).st_size
            assert b"PRIVATE KEY" in os.pread(built.brief[name], size, 0)
    finally:
        built.close()
