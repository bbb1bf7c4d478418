"""The upgrade, on the side of the old supervisor. takeover.py has the protocol of both sides."""

import os
import selectors
from typing import TYPE_CHECKING, Protocol

from ringway.control.commands.commands import Asker, answer_all
from ringway.control.logs import logs
from ringway.control.running.notify import notify
from ringway.control.running.takeover import Successor
from ringway.errors import reason_of

if TYPE_CHECKING:
    from ringway.control.commands.commands import Door
    from ringway.control.running.rules import Rules
    from ringway.control.sockets.listeners import Group


class Upgradable(Protocol):
    """What an upgrade needs of the supervisor."""

    file: str
    door: "Door | None"
    groups: "list[Group]"
    rules: "Rules | None"
    selector: selectors.BaseSelector

    @property
    def busy(self) -> str: ...
    @property
    def reloading(self) -> bool: ...
    def drain(self, name: str, announce: bool = True) -> None: ...


class Upgrades:
    """The upgrades of one supervisor: one at a time, until one succeeds."""

    def __init__(self, supervisor: Upgradable) -> None:
        self._supervisor = supervisor
        self._successor: Successor | None = None

    @property
    def under_way(self) -> bool:
        return self._successor is not None

    @property
    def due(self) -> float | None:
        """The deadline for look()."""
        return self._successor.due if self._successor is not None else None

    def ask(self, why: str, asker: Asker | None = None) -> None:
        """Starts the installed version as a new process, and hands it the listening sockets."""
        supervisor = self._supervisor
        askers = [asker] if asker is not None else []
        if supervisor.busy or supervisor.reloading:
            answer_all(askers, False, ["Ringway is starting, ending, reloading or upgrading: try again in a moment"])
            return
        assert supervisor.rules is not None
        logs.info(f"{why}: starting the installed version")
        door = supervisor.door.socket if supervisor.door is not None else None
        try:
            self._successor = Successor(supervisor.file, supervisor.groups, door, supervisor.rules.ticket_keys, askers)
        except OSError as error:
            answer_all(askers, False, [f"cannot start the new process ({reason_of(error)}), this one keeps serving"])
            return
        supervisor.selector.register(self._successor, selectors.EVENT_READ, self._hear)

    def _hear(self) -> None:
        successor = self._successor
        if successor is None:
            return
        ready = successor.says_ready()
        self._supervisor.selector.unregister(successor)
        if not ready:
            successor.hung_up()
            return
        self._successor = None
        logs.info(f"process {successor.pid} is ready and takes over")
        successor.let_go()
        answer_all(successor.askers, True, [f"process {successor.pid} serves, process {os.getpid()} drains"])
        self._supervisor.drain("upgrade", announce=False)

    def look(self, now: float) -> None:
        """Handles a new process that has ended or missed its deadline."""
        if self._successor is not None and (self._successor.exited() or now >= self._successor.due):
            self._failed(self._successor)

    def _failed(self, successor: Successor) -> None:
        self._successor = None
        if successor.fileno() in self._supervisor.selector.get_map():
            self._supervisor.selector.unregister(successor)
        why = successor.give_up()
        logs.error(f"not upgraded, this process keeps serving: {why}")
        notify(f"MAINPID={os.getpid()}\nREADY=1\nSTATUS=ready; the last upgrade failed")
        answer_all(successor.askers, False, [why, *successor.errors])

    def close(self) -> None:
        if self._successor is not None:
            self._successor.give_up()
