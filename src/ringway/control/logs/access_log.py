"""The access log: a thread of the supervisor that takes the workers' records out of shared memory and writes lines.

It is off the path of every request: a worker puts a record into its ring and goes on; when this thread or the disk is
too slow, the ring is full and the worker counts what it drops.
"""

import contextlib
import datetime
import json
import os
import re
import select
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ringway.control.logs import logs
from ringway.errors import RingwayError, reason_of

Record = Mapping[str, Any]
_BATCH = 1024
_EVERY = 0.05
"""Seconds between two looks at the rings."""
_DROPS_EVERY = 10.0
"""Seconds between two warnings about dropped records, or about lines that are lost."""
_STUCK = 2.0
"""Seconds without progress after which the end waits no longer for who reads the log."""
_STOP_MOST = 30.0
"""Seconds that the end waits for who reads the log: somebody who reads a line a second would hold it up for ever."""
_EVENTS_MOST = 64
"""Events of one worker that are told in a second. An honest one writes each kind once a second; another one must not
push what others say out of the log."""
_DETAIL_MOST = 500
"""Characters of an event's text that are told."""
_ROUNDS_MOST = 64
"""Batches between two looks at everything else: a full ring has less."""
_WAITING_MOST = 8
"""Rings of one worker that wait while the log cannot be written: each is a process that died meanwhile."""
_UNSAFE = re.compile(r"[^ !#-\[\]-~]+")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Source(Protocol):
    """engine.records.Reader: one worker's ring."""

    def read(self, limit: int) -> list[dict[str, Any]]:
        """Raises ValueError, with a sentence, when there is something that no worker writes."""
        ...


@dataclass(eq=False)
class _Ring:
    """One worker's records, and how many it had to drop so far."""

    worker: int
    source: Source
    dropped: Callable[[], int]
    release: Callable[[], None]
    broken: Callable[[str], None]
    told: int = 0
    readable: bool = True
    """False: what lies in it cannot be read, and `broken` was called."""
    second: int = 0
    events: int = 0
    """That were told in this second."""
    silenced: int = 0
    """Events beyond those, since this was told last."""


