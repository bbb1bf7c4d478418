"""Runs the real program: starts `python -m ringway run` on free ports, ends it with SIGTERM, and checks the end."""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from harness import forked
from harness.raw import Client
from harness.waiting import PATIENCE, Found, Journal
from ringway.control.commands import place

START_WITHIN = 30 * PATIENCE
END_WITHIN = 30 * PATIENCE

_BROKEN = re.compile(
    r"Traceback \(most recent|BUG_ON\(|Fatal Python error|Exception ignored|AddressSanitizer|LeakSanitizer"
    r"|UndefinedBehaviorSanitizer|runtime error:| left open: | (died|could not start): "
)
_numbers = itertools.count()


@dataclass(frozen=True)
class Listener:
    """One line `listening on ...`."""

    host: str
    port: int
    tls: bool

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port


def toml(config: Mapping[str, Any]) -> str:
    """Returns nested dicts as a TOML document. Dicts become tables, and dicts in lists become inline tables."""
    return "\n".join(_table((), config)) + "\n"


def _table(name: tuple[str, ...], table: Mapping[str, Any]) -> list[str]:
    lines = [f"[{'.'.join(map(json.dumps, name))}]"] if name else []
    lines += [f"{json.dumps(key)} = {_value(value)}" for key, value in table.items() if not isinstance(value, Mapping)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += _table((*name, key), value)
    return lines


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_value(one)}' for key, one in value.items())} }}"
    if isinstance(value, (bool, str)):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return repr(value)
    return json.dumps(str(value))


