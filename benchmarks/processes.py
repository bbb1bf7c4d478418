"""Starts, watches and ends processes, always by their pid, never by name."""

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
"""Both are the same if there is only one CPU, as in the machine that counts instructions."""


class BenchError(Exception):
    """The benchmark cannot run, or its results are not valid. The text is a sentence for the user."""


@contextmanager
def on_cpu(cpu: int) -> Iterator[None]:
    """Pins processes that start inside the block to this CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_ports(count: int) -> list[int]:
    """Returns different ports of 127.0.0.1 that are not in use at the moment."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            held = stack.enter_context(socket.socket())
            held.bind(("127.0.0.1", 0))
            ports.append(int(held.getsockname()[1]))
        return ports


@dataclass
class Process:
    """A started program."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    """The file for its stdout and stderr."""

    def fail_if_ended(self) -> None:
        """Raises BenchError if it has ended."""
        code = self.popen.poll()
        if code is not None:
            raise BenchError(f"{self.name} ended with exit code {code}:\n{self.said()}")

    def said(self) -> str:
        """Returns the end of its log."""
        return self.log.read_text(errors="replace")[-2000:].strip() or "(no output)"

    def end(self) -> None:
        """Sends SIGTERM, and SIGKILL after five seconds."""
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
    """Runs `command` on `cpu` during the block. Waits until it accepts on `port`."""
    log = folder / f"{name}.log"
    with log.open("wb") as output, on_cpu(cpu):
        # A new session, so that Ctrl-C reaches only this process, which then ends the program.
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
    """Returns the pid of the only worker of a supervisor."""
    deadline = time.monotonic() + 5
    while len(children := child_pids(process.popen.pid)) != 1:
        process.fail_if_ended()
        if time.monotonic() > deadline:
            raise BenchError(f"{process.name} should have one worker, but its children are {children}")
        time.sleep(0.05)
    return children[0]


def child_pids(parent: int) -> list[int]:
    """Returns the pids of the children of a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            # The name, in parentheses, can contain anything. State and parent follow it.
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
