"""Looks into the processes of a running Ringway: counters in shared memory, and memory and descriptors in /proc."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from harness.server import Server
from harness.waiting import DEADLINE
from ringway.engine.base import counters


def counters_of(pid: int) -> dict[str, int]:
    """Returns the counters of the worker with this pid, from its memfd."""
    folder = Path(f"/proc/{pid}/fd")
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(folder / name).startswith("/memfd:ringway counters"):
                return counters.read((folder / name).read_bytes())
    raise AssertionError(f"process {pid} has no counters")


def descriptors_of(pid: int) -> int:
    """Returns the number of its open descriptors."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def children_of(pid: int) -> list[int]:
    """Returns the child processes of its main thread, including zombies."""
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def sockets_of(pid: int) -> set[str]:
    """Returns the inodes of the sockets of a process."""
    folder = Path(f"/proc/{pid}/fd")
    found = set()
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            kind, _, inode = os.readlink(folder / name).partition(":")
            if kind == "socket":
                found.add(inode.strip("[]"))
    return found


def total(server: Server, name: str) -> int:
    """Returns the sum of a counter over all workers that run now."""
    return sum(counters_of(pid)[name] for pid in server.workers.values())


def wait_for_total(server: Server, name: str, look: Callable[[int], bool], seconds: float = DEADLINE) -> None:
    """Waits until `look` accepts the sum of a counter over all workers."""
    end = time.monotonic() + seconds
    while not look(now := total(server, name)):
        assert time.monotonic() < end, f"after {seconds:g} s {name} is still {now}"
        time.sleep(0.001)  # see below


class Rest:
    """The gauges of the workers of a shared server without connections. Each test ends with `assert_back()`, which
    finds what this test has leaked.

    Idle connections to upstreams, the operations that watch them, and files that stay open do not count.
    """

    def __init__(self, server: Server) -> None:
        """Sends a request first. From then on, each worker has submitted all operations that it waits for."""
        self._server = server
        with server.connect() as client:
            client.get("/", host="nobody.invalid")
        none = {"clients": 0, "exchanges": 0, "buffers": 0, "upstreams": 0, "tls": 0}
        self._wait({number: none for number in server.workers})
        self._least = self._held()

    def assert_back(self, seconds: float = DEADLINE) -> None:
        """Waits until everything is released."""
        try:
            self._wait(self._least, seconds)
        except AssertionError:
            self._least = self._held()  # do not fail the following tests
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
        # There is no event for a change of a gauge, so poll.
        end = time.monotonic() + seconds
        while more := _more(self._held(), wanted):
            assert time.monotonic() < end, f"within {seconds:g} s these were not released: {', '.join(more)}"
            time.sleep(0.001)


def _more(held: dict[int, dict[str, int]], wanted: dict[int, dict[str, int]]) -> list[str]:
    return [
        f"{held[worker][name] - most} {name} of worker {worker}"
        for worker, gauges in wanted.items()
        for name, most in gauges.items()
        if held[worker][name] > most
    ]


def resident(pid: int) -> int:
    """Returns VmRSS in bytes. With the address sanitizer always 0, because the sanitizer keeps freed memory."""
    if "ASAN_OPTIONS" in os.environ:
        return 0
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} is gone")


def left_with(mark: str) -> list[str]:
    """Returns the processes with this mark in their environment, which child processes inherit."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue  # it has ended, or belongs to another user
    return found


def runs(pid: int) -> bool:
    """Whether this process exists and is not a zombie."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