class AccessLog:
    """Reads the rings of all workers. With a `path` of None only events go to the log on stderr.

    Rings, and whatever they lie in, belong to the thread from `attach()` on: nothing that another thread waits for is
    held while a line is written, because who reads the log may stand still for ever.
    """

    def __init__(self, path: str | None, form: str) -> None:
        """Opens `path` ("stdout" or a file). Raises RingwayError."""
        self._path = path
        self._line = FORMATS[form]
        self._file = _open(path)
        self._rings: dict[int, _Ring] = {}
        self._drops_told = time.monotonic()
        self._coming: list[_Ring | int] = []
        """What the thread has yet to take, oldest first: rings, and workers whose rings are to be released."""
        self._lock = threading.Lock()
        """Of `_coming` and `_next`: held to change them, never while something is read or written."""
        self._next: tuple[str | None, Callable[[Record], str], int] | None = None
        """Where to go on, and in which form."""
        self._wake = threading.Event()
        self._reopen = False
        self._stopping = False
        self._given_up = False
        """Nobody waits for the lines any more: what is left is counted, not written."""
        self._failing = False
        self._lost = 0
        """Lines that were taken out of a ring and could not be written, since this was told last."""
        self._torn = False
        """The last line was written in part."""
        self._progress = 0
        """Grows with each batch, and each piece written of it."""
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def attach(
        self,
        worker: int,
        source: Source,
        dropped: Callable[[], int],
        release: Callable[[], None] = lambda: None,
        broken: Callable[[str], None] = lambda why: None,
    ) -> None:
        """From now on `source` is the ring of this worker, and `dropped` tells how many records found no place in it.
        What is left in its last ring is written first. Waits for nothing; `release` is called by the thread once it
        has read the ring for the last time, `broken` when it finds there what no worker writes, and then it reads no
        more of it."""
        ring = _Ring(worker, source, dropped, release, broken)
        oldest = None
        with self._lock:
            self._coming.append(ring)
            waiting = [other for other in self._coming if isinstance(other, _Ring) and other.worker == worker]
            if len(waiting) > _WAITING_MOST:
                oldest = waiting[0]
                self._coming.remove(oldest)
        if oldest is not None:
            logs.warning(f"worker {worker}: the log is blocked, the records of a dead process are lost")
            oldest.release()
        self._wake.set()

    def detach(self, worker: int) -> None:
        """This worker is gone for good: what is left in its ring is written, then the ring is let go."""
        with self._lock:
            self._coming.append(worker)
        self._wake.set()

    def change(self, path: str | None, form: str) -> None:
        """Goes on elsewhere, or in another form. Raises RingwayError, and then nothing has changed."""
        if (path, FORMATS[form]) == (self._path, self._line):
            return
        file = self._file if path == self._path else _open(path)
        with self._lock:
            self._next = (path, FORMATS[form], file)
        self._wake.set()

    def reopen(self) -> None:
        """After a rotation: goes on in a new file of the same name."""
        self._reopen = True
        self._wake.set()

    def stop(self) -> None:
        """Writes what is left and closes. A slow reader of stdout holds this up as long as it goes on, at most half a
        minute; one that stands still for two seconds."""
        self._stopping = True
        self._wake.set()
        self._wait_while_it_goes_on()
        self._given_up = True
        self._wait_while_it_goes_on()  # what is left is counted
        if self._thread.is_alive():
            # In a write(2) that does not return: a disk, or a server of files, that does not answer.
            logs.warning(f"the access log {self._path} accepts no more lines, its last lines are lost")
        elif self._path not in (None, "stdout"):
            os.close(self._file)

    def _wait_while_it_goes_on(self) -> None:
        seen = -1
        end = time.monotonic() + _STOP_MOST
        while self._thread.is_alive() and seen != self._progress and time.monotonic() < end:
            seen = self._progress
            self._thread.join(_STUCK)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(_EVERY)
            self._wake.clear()
            if self._reopen:
                self._reopen = False
                self._open_again()
            self._take_rings()
            self._drain()
            self._take_change()
            if time.monotonic() - self._drops_told > _DROPS_EVERY:
                self._tell_drops()
                self._tell_lost("cannot be written")
        self._take_rings()
        self._drain()
        self._tell_drops()
        for ring in self._rings.values():
            ring.release()
        self._tell_lost("accepts no more lines")

    def _tell_lost(self, why: str) -> None:
        if self._lost:
            logs.warning(f"the access log {self._path} {why}, {self._lost} lines are lost")
            self._lost = 0

    def _take_rings(self) -> None:
        while True:
            with self._lock:
                if not self._coming:
                    return
                coming = self._coming.pop(0)
            worker = coming.worker if isinstance(coming, _Ring) else coming
            if worker in self._rings:
                self._drain()
                self._tell_drops()
                self._rings.pop(worker).release()
            if isinstance(coming, _Ring):
                self._rings[worker] = coming

    def _take_change(self) -> None:
        """After everything that there was has been written."""
        with self._lock:
            following, self._next = self._next, None
        if following is None:
            return
        path, self._line, file = following
        if file != self._file and self._path not in (None, "stdout"):
            os.close(self._file)
        self._path, self._file = path, file

    def _tell_drops(self) -> None:
        self._drops_told = time.monotonic()
        for worker, ring in self._rings.items():
            dropped = ring.dropped()
            if dropped > ring.told:
                logs.warning(f"worker {worker}: {dropped - ring.told} access records dropped, the log was too slow")
                ring.told = dropped
            if ring.silenced:
                logs.warning(f"worker {worker}: {ring.silenced} more events in one second than Ringway logs")
                ring.silenced = 0

    def _drain(self) -> None:
        """Everything that lies in the rings, in the order of time within a round."""
        for _ in range(_ROUNDS_MOST):
            more = False
            batch: list[Record] = []
            for ring in self._rings.values():
                records = self._read(ring)
                self._progress += 1
                more = more or len(records) == _BATCH
                batch += [record for record in records if not _told(ring, record)]
            if batch and self._path is not None:
                batch.sort(key=lambda record: record["time_ns"])
                self._write("".join(map(self._line, batch)).encode("utf-8", "backslashreplace"))
            if not more:
                break

    def _read(self, ring: _Ring) -> list[dict[str, Any]]:
        try:
            return ring.source.read(_BATCH) if ring.readable else []
        except ValueError as error:
            ring.readable = False
            ring.broken(str(error))
            return []

    def _write(self, data: bytes) -> None:
        at = 0
        try:
            if self._torn and self._writable():
                os.write(self._file, b"\n")
                self._torn = False
            while at < len(data):
                if not self._writable():
                    self._lost += data.count(b"\n", at)
                    return
                with contextlib.suppress(BlockingIOError):  # somebody else filled it meanwhile
                    at += os.write(self._file, data[at : self._piece_end(data, at)])
                    self._progress += 1
        except OSError as error:
            self._lost += data.count(b"\n", at)
            self._torn = self._torn or (at > 0 and data[at - 1] != ord("\n"))
            if not self._failing:
                logs.warning(f"the access log {self._path} cannot be written ({reason_of(error)}), lines are lost")
            self._failing = True
            return
        self._failing = False
        self._tell_lost("can be written again")

    def _writable(self) -> bool:
        """Waits until a piece can be written without waiting. False: the end has come before."""
        waiting = select.poll()
        waiting.register(self._file, select.POLLOUT)
        while not waiting.poll(_EVERY * 1000):
            if self._given_up:
                return False
        return not self._given_up

    def _piece_end(self, data: bytes, at: int) -> int:
        """A pipe that is ready takes so much and does not wait for its reader (pipe(7)); whole lines, if they are not
        longer, so that those of others who write into it fall between them."""
        if len(data) - at <= select.PIPE_BUF:
            return len(data)
        return data.rfind(b"\n", at, at + select.PIPE_BUF) + 1 or at + select.PIPE_BUF

    def _open_again(self) -> None:
        if self._path in (None, "stdout"):
            return
        try:
            file = _open(self._path)
        except RingwayError as error:
            logs.warning(f"{error}; the old file stays in use")
            return
        os.close(self._file)
        self._file = file
        self._torn = False
        logs.info(f"access log {self._path} reopened")


