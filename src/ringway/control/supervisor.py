"""The supervisor: opens what the workers need, starts them, watches them, and ends them. It touches no request.

One thread and one loop (`_step`): signals, commands, what workers say, deaths, restarts that are due, deadlines. Beside
it run the resolver's threads, the access log's, and those that watch files.

    _open -> _start every seat -> [ _step ... _reload | _upgrade ... ] -> _drain -> _close

A reload swaps the rules within the workers; what a worker cannot change while it runs, its CPU or its driver, takes new
workers beside the old, which then drain.
"""

import functools
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from ringway.config.load import Loaded, load
from ringway.config.model import Config
from ringway.config.values import parse_address
from ringway.control import activation, cpus, io_driver, kernel_tls, listeners, logs, memory, room, steering
from ringway.control.access_log import AccessLog
from ringway.control.commands import Asker, Door
from ringway.control.notify import notify
from ringway.control.process import WorkerProcess, raise_limits
from ringway.control.rules import CERTIFICATES, PEERS, Rules
from ringway.control.takeover import Successor, TakeOver
from ringway.control.watching import LOOK_EVERY, Settled, Ticking, signature_of
from ringway.errors import ConfigError, RingwayError

if TYPE_CHECKING:
    pass

_START_WITHIN = 30.0
"""Seconds in which a worker must say that it is ready."""
_RENEW_WITHIN = 20.0
"""Seconds in which a worker must say what came of new rules."""
_QUICK_DEATH = 1.0
"""A worker that dies younger than this (seconds) died at once: the next start waits longer."""
_LONGEST_PAUSE = 30.0
_GRACE = 1.0
"""Seconds that a worker gets to close up after its deadline, before it is killed."""
_FILE_CHANGED = b"\x82"
"""Written to where signals are, as CERTIFICATES and PEERS are: the configuration file is another one."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)


@dataclass(eq=False)
class Seat:
    """The place of a worker, which outlives the process that takes it."""

    index: int
    """Its name in the log: no two seats of a supervisor share it."""
    cpu: int
    place: int = 0
    """Among the seats of its set: says which sockets are its own."""
    process: WorkerProcess | None = None
    quick_deaths: int = 0
    """How often in a row a process died at once."""
    restart_at: float | None = None
    """Monotonic time of the next start, when there is no process."""


@dataclass(eq=False)
class Change:
    """A reload that is under way."""

    number: int
    config: Config
    rules: Rules
    groups: list[listeners.Group]
    removed: list[listeners.Group]
    opened: list[socket.socket]
    """What is to be closed if it fails."""
    askers: Sequence[Asker]
    due: float
    waiting: list[Seat]
    """Those that have not answered."""
    seats: list[Seat] = field(default_factory=list)
    """New workers; empty: those that are there take the new rules."""
    errors: list[str] = field(default_factory=list)


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
        take_over: TakeOver | None = None,
    ) -> None:
        """`on_ready` is told the listeners once all workers are ready. `hangup_ends`: SIGHUP ends it as SIGTERM does,
        for a program of the terminal; otherwise the configuration file is read again. `take_over`: what a predecessor
        hands over; it goes on until this one is ready."""
        self.config: Config = loaded.config
        self._file = loaded.file
        self._warnings = loaded.warnings
        self._on_ready = on_ready
        self._hangup_ends = hangup_ends
        self._take_over = take_over
        self._door: Door | None = None
        self._passed = activation.Passed()
        self._groups: list[listeners.Group] = []
        self._unwanted: list[listeners.Group] = []
        """What a predecessor handed over and the configuration does not name: it serves there until we are ready."""
        self._seats: list[Seat] = []
        self._leaving: list[Seat] = []
        """Workers that drain since others have taken their place."""
        self._leave_by: float | None = None
        self._seats_made = 0
        self._files = 0
        """How many may be open in each process."""
        self._selector = selectors.DefaultSelector()
        self._log: AccessLog | None = None
        self._rules: Rules | None = None
        self._change: Change | None = None
        self._changes = 0
        self._asked_again: list[Asker] = []
        """Who asked for a reload while one was under way: one more follows."""
        self._reload_again = False
        self._successor: Successor | None = None
        self._file_watch: Ticking | None = None
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
            self._selector.register(signals, selectors.EVENT_READ, functools.partial(self._take_signals_of, signals))
            signals.setblocking(False)
            self._open()
            for seat in self._seats:
                if not self._ending:
                    self._start(seat)
            while any(seat.process is not None for seat in self._everyone()) or not self._ending:
                self._step()
        finally:
            self._close()
            self._give_signals_back(before)
            signals.close()
            wakeup.close()
            logs.flush()
        if self._error:
            raise RingwayError(self._error)
        return 0

    def _everyone(self) -> list[Seat]:
        return [*self._seats, *self._leaving, *(self._change.seats if self._change is not None else [])]

    # Opening and closing

    def _open(self) -> None:
        for warning in self._warnings:
            logs.warning(warning)
        config = self.config
        self._seats = self._new_seats(config)
        count = len(self._seats)
        self._files = raise_limits()
        for warning in room.warnings(config, count, self._files):
            logs.warning(warning)
        self._log = AccessLog(config.access_log.path, config.access_log.format)
        given = self._take_over
        self._passed = activation.take_passed()
        self._groups, self._unwanted, _ = listeners.adopt(
            given.groups if given else [], wanted_listeners(config), count, self._passed
        )
        self._steer(config)
        self._rules = Rules(config, self._tell, given.ticket_keys if given else None)
        self._door = Door(self._file, given.door if given else None)
        if self._door.socket is not None:
            self._selector.register(self._door.socket, selectors.EVENT_READ, self._take_command)
        self._log.start()
        self._follow_file(config)
        logs.info(f"I/O driver: {io_driver.line(config)}")
        if config.tls is not None and config.tls.ktls_enabled and not kernel_tls.found().why:
            for line in kernel_tls.found().lines():
                logs.info(f"kernel TLS: {line}")
        logs.info(f"starting {count} worker{'s' if count > 1 else ''}, {self._files} files may be open in each")

    def _new_seats(self, config: Config) -> list[Seat]:
        usable = cpus.allowed()
        count = cpus.worker_count(config.server.threads, usable, cpus.quota())
        first, self._seats_made = self._seats_made, self._seats_made + count
        return [Seat(first + place, cpu, place) for place, cpu in enumerate(cpus.pin(count, usable))]

    def _steer(self, config: Config) -> None:
        if config.performance.reuseport_balancing == "cbpf":
            steering.attach_all([group.sockets for group in self._groups if not group.address.path])

    def _follow_file(self, config: Config) -> None:
        """Tells the loop when the configuration file changes, if that is wanted."""
        if self._file_watch is not None:
            self._file_watch.stop()
            self._file_watch = None
        if config.server.reload_on_change:
            settled = Settled(lambda: signature_of([self._file]))

            def look() -> None:
                if settled.changed():
                    self._wakeup.send(_FILE_CHANGED)

            self._file_watch = Ticking("configuration", LOOK_EVERY, look)
            self._file_watch.start()

    def _close(self) -> None:
        """Also after a start that failed half way: whatever is open or running is not any more."""
        self._ending = True
        if self._change is not None:
            self._abandon("it ended")
        for seat in self._everyone():
            if seat.process is not None:
                seat.process.kill()
                seat.process.process.wait()
                self._forget(seat)
        if self._successor is not None:
            self._successor.give_up()
        if self._file_watch is not None:
            self._file_watch.stop()
        listeners.close_all([*self._groups, *self._unwanted])
        self._passed.close()
        if self._door is not None:
            self._door.close()
        if self._log is not None:
            self._log.stop()  # it reads what the workers left, and closes that
        if self._rules is not None:
            self._rules.close()
            self._rules = None  # which knows us: what we hold goes now, not when somebody collects it
        self._selector.close()

    # Signals and commands

    def _tell(self, news: bytes) -> None:
        """From other threads: the loop takes it as it takes a signal."""
        self._wakeup.send(news)

    def _take_signals(self, wakeup: socket.socket) -> dict[int, Any]:
        wakeup.setblocking(False)
        before: dict[int, Any] = {number: signal.signal(number, _nothing) for number in _SIGNALS}
        before[-1] = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        return before

    def _give_signals_back(self, before: dict[int, Any]) -> None:
        signal.set_wakeup_fd(before.pop(-1))
        for number, handler in before.items():
            signal.signal(number, handler)

    def _take_signals_of(self, signals: socket.socket) -> None:
        for number in signals.recv(4096):
            self._take_signal(number)

    def _take_signal(self, number: int) -> None:
        if number in (CERTIFICATES[0], PEERS[0]):
            for seat in self._seats:
                if seat.process is not None and number == CERTIFICATES[0]:
                    seat.process.renew_certificates()
                elif seat.process is not None:
                    seat.process.renew_peers()
        elif number in (signal.SIGTERM, signal.SIGINT) or (number == signal.SIGHUP and self._hangup_ends):
            name = signal.Signals(number).name
            if self._ending:
                self._end_at_once(name)
            else:
                self._drain(name)
        elif number == signal.SIGHUP or number == _FILE_CHANGED[0]:
            self._reload("SIGHUP" if number == signal.SIGHUP else f'"{self._file}" has changed')
        elif number == signal.SIGUSR2:
            self._upgrade("SIGUSR2")
        elif number == signal.SIGUSR1 and self._log is not None:
            self._log.reopen()

    def _take_command(self) -> None:
        asker = self._door.accept() if self._door is not None else None
        if asker is None:
            return
        command = asker.command()
        if command == "reload":
            self._reload("ringway reload", asker)
        elif command == "upgrade":
            self._upgrade("ringway upgrade", asker)
        else:
            asker.answer(False, [f"there is no command {command!r}: another version of Ringway runs"])

    # The loop

    def _step(self) -> None:
        for key, _ in self._selector.select(self._timeout()):
            key.data()
        for seat in self._everyone():
            if seat.process is not None and seat.process.exited():
                self._ended(seat)
        now = time.monotonic()
        for seat in self._everyone():
            if seat.restart_at is not None and now >= seat.restart_at:
                self._start(seat)
            self._check_start(seat)
        if self._successor is not None and (self._successor.exited() or now >= self._successor.due):
            self._upgrade_failed()
        if self._change is not None and now >= self._change.due:
            self._overdue(self._change)
        if self._leave_by is not None and now >= self._leave_by:
            self._leave_by = None
            self._kill(self._leaving)
        if self._kill_at is not None and now >= self._kill_at:
            logs.warning("the time to drain has passed, what still runs is killed")
            self._kill_at = None
            self._kill(self._everyone())

    def _timeout(self) -> float | None:
        """Seconds until something is due."""
        due = [seat.restart_at for seat in self._everyone() if seat.restart_at is not None]
        due += [at for at in (self._kill_at, self._leave_by) if at is not None]
        due += [self._change.due] if self._change is not None else []
        due += [self._successor.due] if self._successor is not None else []
        for seat in self._everyone():
            if seat.process is not None and seat.process.ready is None:
                due.append(seat.process.started + _START_WITHIN)
        return max(0.0, min(due) - time.monotonic()) if due else None

    # Workers

    def _start(self, seat: Seat) -> None:
        """Starts a process for this seat. It gets fresh counters and records: what a process that died left half
        written must not confuse its successor."""
        from ringway.engine import counters, records

        block = memory.Shared(f"ringway counters {seat.index}", counters.SIZE)
        ring = memory.Shared(f"ringway records {seat.index}", records.SIZE)
        own = {"counters": block.descriptor, "records": ring.descriptor}
        brief: dict[str, Any] = {"index": seat.index, "cpu": seat.cpu, **self._brief_of(seat), **own}
        sockets = [entry["fd"] for entry in brief["listeners"]]
        seat.restart_at = None
        if self._log is not None:

            def dropped() -> int:
                return int(counters.read(block.map).get("records_dropped", 0))

            def release() -> None:
                block.close()
                ring.close()

            self._log.attach(seat.index, records.Reader(ring.map), dropped, release)
        try:
            seat.process = WorkerProcess(
                seat.index, brief, [*self._rules_of(seat).descriptors, *own.values(), *sockets]
            )
        except OSError as error:
            self._lost(seat, f"worker {seat.index} cannot be started ({os.strerror(error.errno or 0)})", 0.0)
            return
        self._selector.register(seat.process, selectors.EVENT_READ, functools.partial(self._listen_to, seat))

    def _change_of(self, seat: Seat) -> Change | None:
        """The change that is under way, if it is for this worker."""
        change = self._change
        return change if change is not None and (not change.seats or seat in change.seats) else None

    def _rules_of(self, seat: Seat) -> Rules:
        change = self._change_of(seat)
        rules = change.rules if change is not None else self._rules
        assert rules is not None
        return rules

    def _brief_of(self, seat: Seat) -> dict[str, Any]:
        """What this worker is to know of the rules and the listeners, now or after the change that is under way."""
        change = self._change_of(seat)
        rules = self._rules_of(seat)
        groups = change.groups if change is not None else self._groups
        seats = change.seats if change is not None and change.seats else self._seats
        https = next((group.address.port for group in groups if group.tls and group.address.port), 0)
        entries = [
            {
                "name": name,
                "fd": sock.fileno(),
                "tls": group.tls,
                "https": https if rules.config.server.redirect_https and not group.tls else 0,
                "proxied": group.proxied,
            }
            for group in groups
            for name, sock in group.of(seat.place, len(seats))
        ]
        return {**rules.brief, "listeners": entries}

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
        while process.renewed:
            self._answered(seat, process.renewed.pop(0))

    def _ready(self, seat: Seat, process: WorkerProcess) -> None:
        found = process.ready or {}
        features = ", ".join(map(str, found.get("features", [])))
        place = f"on CPU {seat.cpu}" if found.get("pinned") else f"not pinned: CPU {seat.cpu} is gone"
        driver = f"{found.get('driver', 'unknown driver')}{': ' if features else ''}{features}"
        logs.info(f"worker {seat.index} (pid {process.pid}) ready {place}, {driver}")
        change = self._change
        if change is not None and seat in change.waiting and change.seats:
            self._answered(seat, {"number": change.number, "error": ""})
        elif change is not None and seat in change.waiting:
            process.renew({**self._brief_of(seat), "number": change.number})  # it was started before the change
        if not self._was_ready and all(other.process and other.process.ready is not None for other in self._seats):
            self._was_ready = True
            for group in self._groups:
                logs.info(f"listening on {group.url}")
            logs.info("ready")
            notify(f"MAINPID={os.getpid()}\nREADY=1\nSTATUS=ready")
            if self._take_over is not None:
                listeners.own_files([*self._groups, *self._unwanted])
                listeners.close_all(self._unwanted)
                self._take_over.ready()
            if self._on_ready is not None:
                self._on_ready(self._groups)

    def _check_start(self, seat: Seat) -> None:
        process = seat.process
        if process is not None and process.ready is None and not process.failed and process.lived() > _START_WITHIN:
            process.failed = f"not ready within {_START_WITHIN:.0f} s"
            process.kill()

    # Reloading

    def _reload(self, why: str, *askers: Asker) -> None:
        """Reads the configuration file again. If anything is wrong with it nothing changes."""
        if self._ending or not self._was_ready or self._successor is not None:
            state = "ending" if self._ending else "starting" if not self._was_ready else "being upgraded"
            _answer_all(askers, False, [f"Ringway is {state}: nothing was reloaded"])
            return
        if self._change is not None:
            self._reload_again = True
            self._asked_again += askers
            return
        logs.info(f"{why}: reading {self._file} again")
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            self._begin_change(load(self._file), askers)
        except (ConfigError, RingwayError, OSError) as error:
            self._refused(str(error), askers)

    def _refused(self, error: str, askers: Sequence[Asker]) -> None:
        for line in error.splitlines():
            logs.error(f"not reloaded, everything stays as it was: {line}")
        notify("READY=1\nSTATUS=ready; the last reload was refused")
        _answer_all(askers, False, error.splitlines())

    def _begin_change(self, loaded: Loaded, askers: Sequence[Asker]) -> None:
        config = loaded.config
        for warning in loaded.warnings:
            logs.warning(warning)
        self._passed.refuse_unnamed([one.address for one in wanted_listeners(config)])
        anew = self._needs_new_workers(config)
        seats = self._new_seats(config) if anew else []
        count = len(seats or self._seats)
        for warning in room.warnings(config, count, self._files):
            logs.warning(warning)
        groups, removed, opened = listeners.adopt(self._groups, wanted_listeners(config), count)
        assert self._rules is not None
        assert self._log is not None
        rules = None
        try:
            rules = Rules(config, self._tell, self._rules.ticket_keys)
            self._log.change(config.access_log.path, config.access_log.format)
        except RingwayError:
            listeners.discard(opened)
            if rules is not None:
                rules.close()
            raise
        self._changes += 1
        due = time.monotonic() + (_START_WITHIN if anew else _RENEW_WITHIN)
        waiting = seats or [seat for seat in self._seats if seat.process is not None]
        change = Change(self._changes, config, rules, groups, removed, opened, askers, due, list(waiting), seats)
        self._change = change
        for seat in waiting:
            if seats:
                self._start(seat)
            elif seat.process is not None and seat.process.ready is not None:
                seat.process.renew({**self._brief_of(seat), "number": change.number})
            # One that is starting is told when it is ready.
        if self._change is change and not change.waiting:
            self._finish(change)

    def _needs_new_workers(self, config: Config) -> bool:
        """What a worker has when it starts, it keeps: its CPU, the driver."""
        usable = cpus.allowed()
        count = cpus.worker_count(config.server.threads, usable, cpus.quota())
        return (
            count != len(self._seats)
            or cpus.pin(count, usable) != [seat.cpu for seat in self._seats]
            or io_driver.chosen(config) != io_driver.chosen(self.config)
        )

    def _answered(self, seat: Seat, answer: dict[str, Any]) -> None:
        change = self._change
        if change is None or seat not in change.waiting or answer["number"] != change.number:
            return
        if answer["error"]:
            change.errors.append(f"worker {seat.index} cannot take it and goes on as before: {answer['error']}")
        change.waiting.remove(seat)
        if not change.waiting:
            self._finish(change)

    def _finish(self, change: Change) -> None:
        """Every worker has answered: the new rules are the rules."""
        self._change = None
        old, self._rules = self._rules, change.rules
        self.config = change.config
        before = {group.name for group in self._groups}
        self._groups = change.groups
        for group in self._groups:
            if group.name not in before:
                logs.info(f"listening on {group.url}")
        if change.seats:
            self._leave(self._seats)
            self._seats = change.seats
        listeners.close_all(change.removed)
        for group in change.removed:
            logs.info(f"no longer listening on {group.url}")
        self._steer(change.config)
        self._follow_file(change.config)
        if old is not None:
            old.close()
        for line in change.errors:
            logs.error(line)
        lines = [f"worker {seat.index} (pid {seat.process.pid}): new rules" for seat in self._seats if seat.process]
        lines = change.errors or lines
        count = len(self._seats)
        logs.info(
            f"reloaded, {count} worker{'s' if count > 1 else ''}{' in place of those before' if change.seats else ''}"
        )
        notify("READY=1\nSTATUS=ready")
        _answer_all(change.askers, not change.errors, lines)
        self._reload_as_asked()

    def _reload_as_asked(self) -> None:
        """What was asked for while another reload was under way."""
        if self._reload_again:
            askers, self._asked_again, self._reload_again = self._asked_again, [], False
            self._reload("asked for meanwhile", *askers)

    def _overdue(self, change: Change) -> None:
        if change.seats:
            self._abandon(f"new workers were not ready within {_START_WITHIN:.0f} s")
            return
        for seat in list(change.waiting):
            change.errors.append(f"worker {seat.index} has not answered within {_RENEW_WITHIN:.0f} s")
        change.waiting.clear()
        self._finish(change)

    def _abandon(self, why: str) -> None:
        """New workers could not start: the old ones go on, as if nothing had been."""
        change, self._change = self._change, None
        assert change is not None
        self._kill(change.seats)
        self._leaving += [seat for seat in change.seats if seat.process is not None]
        listeners.discard(change.opened)
        change.rules.close()
        if self._log is not None:
            self._log.change(self.config.access_log.path, self.config.access_log.format)
        self._refused(why, change.askers)
        self._reload_as_asked()

    def _leave(self, seats: list[Seat]) -> None:
        """Others have taken their place: they finish what runs."""
        for seat in seats:
            seat.restart_at = None
            if seat.process is not None:
                seat.process.drain()
                self._leaving.append(seat)
        self._leave_by = time.monotonic() + self.config.timeouts.drain + _GRACE

    # Upgrading

    def _upgrade(self, why: str, asker: Asker | None = None) -> None:
        """Starts the program that is installed now beside this one, and hands it the listening sockets."""
        askers = [asker] if asker is not None else []
        if self._ending or not self._was_ready or self._change is not None or self._successor is not None:
            _answer_all(askers, False, ["Ringway is starting, ending, or changing already: try again in a moment"])
            return
        assert self._rules is not None
        logs.info(f"{why}: starting the program that is installed now")
        door = self._door.socket if self._door is not None else None
        try:
            self._successor = Successor(self._file, self._groups, door, self._rules.ticket_keys, askers)
        except OSError as error:
            _answer_all(askers, False, [f"no other process can be started ({error.strerror}), this one goes on"])
            return
        self._selector.register(self._successor, selectors.EVENT_READ, self._hear_successor)

    def _hear_successor(self) -> None:
        successor = self._successor
        if successor is None:
            return
        if not successor.says_ready():
            self._upgrade_failed()
            return
        self._selector.unregister(successor)
        self._successor = None
        logs.info(f"process {successor.pid} is ready and goes on from here")
        successor.let_go()
        _answer_all(
            successor.askers, True, [f"process {successor.pid} serves, process {os.getpid()} finishes what runs"]
        )
        self._drain("upgrade", announce=False)

    def _upgrade_failed(self) -> None:
        successor, self._successor = self._successor, None
        assert successor is not None
        self._selector.unregister(successor)
        why = successor.give_up()
        logs.error(f"not upgraded, this process goes on: {why}")
        notify(f"MAINPID={os.getpid()}\nREADY=1\nSTATUS=ready; the last upgrade failed")
        _answer_all(successor.askers, False, [why])

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
        if seat in self._leaving:
            self._leaving.remove(seat)
            if self._log is not None:
                self._log.detach(seat.index)
            if process.stopped is None:
                logs.warning(f"worker {seat.index} (pid {process.pid}) ended with {process.how_it_ended()}")
            return
        if self._ending:
            if process.stopped is None and not self._error:
                logs.warning(f"worker {seat.index} (pid {process.pid}) ended with {process.how_it_ended()}")
            return
        what = "died" if process.ready is not None else "could not start"
        sentence = f"worker {seat.index} (pid {process.pid}) {what}: {process.how_it_ended()}"
        self._lost(seat, sentence, process.lived())

    def _lost(self, seat: Seat, sentence: str, lived: float) -> None:
        """A worker is missing: at the first start that is the end, later it gets a successor."""
        change = self._change
        if change is not None and seat in change.seats:
            self._abandon(sentence)
            return
        if not self._was_ready:
            self._error = sentence
            self._ending = True
            self._kill(self._everyone())
            return
        seat.quick_deaths = seat.quick_deaths + 1 if lived < _QUICK_DEATH else 0
        pause = restart_pause(seat.quick_deaths)
        seat.restart_at = time.monotonic() + pause
        logs.error(f"{sentence}; started again {f'in {pause:.0f} s' if pause else 'now'}")
        if change is not None and seat in change.waiting:
            change.waiting.remove(seat)  # its next process begins with the new rules
            if not change.waiting:
                self._finish(change)

    def _forget(self, seat: Seat) -> None:
        if seat.process is not None:
            if seat.process.fileno() in self._selector.get_map():
                self._selector.unregister(seat.process)
            seat.process.close()
            seat.process = None

    def _drain(self, name: str, announce: bool = True) -> None:
        """`announce`: this is the end, and no successor goes on."""
        self._ending = True
        if self._change is not None:
            self._abandon("Ringway ends") if self._change.seats else self._overdue(self._change)
        drain = self.config.timeouts.drain
        if announce:
            # systemd's own patience (TimeoutStopSec=) may be shorter than ours. The grace is needed twice: to close up
            # after the deadline, and to write the end of the access log.
            patience = round((drain + 2 * _GRACE) * 1e6)
            notify(f"STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC={patience}")
        self._kill_at = time.monotonic() + drain + _GRACE
        for seat in self._seats:
            seat.restart_at = None
            if seat.process is not None:
                seat.process.drain()
        logs.info(f"{name}: no new connections, running requests have {drain:g} s")
        # The workers close theirs; with ours gone too, new connections are refused instead of left waiting.
        listeners.close_all(self._groups, files=announce)

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


def wanted_listeners(config: Config) -> list[listeners.Wanted]:
    """Addresses in the order of the file, each with what is spoken there."""
    server = config.server
    wanted = [(text, config.tls is not None) for text in server.listen]
    wanted += [(text, False) for text in server.plain_listen]
    return [listeners.Wanted(parse_address(text), tls, text in server.proxy_protocol) for text, tls in wanted]


def _answer_all(askers: Sequence[Asker], ok: bool, lines: list[str]) -> None:
    for asker in askers:
        asker.answer(ok, lines)


def _report_gauges(index: int, stopped: dict[str, Any]) -> None:
    left = ", ".join(f"{count} {name}" for name, count in stopped["gauges"].items() if count)
    if left:
        logs.warning(f"worker {index} left open: {left} ({'; '.join(stopped['open'])})")
    else:
        logs.info(f"worker {index} stopped, nothing left open")


def _nothing(number: int, frame: FrameType | None) -> None:
    """Signals are read from the wakeup descriptor; with no handler at all they would end the process."""