class Server:
    """A running Ringway. Use it in a `with` block or through the fixture `ringway`. At the end both assert that Ringway
    ended properly and left nothing open.

    `config` is a dict or a TOML text. A dict has these defaults: one worker, which keeps the user of the tests, one
    plain listener on a free port of 127.0.0.1, an access log that `record()` reads, five seconds to drain.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | str,
        folder: Path,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        through: Sequence[str] = (),
        stdout: int = subprocess.PIPE,
        close_fds: bool = True,
    ) -> None:
        """`through`: a command that executes Ringway, such as `("prlimit", "--nofile=64:64")`. `stdout`: a descriptor
        that replaces the pipe of `records`. `close_fds`: False lets Ringway inherit inheritable descriptors."""
        self.file = folder / f"config-{next(_numbers)}.toml"
        self.file.write_text(config if isinstance(config, str) else toml(_completed(config)), encoding="utf-8")
        self.listeners: list[Listener] = []
        self.lines: list[str] = []
        """The lines of its log so far."""
        self.records: list[dict[str, Any]] = []
        """The lines of its access log so far, if that goes to stdout as JSON."""
        self.expected: list[str] = []
        """Regular expressions for lines that are not errors in this test."""
        self._journal = Journal()
        self._reading = threading.Event()
        self._reading.set()
        self._stands = threading.Event()
        self._env = forked.environment(env)
        self._options = options
        self._through = through
        self._stdout = stdout
        self._close_fds = close_fds
        self._ended = False
        self._told_to_end = False

    # Starting and ending

    def __enter__(self) -> "Server":
        program = [sys.executable, "-P", "-m", "ringway", "run", "--config", str(self.file)]
        command = [*self._through, *program, *self._options]
        self.process = forked.popen(
            command,
            self._env,
            self._close_fds,
            stdin=subprocess.DEVNULL,
            stdout=self._stdout,
            stderr=subprocess.PIPE,
        )
        streams = ((self.process.stderr, self._take_line), (self.process.stdout, self._take_record))
        self._readers = [
            threading.Thread(target=self._read, args=(stream, take), daemon=True)
            for stream, take in streams
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()
        try:
            self.wait_line(r" info ready$| error |^error: ", START_WITHIN)
            if not any(line.endswith(" info ready") for line in self.lines):
                raise AssertionError("Ringway did not start:\n" + "\n".join(self.lines))
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended:
            return
        if kind is not None:
            self.kill()
        else:
            self.stop()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends it and asserts that every worker left nothing open, and that there was no error and no process is
        left."""
        if self._ended:
            return
        if not self._told_to_end:
            self.tell_to_end(number)
        try:
            code = self.process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"Ringway did not end within {END_WITHIN:g} s:\n{self.text}") from None
        left = self._workers_left()
        sockets = self.control_sockets
        self.kill()
        self.assert_sound()
        assert code == 0, f"exit code {code}:\n{self.text}"
        assert not sockets or "is ready and takes over" in self.text, f"{sockets} are left"
        assert not left, f"processes {left} are left:\n{self.text}"
        workers = {match[1] for line in self.lines if (match := re.search(r"worker (\d+) \(pid \d+\) ready", line))}
        sound = {match[1] for line in self.lines if (match := re.search(r"worker (\d+) stopped, nothing left", line))}
        assert workers == sound, f"not every worker stopped with nothing left open:\n{self.text}"

    def tell_to_end(self, number: int = signal.SIGTERM) -> None:
        """Only sends the signal. `stop()` then waits and checks, without a second signal, which would end the drain."""
        self._told_to_end = True
        self.process.send_signal(number)

    # Changing it

    def rewrite(self, config: Mapping[str, Any]) -> None:
        """Replaces its configuration file atomically."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(toml(_completed(config)), encoding="utf-8")
        fresh.rename(self.file)

    def command(self, name: str, seconds: float = START_WITHIN) -> "subprocess.CompletedProcess[str]":
        """Runs `ringway reload` or `ringway upgrade`."""
        program = [sys.executable, "-P", "-m", "ringway", name, "--config", str(self.file)]
        with forked.popen(program, self._env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            output = process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(program, process.returncode, *output)

    def reload(self, config: Mapping[str, Any] | None = None) -> "subprocess.CompletedProcess[str]":
        """Reloads another configuration, or its file. Asserts that this succeeds."""
        if config is not None:
            self.rewrite(config)
        done = self.command("reload")
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.text}"
        return done

    def kill(self) -> None:
        """Kills it without checks. Also collects its output, so it is called after a proper end, too."""
        self._ended = True
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(END_WITHIN)
        for pid in self._workers_left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for reader in self._readers:
            reader.join(END_WITHIN)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        for path in self.control_sockets:  # of one that was killed
            path.unlink(missing_ok=True)

    @property
    def control_sockets(self) -> list[Path]:
        """The existing control sockets of this Ringway."""
        names = (Path(folder) / place.name_of(str(self.file)) for folder in place.folders(os.geteuid()))
        return [path for path in names if path.exists()]

    def assert_sound(self) -> None:
        """Asserts that its log has no line about an error so far."""
        faults = [line for line in self.lines if _BROKEN.search(line) and not self._is_expected(line)]
        assert not faults, f"{faults} in:\n{self.text}"
        assert "[Errno" not in self.text, f"an error as Python writes it:\n{self.text}"

    def _is_expected(self, line: str) -> bool:
        return any(re.search(pattern, line) for pattern in self.expected)

    def _workers_left(self) -> list[int]:
        return [pid for pid in self.worker_pids if _is_worker(pid)]

    # Its output

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def warnings(self) -> list[str]:
        """The logged warnings, except that workers run as root: so the tests configure it when they run as root."""
        return [line for line in self.lines if " warning " in line and "workers run as root" not in line]

    @property
    def worker_pids(self) -> list[int]:
        """The pids of all workers that were ever ready."""
        found = (re.search(r"worker \d+ \(pid (\d+)\) ready", line) for line in self.lines)
        return [int(match[1]) for match in found if match]

    @property
    def workers(self) -> dict[int, int]:
        """The last ready pid of each worker, by its number."""
        found = (re.search(r"worker (\d+) \(pid (\d+)\) ready", line) for line in self.lines)
        return {int(match[1]): int(match[2]) for match in found if match}

    def wait_line(self, pattern: str, seconds: float = START_WITHIN) -> str:
        """Waits for a line of stderr that matches the regular expression. Returns the first one."""

        def look() -> str | None:
            found = next((line for line in self.lines if re.search(pattern, line)), None)
            if found is None and self._ended_reading():
                raise AssertionError(f"Ringway ended without a line {pattern!r}:\n{self.text}")
            return found

        try:
            return str(self._journal.until(look, f"line {pattern!r}", seconds))
        except AssertionError as error:
            raise AssertionError(f"{error}; it said:\n{self.text}") from None

    def wait_for(self, look: Callable[[], Found], what: str, seconds: float = START_WITHIN) -> Found:
        """Waits for a true result of `look` and returns it. Calls it after every line of stderr or the access log."""
        try:
            return self._journal.until(look, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said:\n{self.text}") from None

    def record(self, target: str | None = None, **wanted: object) -> dict[str, Any]:
        """Waits for an access record with this target and these values. Returns the first one."""
        if target is not None:
            wanted["target"] = target

        def look() -> dict[str, Any] | None:
            return next((r for r in self.records if all(r.get(k) == v for k, v in wanted.items())), None)

        try:
            return self._journal.until(look, f"access record {wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the last are {self.records[-5:]}") from None

    def _ended_reading(self) -> bool:
        return not self._readers[0].is_alive()

    def _read(self, stream: Any, take: Callable[[str], None]) -> None:
        for line in stream:
            if stream is self.process.stderr and not self._reading.is_set():
                self._stands.set()
                self._reading.wait()
            with self._journal:
                take(line.decode("utf-8", "replace").rstrip("\n"))
                self._journal.notify_all()
        with self._journal:
            self._journal.notify_all()

    @contextlib.contextmanager
    def full_stderr(self) -> Iterator[None]:
        """During the block, nothing reads its stderr, and the pipe is full."""
        # A new file description of the pipe, so that O_NONBLOCK does not affect Ringway's.
        pipe = os.open(f"/proc/{self.process.pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
        self._reading.clear()
        try:
            os.write(pipe, b"filled by the test\n")
            assert self._stands.wait(START_WITHIN)  # the reader has read everything and now waits
            for size in (1000, 100, 10, 1):
                with contextlib.suppress(BlockingIOError):
                    while True:
                        os.write(pipe, b"." * (size - 1) + b"\n")
            yield
        finally:
            self._reading.set()
            os.close(pipe)

    def _take_line(self, line: str) -> None:
        self.lines.append(line)
        if match := re.search(r" info listening on (https?://\S+)$", line):
            url = urllib.parse.urlsplit(match[1])
            self.listeners.append(Listener(url.hostname or "", url.port or 0, url.scheme == "https"))

    def _take_record(self, line: str) -> None:
        with contextlib.suppress(ValueError):
            self.records.append(json.loads(line))

    # Talking to it

    def listener(self, tls: bool = False) -> Listener:
        return next(listener for listener in self.listeners if listener.tls == tls)

    @property
    def address(self) -> tuple[str, int]:
        """The address of the first plain listener."""
        return self.listener().address

    def connect_raw(self, tls: bool = False, **options: Any) -> Client:
        """Connects a client without TLS, also to a TLS listener."""
        return Client(self.listener(tls).address, **options)

    def connect_to(self, address: tuple[str, int], tls: bool = False, **options: Any) -> Client:
        """Connects a client to a listener that was added by a reload."""
        return Client(address, tls=tls, **options)

    def listens_at(self, address: tuple[str, int]) -> bool:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(address):
            return True
        return False

    def connect(self, tls: bool = False, **options: Any) -> Client:
        """Connects a client. See `harness.raw.Client` for the options."""
        return Client(self.listener(tls).address, tls=tls, **options)


DRIVER = os.environ.get("RINGWAY_TEST_DRIVER")
"""The I/O driver of every Ringway whose configuration names none. So the whole suite can run on either driver."""

SITE_DRIVERS = [DRIVER] if DRIVER else ["auto", "epoll"]
"""The drivers for tests that share a Ringway."""

KERNEL_TLS = os.environ.get("RINGWAY_TEST_KERNEL_TLS") == "1"
"""Whether every Ringway with TLS uses kernel TLS. Then the whole suite tests kernel TLS, too."""


def _completed(config: Mapping[str, Any]) -> dict[str, Any]:
    if KERNEL_TLS and "tls" in config:
        config = {**config, "tls": {"ktls_enabled": True, **config["tls"]}}
    if DRIVER:
        config = {**config, "performance": {"io_driver": DRIVER, **config.get("performance", {})}}
    defaults: dict[str, dict[str, Any]] = {
        # Root stays root, because other users cannot read pytest's folders. tests/e2e/test_user.py tests other users.
        "server": {"listen": "127.0.0.1:0", "threads": 1, "user": str(os.geteuid())},
        "timeouts": {"drain": 5},
        "access_log": {"path": "stdout", "format": "json"},
    }
    whole = {**config, **{name: {**values, **config.get(name, {})} for name, values in defaults.items()}}
    return {**whole, "server": {key: value for key, value in whole["server"].items() if value is not None}}


def _is_worker(pid: int) -> bool:
    """Whether this pid still is a running worker of Ringway, and not a zombie or another process."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        return state != "Z" and b"ringway" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
