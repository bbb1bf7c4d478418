"""The supervisor: opens what the workers need, starts, watches and ends them. It touches no request.

It has one thread with one loop (`_step`), which handles signals, commands, messages of workers, deaths, restarts and
deadlines. Other threads resolve names, write the logs and watch files.

    _open -> start every seat -> [ _step, _step, ... ] -> drain -> _close

reload.py and upgrade.py change it while it runs.
"""

import contextlib
import functools
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from ringway.config.document import included
from ringway.config.load import Loaded
from ringway.config.model import Config
from ringway.control.commands.commands import Door
from ringway.control.logs import logs
from ringway.control.logs.access_log import AccessLog
from ringway.control.machine import account, cpus, io_driver, kernel_tls, memory, room
from ringway.control.machine.watching import LOOK_EVERY, Settled, Ticking, signature_of
from ringway.control.running.briefs import brief, wanted_listeners
from ringway.control.running.notify import notify
from ringway.control.running.process import WorkerProcess, raise_limits
from ringway.control.running.reload import Change, Reloads
from ringway.control.running.rules import Rules
from ringway.control.running.seats import START_WITHIN, Seat, places_of, restart_pause, stand_in
from ringway.control.running.signals import CERTIFICATES, FILE_CHANGED, FOLDERS, PEERS, RESOLVED, SUSPECT, Signals
from ringway.control.running.takeover import TakeOver
from ringway.control.running.upgrade import Upgrades
from ringway.control.sockets import activation, listeners, steering
from ringway.errors import RingwayError, reason_of

_QUICK_DEATH = 1.0
"""A worker that has served for less than this (seconds) died at once: the next start waits longer."""
_GRACE = 1.0
"""Seconds that a worker gets to close up after its deadline, before it is killed."""
_LAST_READS = 16
"""How often what a worker said is looked for after its end: more than its socket can hold. A process that it started
may hold the socket open."""