def _open(path: str | None) -> int:
    if path is None:
        return -1
    if path == "stdout":
        return sys.__stdout__.fileno() if sys.__stdout__ is not None else 1
    try:
        # O_NONBLOCK: a FIFO without a reader would wait for one.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
    except OSError as error:
        raise RingwayError(f'access_log.path: "{path}" cannot be opened ({reason_of(error)})') from None
    if not is_log(os.fstat(file).st_mode):
        os.close(file)
        raise RingwayError(f'access_log.path: "{path}" {NO_LOG}; {NO_LOG_REMEDY}')
    return file


NO_LOG = "is neither a file nor a device"
NO_LOG_REMEDY = 'name a file, or write "stdout" and pipe the output'


def is_log(mode: int) -> bool:
    """Lines can be appended to it, and it needs no reader: a file, or a device such as /dev/null."""
    return stat.S_ISREG(mode) or stat.S_ISCHR(mode)


def _told(ring: _Ring, record: Record) -> bool:
    """Events are for the log on stderr, and no lines of the access log."""
    if "event" not in record:
        return False
    second = int(time.monotonic())
    if second != ring.second:
        ring.second, ring.events = second, 0
    ring.events += 1
    if ring.events > _EVENTS_MOST:
        ring.silenced += 1
        return True
    sentence = EVENTS.get(record["event"], record["event"])
    why = f" ({os.strerror(record['number'])})" if record.get("number") else ""
    detail = f" {record['detail'][:_DETAIL_MOST]}" if record.get("detail") else ""
    logs.warning(f"worker {ring.worker}: {sentence}{detail}{why}")
    return True


