"""The supervisor: opens what the workers need, starts them, watches them, and ends them. It touches no request.

One thread and one loop (`_step`): signals, what workers say, deaths, restarts that are due, the drain deadline. Beside
it run the resolver's threads and the access log's.
"""

import functools
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ringway.config.compile import compile_plan
from ringway.config.load import Loaded
from ringway.config.model import Config, Tls
from ringway.config.values import parse_address
from ringway.control import cpus, io_driver, kernel_tls, keyring, listeners, logs, memory, peers, steering
from ringway.control.access_log import AccessLog
from ringway.control.notify import notify
from ringway.control.process import WorkerProcess, raise_file_limit
from ringway.control.resolver import Addresses, Resolver
from ringway.errors import RingwayError

_START_WITHIN = 30.0
"""Seconds in which a worker must say that it is ready."""
_QUICK_DEATH = 5.0
"""A worker that dies younger than this (seconds) died at once: the next start waits longer."""
_LONGEST_PAUSE = 30.0
_GRACE = 1.0
"""Seconds that a worker gets to close up after its deadline, before it is killed."""
_CERTIFICATES, _PEERS = b"\0", b"\xff"
"""Written to where signals are, by the watches of files: there are new certificates, or files for upstreams."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)


@dataclass
class Seat:
    """The place of a worker, which outlives the process that takes it."""

    index: int
    cpu: int
    process: WorkerProcess | None = None
    quick_deaths: int = 0
    """How often in a row a process died at once."""
    restart_at: float | None = None
    """Monotonic time of the next start, when there is no process."""


def restart_pause(quick_deaths: int) -> float:
    """Seconds until a worker is started again: none at first, then 1, 2, 4 up to 30 when it dies at once again and
    again."""
    return 0.0 if quick_deaths < 2 else min(_LONGEST_PAUSE, 2.0 ** min(quick_deaths - 2, 10))


class Supervisor:
    """Runs a configuration until a signal ends it."""

    def __init__(
        self,
        loaded: Loaded,
        on_ready: Callable[[list[listeners.Group]], None] | None = None,
        hangup_ends: bool = False,
    ) -> None:
        """`on_ready` is told the listeners once all workers are ready. `hangup_ends`: SIGHUP ends it as SIGTERM does,
        for a program of the terminal; otherwise it is ignored with a warning."""
        self.config: Config = loaded.config
        self._warnings = loaded.warnings
        self._on_ready = on_ready
        self._hangup_ends = hangup_ends
        self._groups: list[listeners.Group] = []
        self._seats: list[Seat] = []
        self._selector = selectors.DefaultSelector()
        self._descriptors: dict[str, int] = {}
        self._kept: list[memory.Shared] = []
        self._log: AccessLog | None = None
        self._resolver: Resolver | None = None
        self._certificates: memory.Published | None = None
        self._peers: memory.Published | None = None
        self._watches: list[keyring.Watch | peers.Watch] = []
        self._brief: dict[str, Any] = {}
        self._was_ready = False
        self._ending = False
        self._kill_at: float | None = None
        self._error = ""

    def run(self) -> int:
        """Returns the exit code, 0, after a signal ended it. Raises RingwayError, with nothing left running, when it
        cannot start."""
        wakeup, signals = socket.socketpair()
        self._wakeup = wakeup
        before = self._take_signals(wakeup)
        try:
            self._selector.register(signals, selectors.EVENT_READ)
            signals.setblocking(False)
            self._open()
            for seat in self._seats:
                if not self._ending:
                    self._start(seat)
            while any(seat.process is not None for seat in self._seats) or not self._ending:
                self._step(signals)
        finally:
            self._close()
            self._give_signals_back(before)
            signals.close()
            wakeup.close()
            logs.flush()
        if self._error:
            raise RingwayError(self._error)
        return 0

    # Opening and closing

    def _open(self) -> None:
        for warning in self._warnings:
            logs.warning(warning)
        config = self.config
        usable = cpus.allowed()
        count = cpus.worker_count(config.server.threads, usable, cpus.quota())
        self._seats = [Seat(index, cpu) for index, cpu in enumerate(cpus.pin(count, usable))]
        files = raise_file_limit()
        self._log = AccessLog(config.access_log.path, config.access_log.format)
        self._groups = listeners.open_all(wanted_listeners(config), count)
        if config.performance.reuseport_balancing == "cbpf":
            steering.attach_all([group.sockets for group in self._groups if not group.address.path])
        self._build()
        self._log.start()
        logs.info(f"I/O driver: {io_driver.line(config)}")
        if config.tls is not None and config.tls.ktls_enabled and not kernel_tls.found().why:
            for line in kernel_tls.found().lines():
                logs.info(f"kernel TLS: {line}")
        logs.info(f"starting {count} worker{'s' if count > 1 else ''}, {files} files may be open in each")

    def _build(self) -> None:
        """What all workers share: the snapshot, the addresses, the certificate."""
        try:
            from ringway.engine import addresses, snapshot
        except ImportError as error:
            raise RingwayError(f"the engine is not built ({error}); install Ringway with `pip install .`") from None

        plan = compile_plan(self.config)
        upstreams = [(upstream["host"], upstream["port"]) for upstream in plan["upstreams"]]
        table = memory.Shared("ringway addresses", addresses.size(len(upstreams)))
        self._kept.append(table)
        self._descriptors = {
            "snapshot": memory.sealed("ringway snapshot", snapshot.build(plan)),
            "addresses": table.descriptor,
        }

        def write(index: int, found: Addresses) -> None:
            addresses.write(table.map, index, found)

        self._resolver = Resolver(upstreams, write, self.config.server.dns_refresh)
        self._resolver.start()
        if self.config.tls is not None:
            self._open_certificates(self.config.tls)
        if any(plan["upstream_tls"]):
            self._open_peers(plan["upstream_tls"])
        self._brief = {
            "driver": io_driver.chosen(self.config),
            "folders": plan["folders"],
            "tls": tls_brief(self.config.tls),
            "peers": None,
            **self._descriptors,
        }

    def _open_certificates(self, tls: Tls) -> None:
        ring, problems = keyring.load(tls)
        if ring is None or problems:
            raise RingwayError("; ".join(map(str, problems)))
        for line in [*ring.warnings(), *ring.expiring()]:
            logs.warning(f"certificate {line}")
        self._certificates = memory.Published("ringway certificates")
        self._descriptors["certificates"] = self._certificates.descriptor
        watch = keyring.Watch(tls, ring, functools.partial(self._publish, self._certificates, _CERTIFICATES))
        self._follow(watch, self._certificates)

    def _open_peers(self, plan: peers.Plan) -> None:
        found, problems = peers.load(plan)
        if problems:
            raise RingwayError("; ".join(map(str, problems)))
        self._peers = memory.Published("ringway peers")
        self._descriptors["peers"] = self._peers.descriptor
        self._follow(peers.Watch(plan, found, functools.partial(self._publish, self._peers, _PEERS)), self._peers)

    def _follow(self, watch: keyring.Watch | peers.Watch, published: memory.Published) -> None:
        self._watches.append(watch)
        self._publish(published, b"", watch.block())
        watch.start()

    def _publish(self, published: memory.Published, kind: bytes, block: bytearray) -> None:
        """In the thread of the watch: the loop then tells the workers. There are keys in it."""
        published.publish(block)
        block[:] = bytes(len(block))
        self._wakeup.send(kind)

    def _close(self) -> None:
        """Also after a start that failed half way: whatever is open or running is not any more."""
        for seat in self._seats:
            if seat.process is not None:
                seat.process.kill()
                seat.process.process.wait()
                self._forget(seat)
        listeners.close_all(self._groups)
        if self._resolver is not None:
            self._resolver.stop()
        if self._log is not None:
            self._log.stop()  # it reads what the workers left, and closes that
        for watch in self._watches:
            watch.stop()
        for published in (self._certificates, self._peers):
            if published is not None:
                published.close()
        if "snapshot" in self._descriptors:
            os.close(self._descriptors["snapshot"])
        for shared in self._kept:
            shared.close()
        self._selector.close()

    # Signals

    def _take_signals(self, wakeup: socket.socket) -> dict[int, Any]:
        wakeup.setblocking(False)
        before: dict[int, Any] = {number: signal.signal(number, _nothing) for number in _SIGNALS}
        before[-1] = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        return before

    def _give_signals_back(self, before: dict[int, Any]) -> None:
        signal.set_wakeup_fd(before.pop(-1))
        for number, handler in before.items():
            signal.signal(number, handler)

    def _take_signal(self, number: int) -> None:
        if number in (_CERTIFICATES[0], _PEERS[0]):
            for seat in self._seats:
                if seat.process is not None and number == _CERTIFICATES[0]:
                    seat.process.renew_certificates()
                elif seat.process is not None:
                    seat.process.renew_peers()
        elif number in (signal.SIGTERM, signal.SIGINT) or (number == signal.SIGHUP and self._hangup_ends):
            name = signal.Signals(number).name
            if self._ending:
                self._end_at_once(name)
            else:
                self._drain(name)
        elif number == signal.SIGHUP:
            logs.warning("SIGHUP: this version cannot reload its configuration; end it and start it again")
        elif number == signal.SIGUSR1 and self._log is not None:
            self._log.reopen()

    # The loop

    def _step(self, signals: socket.socket) -> None:
        for key, _ in self._selector.select(self._timeout()):
            if key.data is None:
                for number in signals.recv(4096):
                    self._take_signal(number)
            else:
                self._listen_to(key.data)
        for seat in self._seats:
            if seat.process is not None and seat.process.exited():
                self._ended(seat)
        now = time.monotonic()
        for seat in self._seats:
            if seat.restart_at is not None and now >= seat.restart_at:
                self._start(seat)
            self._check_start(seat)
        if self._kill_at is not None and now >= self._kill_at:
            logs.warning("the time to drain has passed, what still runs is killed")
            self._kill()

    def _timeout(self) -> float | None:
        """Seconds until something is due."""
        due = [seat.restart_at for seat in self._seats if seat.restart_at is not None]
        due += [self._kill_at] if self._kill_at is not None else []
        for seat in self._seats:
            if seat.process is not None and seat.process.ready is None:
                due.append(seat.process.started + _START_WITHIN)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _start(self, seat: Seat) -> None:
        """Starts a process for this seat. It gets fresh counters and records: what a process that died left half
        written must not confuse its successor."""
        from ringway.engine import counters, records

        block = memory.Shared(f"ringway counters {seat.index}", counters.SIZE)
        ring = memory.Shared(f"ringway records {seat.index}", records.SIZE)
        own = {"counters": block.descriptor, "records": ring.descriptor}
        https = (
            next((group.address.port for group in self._groups if group.tls and group.address.port), 0)
            if self.config.server.redirect_https
            else 0
        )
        sockets = [
            [group.sockets[seat.index].fileno(), group.tls, 0 if group.tls else https, group.proxied]
            for group in self._groups
        ]
        brief = {"index": seat.index, "cpu": seat.cpu, "listeners": sockets, **self._brief, **own}
        descriptors = [*self._descriptors.values(), *own.values(), *(number for number, *_ in sockets)]
        seat.restart_at = None
        if self._log is not None:

            def dropped() -> int:
                return int(counters.read(block.map).get("records_dropped", 0))

            def release() -> None:
                block.close()
                ring.close()

            self._log.attach(seat.index, records.Reader(ring.map), dropped, release)
        try:
            seat.process = WorkerProcess(seat.index, brief, descriptors)
        except OSError as error:
            self._lost(seat, f"worker {seat.index} cannot be started ({os.strerror(error.errno or 0)})", 0.0)
            return
        self._selector.register(seat.process, selectors.EVENT_READ, seat)

    def _listen_to(self, seat: Seat) -> None:
        process = seat.process
        if process is None:
            return
        was_ready = process.ready is not None
        if not process.read():
            # It closed its end: its exit follows, and SIGCHLD tells.
            self._selector.unregister(process)
        if process.ready is not None and not was_ready:
            self._ready(seat, process)

    def _ready(self, seat: Seat, process: WorkerProcess) -> None:
        found = process.ready or {}
        features = ", ".join(map(str, found.get("features", [])))
        place = f"on CPU {seat.cpu}" if found.get("pinned") else f"not pinned: CPU {seat.cpu} is gone"
        driver = f"{found.get('driver', 'unknown driver')}{': ' if features else ''}{features}"
        logs.info(f"worker {seat.index} (pid {process.pid}) ready {place}, {driver}")
        if not self._was_ready and all(other.process and other.process.ready is not None for other in self._seats):
            self._was_ready = True
            for group in self._groups:
                logs.info(f"listening on {group.url}")
            logs.info("ready")
            notify("READY=1\nSTATUS=ready")
            if self._on_ready is not None:
                self._on_ready(self._groups)

    def _check_start(self, seat: Seat) -> None:
        process = seat.process
        if process is not None and process.ready is None and not process.failed and process.lived() > _START_WITHIN:
            process.failed = f"not ready within {_START_WITHIN:.0f} s"
            process.kill()

    # Ends

    def _ended(self, seat: Seat) -> None:
        """The process of this seat exited: in order, or not."""
        process = seat.process
        assert process is not None
        while process.read() and process.stopped is None:
            pass  # its last words may still lie in the socket
        self._forget(seat)
        if process.stopped is not None:
            _report_gauges(seat.index, process.stopped)
        if self._ending:
            if process.stopped is None and not self._error:
                logs.warning(f"worker {seat.index} (pid {process.pid}) ended with {process.how_it_ended()}")
            return
        what = "died" if process.ready is not None else "could not start"
        sentence = f"worker {seat.index} (pid {process.pid}) {what}: {process.how_it_ended()}"
        self._lost(seat, sentence, process.lived())

    def _lost(self, seat: Seat, sentence: str, lived: float) -> None:
        """A worker is missing: at the first start that is the end, later it gets a successor."""
        if not self._was_ready:
            self._error = sentence
            self._ending = True
            self._kill()
            return
        seat.quick_deaths = seat.quick_deaths + 1 if lived < _QUICK_DEATH else 0
        pause = restart_pause(seat.quick_deaths)
        seat.restart_at = time.monotonic() + pause
        logs.error(f"{sentence}; started again {f'in {pause:.0f} s' if pause else 'now'}")

    def _forget(self, seat: Seat) -> None:
        if seat.process is not None:
            if seat.process.fileno() in self._selector.get_map():
                self._selector.unregister(seat.process)
            seat.process.close()
            seat.process = None

    def _drain(self, name: str) -> None:
        self._ending = True
        drain = self.config.timeouts.drain
        logs.info(f"{name}: no new connections, running requests have {drain:g} s")
        notify("STOPPING=1\nSTATUS=draining")
        self._kill_at = time.monotonic() + drain + _GRACE
        for seat in self._seats:
            seat.restart_at = None
            if seat.process is not None:
                seat.process.drain()
        # The workers close theirs; with ours gone too, new connections are refused instead of left waiting.
        listeners.close_all(self._groups)

    def _end_at_once(self, name: str) -> None:
        logs.info(f"{name} again: ending at once")
        self._kill_at = time.monotonic() + _GRACE
        for seat in self._seats:
            if seat.process is not None:
                seat.process.stop()

    def _kill(self) -> None:
        self._kill_at = None
        for seat in self._seats:
            seat.restart_at = None
            if seat.process is not None:
                seat.process.kill()


def wanted_listeners(config: Config) -> list[listeners.Wanted]:
    """Addresses in the order of the file, each with what is spoken there."""
    server = config.server
    wanted = [(text, config.tls is not None) for text in server.listen] + [
        (text, False) for text in server.plain_listen
    ]
    return [listeners.Wanted(parse_address(text), tls, text in server.proxy_protocol) for text, tls in wanted]


def tls_brief(tls: Tls | None) -> dict[str, Any] | None:
    """What workers agree to, see docs/architecture.md; certificates and keys come in shared memory."""
    if tls is None:
        return None
    suites = [name for name in tls.ciphers if name.startswith("TLS_")]
    older = [name for name in tls.ciphers if not name.startswith("TLS_")]
    return {
        "min_version": tls.min_version if older else "1.3",
        # OpenSSL takes no empty list: one that is not offered, because the version is not.
        "ciphers": ":".join(older or ["ECDHE-ECDSA-AES128-GCM-SHA256"]),
        "suites": ":".join(suites),
        "groups": ":".join(tls.curves),
        "ktls": kernel_tls.brief(tls),
    }


def _report_gauges(index: int, stopped: dict[str, Any]) -> None:
    left = ", ".join(f"{count} {name}" for name, count in stopped["gauges"].items() if count)
    if left:
        logs.warning(f"worker {index} left open: {left} ({'; '.join(stopped['open'])})")
    else:
        logs.info(f"worker {index} stopped, nothing left open")


def _nothing(number: int, frame: FrameType | None) -> None:
    """Signals are read from the wakeup descriptor; with no handler at all they would end the process."""
