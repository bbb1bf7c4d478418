"""The access log: a thread of the supervisor reads the workers' records from shared memory and writes lines.

No request waits for it. A worker writes a record into its ring and continues. If this thread or the disk is too slow,
the ring fills up, and the worker drops records and counts them.
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
"""Seconds between two reads of the rings."""
_DROPS_EVERY = 10.0
"""Seconds between two warnings about dropped records or lost lines."""
_STUCK = 2.0
"""Seconds without progress after which stop() no longer waits for the reader of the log."""
_STOP_MOST = 30.0
"""Seconds that stop() waits at most. A reader that reads one line a second would otherwise delay it forever."""
_EVENTS_MOST = 64
"""Events of one worker that are logged per second. A correct worker writes each kind once a second. A broken one must
not flood the log."""
_DETAIL_MOST = 500
"""Characters of an event's detail that are logged."""
_ROUNDS_MOST = 64
"""Batches that are read in a row before the thread does anything else. A full ring has fewer."""
_WAITING_MOST = 8
"""Rings of one worker that wait while the log cannot be written. Each belongs to a process that died meanwhile."""
_UNSAFE = re.compile(r"[^ !#-\[\]-~]+")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Source(Protocol):
    """The ring of one worker (engine.records.Reader)."""

    def read(self, limit: int) -> list[dict[str, Any]]:
        """Raises ValueError with a sentence if the ring contains data that no correct worker writes."""
        ...


@dataclass(eq=False)
class _Ring:
    """The ring of one worker, and the number of records that this worker has dropped."""

    worker: int
    source: Source
    dropped: Callable[[], int]
    release: Callable[[], None]
    broken: Callable[[str], None]
    told: int = 0
    readable: bool = True
    """False: the data in it is invalid, and `broken` was called."""
    second: int = 0
    events: int = 0
    """Events that were logged in this second."""
    silenced: int = 0
    """Events that were not logged since the last warning about them."""


class AccessLog:
    """Reads the rings of all workers. If `path` is None, it only logs their events to stderr.

    From `attach()` on, a ring and its memory belong to the thread. The thread holds no lock while it writes a line,
    because the reader of the log may block forever.
    """

    def __init__(self, path: str | None, form: str) -> None:
        """Opens `path` ("stdout" or a file). Raises RingwayError."""
        self._path = path
        self._line = FORMATS[form]
        self._file = _open(path)
        self._rings: dict[int, _Ring] = {}
        self._drops_told = time.monotonic()
        self._coming: list[_Ring | int] = []
        """Requests to the thread, oldest first: a ring to attach, or a worker whose ring to release."""
        self._lock = threading.Lock()
        """Protects `_coming` and `_next`. Never held during a read or a write."""
        self._next: tuple[str | None, Callable[[Record], str], int] | None = None
        """The new path, format and file after change()."""
        self._wake = threading.Event()
        self._reopen = False
        self._stopping = False
        self._given_up = False
        """stop() no longer waits: the thread counts the remaining lines and does not write them."""
        self._failing = False
        self._lost = 0
        """Lines that were read from a ring but could not be written, since the last warning about them."""
        self._torn = False
        """Only a part of the last line was written."""
        self._progress = 0
        """Grows with each batch and with each piece that is written."""
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
        """Sets the ring of a worker. The thread first writes the rest of the worker's last ring. Does not block.

        The thread calls `dropped` for the number of records that the worker dropped, and `release` after the last read
        of the ring. If the ring contains invalid data, the thread calls `broken` and does not read the ring again."""
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
        """Removes a worker for good. The thread writes the rest of its ring, then releases the ring."""
        with self._lock:
            self._coming.append(worker)
        self._wake.set()

    def change(self, path: str | None, form: str) -> None:
        """Changes the path or the format. Raises RingwayError and changes nothing if the file cannot be opened."""
        if (path, FORMATS[form]) == (self._path, self._line):
            return
        file = self._file if path == self._path else _open(path)
        with self._lock:
            self._next = (path, FORMATS[form], file)
        self._wake.set()

    def reopen(self) -> None:
        """Opens the file again, after a log rotation."""
        self._reopen = True
        self._wake.set()

    def stop(self) -> None:
        """Writes the remaining lines and closes the file. Waits at most 30 seconds for a slow reader of stdout, and two
        seconds for a reader that reads nothing."""
        self._stopping = True
        self._wake.set()
        self._wait_while_it_goes_on()
        self._given_up = True
        self._wait_while_it_goes_on()  # the thread counts the remaining lines
        if self._thread.is_alive():
            # The thread hangs in write(2), for example because a disk or file server does not answer.
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
        """Switches to the new path and format. Called after the thread has written everything from before."""
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
        """Reads and writes everything in the rings. Sorts the records of one round by time."""
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
                with contextlib.suppress(BlockingIOError):  # another process filled the pipe meanwhile
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
        """Waits until a write would not block. False: stop() gave up first."""
        waiting = select.poll()
        waiting.register(self._file, select.POLLOUT)
        while not waiting.poll(_EVERY * 1000):
            if self._given_up:
                return False
        return not self._given_up

    def _piece_end(self, data: bytes, at: int) -> int:
        """Returns the end of the next piece: at most PIPE_BUF bytes, which a ready pipe accepts without blocking
        (pipe(7)). A piece consists of whole lines if possible, so that lines of other writers do not split them."""
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
        # O_NONBLOCK: otherwise open() would wait for the reader of a FIFO.
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
    """Whether it is a file, or a device such as /dev/null: Ringway can append lines, and needs no reader."""
    return stat.S_ISREG(mode) or stat.S_ISCHR(mode)


