"""The reload: reads the configuration file again while Ringway runs, and sends new rules to every worker.

    ask -> _prepare -> names are resolved -> _hand_out -> every worker has answered -> _finish
              |                                   |
           _refused                            abandon: new workers could not start

A reload replaces the rules in the workers. A running worker cannot change its CPU or its driver. If one of these
changes, the supervisor starts new workers next to the old ones, which then drain. Only one reload runs at a time. A
request that arrives meanwhile gets the result of the next reload.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ringway.config.load import Loaded, load
from ringway.config.model import Config
from ringway.control.commands.commands import Asker, answer_all
from ringway.control.logs import logs
from ringway.control.machine import room
from ringway.control.running.notify import notify
from ringway.control.running.rules import Rules
from ringway.control.running.seats import START_WITHIN, Seat
from ringway.control.sockets import listeners
from ringway.control.sockets.resolver import FIRST_WAIT
from ringway.errors import ConfigError, RingwayError, reason_of, sentence_of

if TYPE_CHECKING:
    import socket

    from ringway.control.logs.access_log import AccessLog

_RENEW_WITHIN = 20.0
"""Seconds within which a worker must answer new rules."""


@dataclass(eq=False)
class Change:
    """A reload that is under way."""

    config: Config
    rules: Rules
    groups: list[listeners.Group]
    removed: list[listeners.Group]
    opened: "list[socket.socket]"
    """Sockets to close if the reload fails."""
    askers: Sequence[Asker]
    seats: list[Seat]
    """New workers. Empty: the existing workers get the new rules."""
    due: float
    number: int = 0
    """0: names are being resolved, and no worker has got the rules yet."""
    waiting: list[Seat] = field(default_factory=list)
    """Workers that have not answered."""
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """Warnings about the new configuration, for the askers."""


class Reloadable(Protocol):
    """What a reload needs of the supervisor."""

    config: Config
    file: str
    files: int
    seats: list[Seat]
    rules: Rules | None
    log: "AccessLog | None"

    @property
    def busy(self) -> str: ...
    def tell(self, news: bytes) -> None: ...
    def taken(self) -> dict[object, int]: ...
    def needs_new_workers(self, config: Config) -> bool: ...
    def new_seats(self, config: Config) -> list[Seat]: ...
    def adopt(
        self, config: Config, workers: int
    ) -> "tuple[list[listeners.Group], list[listeners.Group], list[socket.socket]]": ...
    def start(self, seat: Seat) -> None: ...
    def brief_of(self, seat: Seat) -> dict[str, Any]: ...
    def go_by(self, change: Change) -> None: ...
    def dismiss(self, seats: list[Seat]) -> None: ...


class Reloads:
    """The reloads of one supervisor. The supervisor calls the public methods when a reload is requested, names are
    resolved, a worker is ready, answers or dies, a deadline passes, or Ringway ends."""

    def __init__(self, supervisor: Reloadable) -> None:
        self._supervisor = supervisor
        self._change: Change | None = None
        self._changes = 0
        self._asked_again: list[Asker] = []
        """Clients that requested a reload during this one. Another reload follows."""
        self._again = False

    @property
    def under_way(self) -> bool:
        return self._change is not None

    @property
    def asks_workers(self) -> bool:
        """Whether a reload is running and the workers have got the new rules."""
        return self._change is not None and self._change.number > 0

    @property
    def due(self) -> float | None:
        """The deadline for look()."""
        return self._change.due if self._change is not None else None

    @property
    def seats(self) -> list[Seat]:
        """New workers that will replace the old ones."""
        return self._change.seats if self._change is not None else []

    def change_for(self, seat: Seat) -> Change | None:
        """Returns the change that is being sent to workers, if it includes this one."""
        change = self._change
        if change is None or not self.asks_workers:
            return None
        return change if not change.seats or seat in change.seats else None

    def ask(self, why: str, *askers: Asker) -> None:
        """Starts a reload. If the configuration file has a problem, nothing changes."""
        supervisor = self._supervisor
        if supervisor.busy:
            answer_all(askers, False, [f"Ringway is {supervisor.busy}: nothing was reloaded"])
            return
        if self._change is not None:
            self._again = True
            self._asked_again += askers
            return
        logs.info(f"{why}: reading {supervisor.file} again")
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            self._prepare(load(supervisor.file), askers)
        except (ConfigError, RingwayError) as error:
            self._refused(str(error), askers)
        except OSError as error:
            self._refused(sentence_of(error), askers)

    def _refused(self, error: str, askers: Sequence[Asker]) -> None:
        for line in error.splitlines():
            logs.error(f"not reloaded, the old configuration stays in use: {line}")
        notify("READY=1\nSTATUS=ready; the last reload failed")
        answer_all(askers, False, error.splitlines())

    def _prepare(self, loaded: Loaded, askers: Sequence[Asker]) -> None:
        supervisor, config = self._supervisor, loaded.config
        anew = supervisor.needs_new_workers(config)
        seats = supervisor.new_seats(config) if anew else []
        count = len(seats or supervisor.seats)
        warnings = [*loaded.warnings, *room.warnings(config, count, supervisor.files)]
        for warning in warnings:
            logs.warning(warning)
        groups, removed, opened = supervisor.adopt(config, count)
        before = supervisor.rules
        assert before is not None
        try:
            rules = Rules(config, supervisor.tell, before.ticket_keys, before.stapler, supervisor.taken)
        except (RingwayError, OSError):
            listeners.discard(opened)
            raise
        due = time.monotonic() + FIRST_WAIT
        self._change = Change(config, rules, groups, removed, opened, askers, seats, due, warnings=warnings)
        self.resolved()

    def resolved(self) -> None:
        """Names of some rules are resolved. Continues if they are the names of this change."""
        change = self._change
        if change is not None and not self.asks_workers and change.rules.resolver.resolved:
            self._hand_out(change)

    def _hand_out(self, change: Change) -> None:
        supervisor, log = self._supervisor, change.config.access_log
        assert supervisor.log is not None
        try:
            supervisor.log.change(log.path, log.format)
        except RingwayError as error:
            self.abandon(str(error))
            return
        self._changes += 1
        change.number = self._changes
        change.due = time.monotonic() + (START_WITHIN if change.seats else _RENEW_WITHIN)
        waiting = change.seats or [seat for seat in supervisor.seats if seat.process is not None]
        change.waiting = list(waiting)
        for seat in waiting:
            if self._change is not change:
                return  # the worker before this one could not be started
            if change.seats:
                supervisor.start(seat)
            else:
                self._renew(seat, change)
        if self._change is change and not change.waiting:
            self._finish(change)

    def _renew(self, seat: Seat, change: Change) -> None:
        if seat.process is None or seat.process.ready is None:
            return  # a worker that is starting gets the rules when it is ready
        try:
            seat.process.renew({**self._supervisor.brief_of(seat), "number": change.number})
        except OSError as error:
            self.answered(seat, {"number": change.number, "error": reason_of(error)})

    def ready(self, seat: Seat) -> None:
        """The worker serves."""
        change = self._change
        if change is None or seat not in change.waiting:
            return
        if change.seats:
            self.answered(seat, {"number": change.number, "error": ""})
        else:
            self._renew(seat, change)  # it started before the change

    def answered(self, seat: Seat, answer: dict[str, Any]) -> None:
        """The worker has answered new rules."""
        change = self._change
        if change is None or seat not in change.waiting or answer["number"] != change.number:
            return
        if answer["error"]:
            change.errors.append(
                f"worker {seat.index} cannot use the new configuration and keeps the old one: {answer['error']}"
            )
        self._no_longer_waiting(seat, change)

    def lost(self, seat: Seat) -> None:
        """The worker died. Its next process starts with the new rules."""
        if self._change is not None and seat in self._change.waiting:
            self._no_longer_waiting(seat, self._change)

    def _no_longer_waiting(self, seat: Seat, change: Change) -> None:
        change.waiting.remove(seat)
        if not change.waiting:
            self._finish(change)

    def _finish(self, change: Change) -> None:
        """Every worker has answered. The new rules become the current ones."""
        self._change = None
        supervisor = self._supervisor
        supervisor.go_by(change)
        for line in change.errors:
            logs.error(line)
        seats = supervisor.seats
        lines = [f"warning: {warning}" for warning in change.warnings]
        lines += [f"worker {seat.index} (pid {seat.process.pid}): new configuration" for seat in seats if seat.process]
        count = f"{len(seats)} worker{'s' if len(seats) > 1 else ''}"
        logs.info(f"reloaded, {count}{' in place of the old ones' if change.seats else ''}")
        notify("READY=1\nSTATUS=ready")
        answer_all(change.askers, not change.errors, change.errors or lines)
        self._as_asked()

    def _as_asked(self) -> None:
        """Starts the reload that was requested during this one."""
        if self._again:
            askers, self._asked_again, self._again = self._asked_again, [], False
            self.ask("another reload was requested", *askers)

    def look(self, now: float) -> None:
        """Handles a deadline that has passed."""
        change = self._change
        if change is None or now < change.due:
            return
        if self.asks_workers:
            self._overdue(change)
        else:
            change.rules.resolver.go_on_without()
            self._hand_out(change)

    def _overdue(self, change: Change) -> None:
        if change.seats:
            self.abandon(f"new workers were not ready within {START_WITHIN:.0f} s")
            return
        for seat in list(change.waiting):
            change.errors.append(f"worker {seat.index} has not answered within {_RENEW_WITHIN:.0f} s")
        change.waiting.clear()
        self._finish(change)

    def end(self) -> None:
        """Ringway ends. Finishes or abandons the reload without waiting for workers."""
        change = self._change
        if change is None:
            return
        if change.seats or not self.asks_workers:
            self.abandon("Ringway ends")
        else:
            self._overdue(change)

    def abandon(self, why: str) -> None:
        """Gives the reload up before the old workers have got the new rules. They continue unchanged."""
        change, self._change = self._change, None
        if change is None:
            return
        supervisor = self._supervisor
        supervisor.dismiss(change.seats)
        listeners.discard(change.opened)
        change.rules.close()
        if supervisor.log is not None:
            supervisor.log.change(supervisor.config.access_log.path, supervisor.config.access_log.format)
        self._refused(why, change.askers)
        self._as_asked()
