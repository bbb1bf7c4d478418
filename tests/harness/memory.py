"""What the processes of a running Ringway say about themselves: counters in shared memory, memory in /proc."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from harness.server import Server
from harness.waiting import DEADLINE
from ringway.engine.base import counters


def counters_of(pid: int) -> dict[str, int]:
    """The counters of the worker that is process `pid`: its memfd, opened a second time."""
    folder = Path(f"/proc/{pid}/fd")
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(folder / name).startswith("/memfd:ringway counters"):
                return counters.read((folder / name).read_bytes())
    raise AssertionError(f"process {pid} has no counters")


def descriptors_of(pid: int) -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def children_of(pid: int) -> list[int]:
    """Processes that its main thread has started, also those that it has not waited for yet."""
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def sockets_of(pid: int) -> set[str]:
    """Inodes of the sockets that a process has."""
    folder = Path(f"/proc/{pid}/fd")
    found = set()
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            kind, _, inode = os.readlink(folder / name).partition(":")
            if kind == "socket":
                found.add(inode.strip("[]"))
    return found


def total(server: Server, name: str) -> int:
    """One counter of all workers that run now."""
    return sum(counters_of(pid)[name] for pid in server.workers.values())


def wait_for_total(server: Server, name: str, look: Callable[[int], bool], seconds: float = DEADLINE) -> None:
    """Until a counter of all workers is as wanted."""
    end = time.monotonic() + seconds
    while not look(now := total(server, name)):
        assert time.monotonic() < end, f"within {seconds:g} s {name} did not become as wanted: {now}"
        time.sleep(0.001)  # as below


class Rest:
    """What the workers of a server that several tests share hold when nobody is connected. Each test ends with
    `assert_back()`, so that what it leaves behind is not found at the end of all of them alone.

    Idle connections to upstreams are no rest of a test: neither they nor the operation that watches each of them count.
    Files that are kept open do not either.
    """

    def __init__(self, server: Server) -> None:
        """Asks for something first: from then on everything that a worker waits for is submitted."""
        self._server = server
        with server.connect() as client:
            client.get("/", host="nobody.invalid")
        none = {"clients": 0, "exchanges": 0, "buffers": 0, "upstreams": 0, "tls": 0}
        self._wait({number: none for number in server.workers})
        self._least = self._held()

    def assert_back(self, seconds: float = DEADLINE) -> None:
        """Waits until all of it is given back."""
        try:
            self._wait(self._least, seconds)
        except AssertionError:
            self._least = self._held()  # the tests that follow have nothing to do with it
            raise

    def _held(self) -> dict[int, dict[str, int]]:
        held = {}
        for number, pid in self._server.workers.items():
            now = counters_of(pid)
            held[number] = {name: now[name] for name in ("clients", "exchanges", "buffers", "tls")}
            for name in ("upstreams", "operations"):
                held[number][name] = now[name] - now["upstreams_idle"]
        return held

    def _wait(self, wanted: dict[int, dict[str, int]], seconds: float = DEADLINE) -> None:
        # Gauges tell nobody when they change: they are looked at again, as soon as other processes had the CPU.
        end = time.monotonic() + seconds
        while more := _more(self._held(), wanted):
            assert time.monotonic() < end, f"within {seconds:g} s these were not given back: {', '.join(more)}"
            time.sleep(0.001)


def _more(held: dict[int, dict[str, int]], wanted: dict[int, dict[str, int]]) -> list[str]:
    return [
        f"{held[worker][name] - most} {name} of worker {worker}"
        for worker, gauges in wanted.items()
        for name, most in gauges.items()
        if held[worker][name] > most
    ]


def resident(pid: int) -> int:
    """VmRSS in bytes. Under the address sanitizer always 0: it keeps what was freed, which says nothing about us."""
    if "ASAN_OPTIONS" in os.environ:
        return 0
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} is gone")


def left_with(mark: str) -> list[str]:
    """Processes that inherited this mark in the environment of the one that was started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue  # gone, or not ours
    return found


def runs(pid: int) -> bool:
    """Whether this process is there and has not ended."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
