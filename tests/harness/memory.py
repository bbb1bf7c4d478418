"""What the processes of a running Ringway say about themselves: counters in shared memory, memory in /proc."""

import contextlib
import os
from pathlib import Path

from harness.server import Server
from ringway.engine import counters


def counters_of(pid: int) -> dict[str, int]:
    """The counters of the worker that is process `pid`: its memfd, opened a second time."""
    folder = Path(f"/proc/{pid}/fd")
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(folder / name).startswith("/memfd:ringway counters"):
                return counters.read((folder / name).read_bytes())
    raise AssertionError(f"process {pid} has no counters")


def total(server: Server, name: str) -> int:
    """One counter of all workers that run now."""
    return sum(counters_of(pid)[name] for pid in server.workers.values())


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
