"""Reloading: the configuration file is read again while everything runs, and every worker takes what it says.

    ask -> _prepare -> names are looked up -> _hand_out -> every worker has answered -> _finish
              |                                   |
           _refused                            abandon: new workers could not start

A reload swaps the rules within the workers; what a worker cannot change while it runs, its CPU or its driver, takes new
workers beside the old, which then drain. There is one reload at a time: whoever asks while it is under way is answered
after the next one.
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
"""Seconds in which a worker must say what came of new rules."""


@dataclass(eq=False)
class Change:
    """A reload that is under way."""

    config: Config
    rules: Rules
    groups: list[listeners.Group]
    removed: list[listeners.Group]
    opened: "list[socket.socket]"
    """What is to be closed if it fails."""
    askers: Sequence[Asker]
    seats: list[Seat]
    """New workers; empty: those that are there take the new rules."""
    due: float
    number: int = 0
    """0: no worker was told yet, since names are looked up."""
    waiting: list[Seat] = field(default_factory=list)
    """Those that have not answered."""
    errors: list[str] = field(default_factory=list)


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
    """Those of one supervisor, which calls what is public here: somebody asks, names were looked up, a worker is ready,
    has answered, is lost, time passes, the end."""

    def __init__(self, supervisor: Reloadable) -> None:
        self._supervisor = supervisor
        self._change: Change | None = None
        self._changes = 0
        self._asked_again: list[Asker] = []
        """Who asked while one was under way: one more follows."""
        self._again = False

    @property
    def under_way(self) -> bool:
        return self._change is not None

    @property
    def asks_workers(self) -> bool:
        """It is under way, and workers were told."""
        return self._change is not None and self._change.number > 0

    @property
    def due(self) -> float | None:
        """When look() has something to do."""
        return self._change.due if self._change is not None else None

    @property
    def seats(self) -> list[Seat]:
        """New workers that are to take the place of those that are there."""
        return self._change.seats if self._change is not None else []

    def change_for(self, seat: Seat) -> Change | None:
        """The change that workers are told, if it is for this one."""
        change = self._change
        if change is None or not self.asks_workers:
            return None
        return change if not change.seats or seat in change.seats else None

    def ask(self, why: str, *askers: Asker) -> None:
        """Reads the configuration file again. If anything is wrong with it nothing changes."""
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
        for warning in loaded.warnings:
            logs.warning(warning)
        anew = supervisor.needs_new_workers(config)
        seats = supervisor.new_seats(config) if anew else []
        count = len(seats or supervisor.seats)
        for warning in room.warnings(config, count, supervisor.files):
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
        self._change = Change(config, rules, groups, removed, opened, askers, seats, due)
        self.resolved()

    def resolved(self) -> None:
        """Names of some rules were looked up: perhaps of these."""
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
                return  # the one before could not be started
            if change.seats:
                supervisor.start(seat)
            else:
                self._renew(seat, change)
        if self._change is change and not change.waiting:
            self._finish(change)

    def _renew(self, seat: Seat, change: Change) -> None:
        if seat.process is None or seat.process.ready is None:
            return  # one that is starting is told when it is ready
        try:
            seat.process.renew({**self._supervisor.brief_of(seat), "number": change.number})
        except OSError as error:
            self.answered(seat, {"number": change.number, "error": reason_of(error)})

    def ready(self, seat: Seat) -> None:
        """Its process serves."""
        change = self._change
        if change is None or seat not in change.waiting:
            return
        if change.seats:
            self.answered(seat, {"number": change.number, "error": ""})
        else:
            self._renew(seat, change)  # it was started before the change

    def answered(self, seat: Seat, answer: dict[str, Any]) -> None:
        """What its process says of new rules."""
        change = self._change
        if change is None or seat not in change.waiting or answer["number"] != change.number:
            return
        if answer["error"]:
            change.errors.append(
                f"worker {seat.index} cannot use the new configuration and keeps the old one: {answer['error']}"
            )
        self._no_longer_waiting(seat, change)

    def lost(self, seat: Seat) -> None:
        """Its process died: the next one begins with the new rules."""
        if self._change is not None and seat in self._change.waiting:
            self._no_longer_waiting(seat, self._change)

    def _no_longer_waiting(self, seat: Seat, change: Change) -> None:
        change.waiting.remove(seat)
        if not change.waiting:
            self._finish(change)

    def _finish(self, change: Change) -> None:
        """Every worker has answered: the new rules are the rules."""
        self._change = None
        supervisor = self._supervisor
        supervisor.go_by(change)
        for line in change.errors:
            logs.error(line)
        seats = supervisor.seats
        lines = [f"worker {seat.index} (pid {seat.process.pid}): new configuration" for seat in seats if seat.process]
        count = f"{len(seats)} worker{'s' if len(seats) > 1 else ''}"
        logs.info(f"reloaded, {count}{' in place of the old ones' if change.seats else ''}")
        notify("READY=1\nSTATUS=ready")
        answer_all(change.askers, not change.errors, change.errors or lines)
        self._as_asked()

    def _as_asked(self) -> None:
        """What was asked for while another reload was under way."""
        if self._again:
            askers, self._asked_again, self._again = self._asked_again, [], False
            self.ask("another reload was requested", *askers)

    def look(self, now: float) -> None:
        """Whether the time of the change has passed."""
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
        """Ringway ends: nobody is waited for."""
        change = self._change
        if change is None:
            return
        if change.seats or not self.asks_workers:
            self.abandon("Ringway ends")
        else:
            self._overdue(change)

    def abandon(self, why: str) -> None:
        """No worker goes by it, new ones could not start: the old ones go on, as if nothing had been."""
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
