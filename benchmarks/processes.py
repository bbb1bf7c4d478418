"""Starting, watching and ending our processes: always by their own pid, never by name."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SERVER_CPU, LOAD_CPU = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
"""The same one where there is only one: in the machine that counts instructions."""


class BenchError(Exception):
    """Something that makes the measurement worthless or impossible, in a sentence for the user."""


@contextmanager
def on_cpu(cpu: int) -> Iterator[None]:
    """What is started inside inherits this CPU as its only one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses just now, all different."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            held = stack.enter_context(socket.socket())
            held.bind(("127.0.0.1", 0))
            ports.append(int(held.getsockname()[1]))
        return ports


@dataclass
class Process:
    """A program that we started."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    """Where its stdout and stderr go."""

    def fail_if_ended(self) -> None:
        """Says why it ended, when it has."""
        code = self.popen.poll()
        if code is not None:
            raise BenchError(f"{self.name} ended with exit code {code}:\n{self.said()}")

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:].strip() or "(it said nothing)"

    def end(self) -> None:
        """SIGTERM, and SIGKILL after five seconds."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                children = child_pids(self.popen.pid)
                self.popen.kill()
                self.popen.wait()
                for pid in children:
                    _kill(pid)


@contextmanager
def started(name: str, command: Sequence[str | Path], cpu: int, folder: Path, port: int) -> Iterator[Process]:
    """Runs `command` on `cpu` from the time it accepts on `port` until the end of the block."""
    log = folder / f"{name}.log"
    with log.open("wb") as output, on_cpu(cpu):
        # A session of its own: Ctrl-C reaches us alone, and we end it.
        popen = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
    process = Process(name, popen, log)
    try:
        _wait_until_it_accepts(process, port)
        yield process
    finally:
        process.end()


def only_child(process: Process) -> int:
    """Pid of the one worker of a supervisor."""
    deadline = time.monotonic() + 5
    while len(children := child_pids(process.popen.pid)) != 1:
        process.fail_if_ended()
        if time.monotonic() > deadline:
            raise BenchError(f"{process.name} should have one worker, but its children are {children}")
        time.sleep(0.05)
    return children[0]


def child_pids(parent: int) -> list[int]:
    """Pids of the children of a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            # The name, in parentheses, may hold anything; after it: state, parent.
            if int(stat.rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry))
    return sorted(found)


def _wait_until_it_accepts(process: Process, port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        process.fail_if_ended()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise BenchError(f"{process.name} does not accept on port {port}:\n{process.said()}") from None
            time.sleep(0.05)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