class Supervisor:
    """Runs a configuration until a signal ends it."""

    def __init__(
        self,
        loaded: Loaded,
        on_ready: Callable[[list[listeners.Group]], None] | None = None,
        hangup_ends: bool = False,
        take_over: TakeOver | None = None,
    ) -> None:
        """`on_ready`: called with the listeners when all workers are ready. `hangup_ends`: SIGHUP ends Ringway like
        SIGTERM, as usual for a program in a terminal; otherwise it reloads. `take_over`: what the old supervisor hands
        over in an upgrade. That one serves until this one is ready."""
        self.config: Config = loaded.config
        self.file = loaded.file
        self._warnings = loaded.warnings
        self._on_ready = on_ready
        self._hangup_ends = hangup_ends
        self._take_over = take_over
        self.door: Door | None = None
        self.groups: list[listeners.Group] = []
        self._unwanted: list[listeners.Group] = []
        """Listeners from the old supervisor that the configuration does not name. It serves there until this one is
        ready."""
        self.seats: list[Seat] = []
        self._leaving: list[Seat] = []
        """Workers that drain because new ones replaced them."""
        self._leave_by: float | None = None
        self._seats_made = 0
        self.files = 0
        """How many may be open in each process."""
        self.selector: selectors.BaseSelector = selectors.DefaultSelector()
        self._signals = Signals()
        self.log: AccessLog | None = None
        self.rules: Rules | None = None
        self._reloads = Reloads(self)
        self._upgrades = Upgrades(self)
        self._file_watch: Ticking | None = None
        self.was_ready = False
        self.ending = False
        self._kill_at: float | None = None
        self._error = ""

    def run(self) -> int:
        """Runs until a signal ends it, and returns the exit code 0. Raises RingwayError if it cannot start, and leaves
        nothing running."""
        self._signals.take_over()
        try:
            self.selector.register(self._signals, selectors.EVENT_READ, self._take_signals)
            self._open()
            for seat in self.seats:
                if not self.ending:
                    self.start(seat)
            while any(seat.process is not None for seat in self._everyone()) or not self.ending:
                self._step()
        finally:
            self._close()
            self._signals.close()
            logs.flush()
        if self._error:
            raise RingwayError(self._error)
        return 0

    @property
    def busy(self) -> str:
        """Why no reload or upgrade can start now, apart from a running reload. "": it can."""
        if self.ending:
            return "ending"
        if not self.was_ready:
            return "starting"
        return "being upgraded" if self._upgrades.under_way else ""

    @property
    def reloading(self) -> bool:
        return self._reloads.under_way

    def _everyone(self) -> list[Seat]:
        return [*self.seats, *self._leaving, *self._reloads.seats]

    # Opening and closing

    def _open(self) -> None:
        for warning in self._warnings:
            logs.warning(warning)
        config = self.config
        self.seats = self.new_seats(config)
        count = len(self.seats)
        self.files = raise_limits()
        for warning in room.warnings(config, count, self.files):
            logs.warning(warning)
        self.log = AccessLog(config.access_log.path, config.access_log.format)
        given = self._take_over
        with contextlib.closing(activation.take_passed()) as passed:
            self.groups, self._unwanted, _ = listeners.adopt(
                given.groups if given else [], wanted_listeners(config), count, passed
            )
        self._steer(config)
        self.rules = Rules(config, self.tell, given.ticket_keys if given else None, taken=self.taken)
        self.rules.resolver.wait()
        self.door = Door(self.file, given.door if given else None)
        if self.door.socket is not None:
            self.selector.register(self.door.socket, selectors.EVENT_READ, self._take_command)
        self.log.start()
        self._follow_file(config)
        logs.info(f"I/O driver: {io_driver.line(config)}")
        logs.info(f"workers run as {account.described(config.server)}")
        if config.tls is not None and config.tls.ktls_enabled and not kernel_tls.found().why:
            for line in kernel_tls.found().lines():
                logs.info(f"kernel TLS: {line}")
        logs.info(f"starting {count} worker{'s' if count > 1 else ''}, each can open {self.files} files")

    def new_seats(self, config: Config) -> list[Seat]:
        usable = cpus.allowed()
        count = cpus.worker_count(config.server.threads, usable, cpus.quota())
        first, self._seats_made = self._seats_made, self._seats_made + count
        return [Seat(first + place, cpu, place) for place, cpu in enumerate(cpus.pin(count, usable))]

    def _steer(self, config: Config) -> None:
        if config.performance.reuseport_balancing == "cbpf":
            steering.attach_all([group.sockets for group in self.groups if not group.address.path])

    def _follow_file(self, config: Config) -> None:
        """Watches the configuration file and notifies the loop of changes, if `reload_on_change` is set."""
        if self._file_watch is not None:
            self._file_watch.stop()
            self._file_watch = None
        if config.server.reload_on_change:
            settled = Settled(lambda: signature_of([self.file, *included(config.include, self.file)]))

            def look() -> None:
                if settled.changed():
                    self.tell(FILE_CHANGED)

            self._file_watch = Ticking("configuration", LOOK_EVERY, look)
            self._file_watch.start()

    def _close(self) -> None:
        """Closes and ends everything that is open or running, also after a start that failed halfway."""
        self.ending = True
        self._reloads.abandon("Ringway ended")
        for seat in self._everyone():
            if seat.process is not None:
                seat.process.kill()
                seat.process.process.wait()
                self._forget(seat)
        self._upgrades.close()
        if self._file_watch is not None:
            self._file_watch.stop()
        listeners.close_all([*self.groups, *self._unwanted])
        if self.door is not None:
            self.door.close()
        if self.log is not None:
            self.log.stop()  # reads the last records of the workers, and closes the rings
        if self.rules is not None:
            self.rules.close()
        self.selector.close()
        # Break reference cycles, so that memory is freed now and not at the next garbage collection.
        self.rules = self.log = None
        del self._reloads, self._upgrades

    # Signals and commands

    def tell(self, news: bytes) -> None:
        """From other threads: the loop takes it as it takes a signal."""
        self._signals.tell(news)

    def _take_signals(self) -> None:
        for number in self._signals.take():
            self._take_signal(number)

    def _take_signal(self, number: int) -> None:
        if number in (CERTIFICATES[0], PEERS[0]):
            for seat in self.seats:
                if seat.process is not None and number == CERTIFICATES[0]:
                    seat.process.renew_certificates()
                elif seat.process is not None:
                    seat.process.renew_peers()
        elif number == FOLDERS[0]:
            if self.rules is not None:
                self.rules.follow_folders()
        elif number == RESOLVED[0]:
            self._reloads.resolved()
        elif number in (signal.SIGTERM, signal.SIGINT) or (number == signal.SIGHUP and self._hangup_ends):
            name = signal.Signals(number).name
            if self.ending:
                self._end_at_once(name)
            else:
                self.drain(name)
        elif number == signal.SIGHUP or number == FILE_CHANGED[0]:
            self._reloads.ask("SIGHUP" if number == signal.SIGHUP else f'"{self.file}" has changed')
        elif number == signal.SIGUSR2:
            self._upgrades.ask("SIGUSR2")
        elif number == signal.SIGUSR1 and self.log is not None:
            self.log.reopen()

    def _take_command(self) -> None:
        asker = self.door.accept() if self.door is not None else None
        if asker is None:
            return
        command = asker.command()
        if command == "reload":
            self._reloads.ask("ringway reload", asker)
        elif command == "upgrade":
            self._upgrades.ask("ringway upgrade", asker)
        else:
            asker.answer(False, [f"unknown command {command!r}: the running Ringway is of another version"])

    # The loop

    def _step(self) -> None:
        for key, _ in self.selector.select(self._timeout()):
            key.data()
        for seat in self._everyone():
            if seat.process is not None and seat.process.suspect:
                seat.process.distrust(f"its records cannot be read: {seat.process.suspect}")
            if seat.process is not None and seat.process.exited():
                self._ended(seat)
        now = time.monotonic()
        for seat in self._everyone():
            if seat.restart_at is not None and now >= seat.restart_at:
                self.start(seat)
            self._check_start(seat)
        self._upgrades.look(now)
        self._reloads.look(now)
        self._share_sockets()
        if self._leave_by is not None and now >= self._leave_by:
            self._leave_by = None
            self._kill(self._leaving)
        if self._kill_at is not None and now >= self._kill_at:
            logs.warning("the drain timeout has passed, killing the remaining workers")
            self._kill_at = None
            self._kill(self._everyone())

    def _timeout(self) -> float | None:
        """Returns the seconds until the next deadline. None: there is none."""
        due = [seat.restart_at for seat in self._everyone() if seat.restart_at is not None]
        due += [at for at in (self._kill_at, self._leave_by, self._reloads.due, self._upgrades.due) if at is not None]
        for seat in self._everyone():
            if seat.process is not None and seat.process.ready is None:
                due.append(seat.process.started + START_WITHIN)
        return max(0.0, min(due) - time.monotonic()) if due else None

    # Workers

    def start(self, seat: Seat) -> None:
        """Starts a process for this seat."""
        seat.restart_at = None
        try:
            seat.process = self._new_process(seat)
        except OSError as error:
            self._lost(seat, f"worker {seat.index} cannot be started ({reason_of(error)})", 0.0)
            return
        self.selector.register(seat.process, selectors.EVENT_READ, functools.partial(self._listen_to, seat))

    def _new_process(self, seat: Seat) -> WorkerProcess:
        """Starts a process with new counters and records, because a process that died can leave incomplete data. Raises
        OSError if descriptors, memory or processes run out, and leaves nothing open."""
        from ringway.engine.base import counters, records

        with contextlib.ExitStack() as opened:
            block = memory.Shared(f"ringway counters {seat.index}", counters.SIZE)
            opened.callback(block.close)
            ring = memory.Shared(f"ringway records {seat.index}", records.SIZE)
            opened.callback(ring.close)
            own = {"counters": block.descriptor, "records": ring.descriptor}
            self._rules_of(seat).follow_folders()
            become = self._rules_of(seat).account
            user = become.brief if become is not None else None
            brief: dict[str, Any] = {"index": seat.index, "cpu": seat.cpu, "user": user, **self.brief_of(seat), **own}
            sockets = [entry["fd"] for entry in brief["listeners"]]
            rules = self._rules_of(seat).descriptors
            process = WorkerProcess(seat.index, brief, [*rules, *own.values(), *sockets])
            release = opened.pop_all().close

        process.certificates = lambda: int(counters.read(block.map)["certificates"])

        def dropped() -> int:
            return int(counters.read(block.map).get("records_dropped", 0))

        if self.log is not None:
            self.log.attach(
                seat.index, records.Reader(ring.map), dropped, release, functools.partial(self._suspect, process)
            )
        return process

    def taken(self) -> dict[object, int]:
        """Returns how many blocks of certificates each worker has loaded. Other threads can call this."""
        processes = [seat.process for seat in list(self.seats)]
        return {process: process.certificates() for process in processes if process is not None}

    def _suspect(self, process: WorkerProcess, why: str) -> None:
        """In the thread of the log: the loop ends it."""
        process.suspect = why
        self.tell(SUSPECT)

    def _rules_of(self, seat: Seat) -> Rules:
        change = self._reloads.change_for(seat)
        rules = change.rules if change is not None else self.rules
        assert rules is not None
        return rules

    def brief_of(self, seat: Seat) -> dict[str, Any]:
        """Returns the brief for this worker: rules and listeners, those of the running reload if it includes the
        worker."""
        change = self._reloads.change_for(seat)
        rules = self._rules_of(seat)
        groups = change.groups if change is not None else self.groups
        seats = change.seats if change is not None and change.seats else self.seats
        return brief(rules, groups, places_of(seat, seats), len(seats))

    def _listen_to(self, seat: Seat) -> None:
        process = seat.process
        if process is None:
            return
        was_ready = process.ready is not None
        if not process.read():
            # The worker closed its end. SIGCHLD will report its exit.
            self.selector.unregister(process)
        if process.ready is not None and not was_ready:
            self._ready(seat, process)
        while process.renewed:
            answer = process.renewed.pop(0)
            if answer["number"]:
                self._reloads.answered(seat, answer)
            elif answer["error"]:
                logs.warning(f"worker {seat.index} cannot apply the change: {answer['error']}")

    def _ready(self, seat: Seat, process: WorkerProcess) -> None:
        found = process.ready or {}
        features = ", ".join(map(str, found.get("features", [])))
        place = f"on CPU {seat.cpu}" if found.get("pinned") else f"not pinned: CPU {seat.cpu} is gone"
        driver = f"{found.get('driver', 'unknown driver')}{': ' if features else ''}{features}"
        logs.info(f"worker {seat.index} (pid {process.pid}) ready {place}, {driver}")
        seat.away = False
        self._reloads.ready(seat)
        if not self.was_ready and all(other.process and other.process.ready is not None for other in self.seats):
            self.was_ready = True
            for group in self.groups:
                logs.info(f"listening on {group.url}")
            logs.info("ready")
            notify(f"MAINPID={os.getpid()}\nREADY=1\nSTATUS=ready")
            if self._take_over is not None:
                listeners.own_files([*self.groups, *self._unwanted])
                listeners.close_all(self._unwanted)
                self._take_over.ready()
                if self.door is not None:
                    self.door.own()
            if self._on_ready is not None:
                self._on_ready(self.groups)

    def _share_sockets(self) -> None:
        """Sends a brief to each worker whose sockets, shared memory or folders have changed: it stands in for another
        worker or no longer does, certificates are in another memory, or a folder is another one. Does nothing while
        workers must answer a reload, whose briefs contain the same. When the reload is over, this looks again."""
        if self.ending or self._reloads.asks_workers:
            return
        for seat in self.seats:
            if seat.process is not None and seat.serves:
                brief = self.brief_of(seat)
                if not seat.process.knows(brief):
                    with contextlib.suppress(OSError):  # out of descriptors: try again later
                        seat.process.renew({**brief, "number": 0})
        if self.rules is not None:
            self.rules.close_full()

    def _check_start(self, seat: Seat) -> None:
        process = seat.process
        if process is not None and process.ready is None and not process.failed and process.lived() > START_WITHIN:
            process.failed = f"not ready within {START_WITHIN:.0f} s"
            process.kill()

    # What a reload needs

    def needs_new_workers(self, config: Config) -> bool:
        """Whether this configuration needs new workers. A worker keeps its CPU, its driver and its user for life."""
        usable = cpus.allowed()
        count = cpus.worker_count(config.server.threads, usable, cpus.quota())
        return (
            count != len(self.seats)
            or cpus.pin(count, usable) != [seat.cpu for seat in self.seats]
            or io_driver.chosen(config) != io_driver.chosen(self.config)
            or (self.rules is not None and account.account_for(config.server)[0] != self.rules.account)
        )

    def adopt(
        self, config: Config, workers: int
    ) -> tuple[list[listeners.Group], list[listeners.Group], list[socket.socket]]:
        """Opens the listeners of another configuration in addition to the current ones: see listeners.adopt()."""
        return listeners.adopt(self.groups, wanted_listeners(config), workers)

    def go_by(self, change: Change) -> None:
        """Replaces rules, listeners and workers with those of the change."""
        old, self.rules = self.rules, change.rules
        self.config = change.config
        before = {group.name for group in self.groups}
        self.groups = change.groups
        for group in self.groups:
            if group.name not in before:
                logs.info(f"listening on {group.url}")
        if change.seats:
            self._leave(self.seats)
            self.seats = change.seats
        listeners.close_all(change.removed)
        for group in change.removed:
            logs.info(f"no longer listening on {group.url}")
        self._steer(change.config)
        self._follow_file(change.config)
        if old is not None:
            old.close()

    def dismiss(self, seats: list[Seat]) -> None:
        """Kills new workers of a reload that failed."""
        self._kill(seats)
        self._leaving += [seat for seat in seats if seat.process is not None]

    def _leave(self, seats: list[Seat]) -> None:
        """Drains workers that were replaced."""
        for seat in seats:
            seat.restart_at = None
            if seat.process is not None:
                seat.process.drain()
                self._leaving.append(seat)
        self._leave_by = time.monotonic() + self.config.timeouts.drain + _GRACE

    # Ends

    def _ended(self, seat: Seat) -> None:
        """The process of this seat has exited, for whatever reason."""
        process = seat.process
        assert process is not None
        for _ in range(_LAST_READS):  # its last messages may still be in the socket
            if not process.read() or process.stopped is not None:
                break
        self._forget(seat)
        if process.stopped is not None:
            _report_gauges(seat.index, process.stopped)
        if seat in self._leaving:
            self._leaving.remove(seat)
            if self.log is not None:
                self.log.detach(seat.index)
            if process.stopped is None:
                logs.warning(f"worker {seat.index} (pid {process.pid}) ended with {process.how_it_ended()}")
            return
        if self.ending:
            if process.stopped is None and not self._error:
                logs.warning(f"worker {seat.index} (pid {process.pid}) ended with {process.how_it_ended()}")
            return
        if process.driver_error and not self.was_ready and self.config.performance.io_driver == "auto":
            self._fall_back(process.driver_error)
            return
        what = "died" if process.ready is not None else "could not start"
        sentence = f"worker {seat.index} (pid {process.pid}) {what}: {process.how_it_ended()}"
        self._lost(seat, sentence, process.served())

    def _fall_back(self, error: int) -> None:
        """Restarts all workers with epoll, because a worker could not set up io_uring at the start. Workers that accept
        already drain."""
        io_driver.refused(error)
        logs.warning(f"I/O driver: {io_driver.line(self.config)}")
        for seat in self.seats:
            if seat.process is not None and seat.process.ready is None:
                seat.process.kill()
                seat.process.process.wait()
                self._forget(seat)
            if seat.process is None and self.log is not None:
                self.log.detach(seat.index)
        self._leave(self.seats)
        self.seats = self.new_seats(self.config)
        for seat in self.seats:
            self.start(seat)

    def _lost(self, seat: Seat, sentence: str, served: float) -> None:
        """A worker died or could not start. At the start of Ringway this ends it. Later the supervisor restarts the
        worker."""
        if seat in self._reloads.seats:
            self._reloads.abandon(sentence)
            return
        if not self.was_ready:
            self._error = sentence
            self.ending = True
            self._kill(self._everyone())
            return
        seat.quick_deaths = seat.quick_deaths + 1 if served < _QUICK_DEATH else 0
        pause = restart_pause(seat.quick_deaths)
        seat.restart_at = time.monotonic() + pause
        seat.away = pause > 0
        other = stand_in(seat, self.seats)
        meanwhile = f", worker {other.index} accepts for it meanwhile" if other is not None else ""
        logs.error(f"{sentence}; restarting {f'in {pause:.0f} s' if pause else 'now'}{meanwhile}")
        self._reloads.lost(seat)

    def _forget(self, seat: Seat) -> None:
        if seat.process is not None:
            if seat.process.fileno() in self.selector.get_map():
                self.selector.unregister(seat.process)
            seat.process.close()
            seat.process = None

    def drain(self, name: str, announce: bool = True) -> None:
        """Drains and ends Ringway. `announce`: False in an upgrade, because the new supervisor continues."""
        self.ending = True
        self._reloads.end()
        drain = self.config.timeouts.drain
        if announce:
            # systemd's own timeout (TimeoutStopSec=) may be shorter. Add the grace twice: to close up after the
            # deadline, and to write the end of the access log.
            patience = round((drain + 2 * _GRACE) * 1e6)
            notify(f"STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC={patience}")
        self._kill_at = time.monotonic() + drain + _GRACE
        for seat in self.seats:
            seat.restart_at = None
            if seat.process is not None:
                seat.process.drain()
        logs.info(f"{name}: draining, running requests have {drain:g} s")
        # The workers close their sockets. Close these as well, so that the kernel refuses new connections.
        listeners.close_all(self.groups, files=announce)
        if self.door is not None and self.door.socket is not None and not announce:
            self.selector.unregister(self.door.socket)
            self.door.leave()

    def _end_at_once(self, name: str) -> None:
        logs.info(f"{name} again: ending at once")
        self._kill_at = time.monotonic() + _GRACE
        for seat in self._everyone():
            if seat.process is not None:
                seat.process.stop()

    def _kill(self, seats: list[Seat]) -> None:
        for seat in seats:
            seat.restart_at = None
            if seat.process is not None:
                seat.process.kill()


def _report_gauges(index: int, stopped: dict[str, Any]) -> None:
    left = ", ".join(f"{count} {name}" for name, count in stopped["gauges"].items() if count)
    if left:
        logs.warning(f"worker {index} left open: {left} ({'; '.join(stopped['open'])})")
    else:
        logs.info(f"worker {index} stopped, nothing left open")