def _told(ring: _Ring, record: Record) -> bool:
    """Logs an event of a worker to stderr. False: the record is a line of the access log."""
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
    "http2_blamed": "closed a connection with HTTP/2, because the client wasted work (resets, pings, settings, refused "
    "requests):",
    "gave_way": "buffers or connections are scarce, evicted the client that used them least:",
    "clients_full": "closed a new connection: the limit `[limits] client_connections` is reached",
}
"""Log lines by the names of events in `engine.records`. A worker sends each event at most once a second."""


_HTTP2 = 20
"""In the place of `minor`, HTTP2_MINOR of engine/base/records.pxd."""


def _protocol(record: Record) -> str:
    """Returns the protocol of a request as the log shows it."""
    return "HTTP/2.0" if record["minor"] == _HTTP2 else f"HTTP/1.{record['minor']}"


def combined(record: Record) -> str:
    """Formats a record in the combined log format, followed by name=value: host, seconds to the first byte and in
    total, upstream, reason, TLS, and kernel TLS."""
    moment = datetime.datetime.fromtimestamp(record["time_ns"] // 1_000_000_000, datetime.UTC)
    when = f"{moment.day:02d}/{_MONTHS[moment.month - 1]}/{moment.year}:{moment:%H:%M:%S} +0000"
    request = f"{record['method']} {record['target']} {_protocol(record)}" if record["method"] else "-"
    return (
        f"{_field(record['client'])} - - [{when}] {_quoted(request)} {record['status']} {record['bytes']} "
        f"{_quoted(record['referer'])} {_quoted(record['user_agent'])} host={_quoted(record['host'])} "
        f"first_byte={record['first_byte_us'] / 1e6:.6f} total={record['total_us'] / 1e6:.6f} "
        f"upstream={_quoted(record['upstream'])} reason={_quoted(record['reason'])} tls={record['tls'] or '-'} "
        f"ktls={record['ktls'] or '-'}\n"
    )


def as_json(record: Record) -> str:
    """Formats a record as one JSON object on a line. Empty values are null."""
    entry = {
        "time": logs.timestamp(record["time_ns"]),
        "client": record["client"],
        "host": _text(record["host"]),
        "method": _text(record["method"]),
        "target": _text(record["target"]),
        "protocol": _protocol(record),
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
    # Only ASCII: text from a client cannot end a line or control a terminal.
    return json.dumps(entry, separators=(",", ":")) + "\n"


FORMATS: Mapping[str, Callable[[Record], str]] = {"combined": combined, "json": as_json}


def _text(octets: str) -> str | None:
    """Decodes UTF-8. Records have one character for each byte; most texts are ASCII."""
    if octets.isascii():
        return octets or None
    try:
        return octets.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return octets


def _quoted(octets: str) -> str:
    return f'"{_field(octets)}"'


def _field(octets: str) -> str:
    """Escapes quotes, backslashes and everything but printable ASCII as \\xNN, so that text from a client cannot end a
    field or a line."""
    if not octets:
        return "-"
    return _UNSAFE.sub(_escaped, octets)


def _escaped(unsafe: re.Match[str]) -> str:
    return "".join(f"\\x{octet:02x}" for octet in unsafe[0].encode("latin-1", "replace"))