EVENTS = {
    "accept_failed": "cannot accept connections, they wait",
    "no_buffers": "all buffers are in use, receiving waits; the limit is `[limits] buffer_bytes`",
    "connect_failed": "cannot connect to",
    "address_failed": "cannot connect to one address, Ringway uses the others for 10 s:",
    "ktls_refused": "rejected a TLS connection: kernel TLS is required, and the kernel does not support",
    "key_update": "closed a TLS connection: its client changed keys (KeyUpdate), and the kernel does not support that",
    "certificates": "cannot use the new certificates, the old ones stay in use",
    "upstream_tls_failed": "no TLS connection to",
    "upstream_untrusted": "rejected the certificate of",
    "peers": "cannot use the new certificate or authorities, the old ones stay in use, for",
    "client_untrusted": "no valid client certificate from",
    "proxy_refused": "closed a connection that must begin with the PROXY protocol, from",
    "gave_way": "buffers or connections are scarce, evicted the client that used them least:",
    "clients_full": "closed a new connection: the limit `[limits] client_connections` is reached",
}
"""What a worker tells by the names of `engine.records`; each is told at most once a second."""


def combined(record: Record) -> str:
    """The combined log format, and behind it as name=value: host, seconds to the first byte and in all, upstream,
    reason, TLS, and what of it the kernel did."""
    moment = datetime.datetime.fromtimestamp(record["time_ns"] // 1_000_000_000, datetime.UTC)
    when = f"{moment.day:02d}/{_MONTHS[moment.month - 1]}/{moment.year}:{moment:%H:%M:%S} +0000"
    request = f"{record['method']} {record['target']} HTTP/1.{record['minor']}" if record["method"] else "-"
    return (
        f"{_field(record['client'])} - - [{when}] {_quoted(request)} {record['status']} {record['bytes']} "
        f"{_quoted(record['referer'])} {_quoted(record['user_agent'])} host={_quoted(record['host'])} "
        f"first_byte={record['first_byte_us'] / 1e6:.6f} total={record['total_us'] / 1e6:.6f} "
        f"upstream={_quoted(record['upstream'])} reason={_quoted(record['reason'])} tls={record['tls'] or '-'} "
        f"ktls={record['ktls'] or '-'}\n"
    )


def as_json(record: Record) -> str:
    """One object a line; what is empty is null."""
    entry = {
        "time": logs.timestamp(record["time_ns"]),
        "client": record["client"],
        "host": _text(record["host"]),
        "method": _text(record["method"]),
        "target": _text(record["target"]),
        "protocol": f"HTTP/1.{record['minor']}",
        "status": record["status"],
        "bytes": record["bytes"],
        "first_byte_us": record["first_byte_us"],
        "total_us": record["total_us"],
        "upstream": _text(record["upstream"]),
        "reason": record["reason"] or None,
        "tls": record["tls"] or None,
        "ktls": record["ktls"] or None,
        "referer": _text(record["referer"]),
        "user_agent": _text(record["user_agent"]),
    }
    # ASCII alone: whatever a client sent cannot end a line or move a terminal's cursor.
    return json.dumps(entry, separators=(",", ":")) + "\n"


FORMATS: Mapping[str, Callable[[Record], str]] = {"combined": combined, "json": as_json}


def _text(octets: str) -> str | None:
    """Records have one character an octet: most are ASCII, what else is UTF-8 is shown so."""
    if octets.isascii():
        return octets or None
    try:
        return octets.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return octets


def _quoted(octets: str) -> str:
    return f'"{_field(octets)}"'


def _field(octets: str) -> str:
    """Nothing that a client sent ends a field or a line: quotes, backslashes and all but printable ASCII as \\xNN."""
    if not octets:
        return "-"
    return _UNSAFE.sub(_escaped, octets)


def _escaped(unsafe: re.Match[str]) -> str:
    return "".join(f"\\x{octet:02x}" for octet in unsafe[0].encode("latin-1", "replace"))
