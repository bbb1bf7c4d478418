"""The places of workers, each of which outlives the processes that take it.

Whose process dies at once again and again stays away for a while. The next one that serves then stands in for it: it
accepts from its sockets too, so that nobody waits in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ringway.control.running.process import WorkerProcess

START_WITHIN = 30.0
"""Seconds in which a worker must say that it is ready."""
_LONGEST_PAUSE = 30.0


@dataclass(eq=False)
class Seat:
    """The place of one worker."""

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
    away: bool = False
    """From a death that a pause follows until a process serves here again."""

    @property
    def serves(self) -> bool:
        return not self.away and self.process is not None and self.process.ready is not None


def restart_pause(quick_deaths: int) -> float:
    """Seconds until a worker is started again: none at first, then 1, 2, 4 up to 30 when it dies at once again and
    again."""
    return 0.0 if quick_deaths < 2 else min(_LONGEST_PAUSE, 2.0 ** min(quick_deaths - 2, 10))


def stand_in(seat: Seat, seats: Sequence[Seat]) -> Seat | None:
    """Of the seats of its set, the one that accepts for this one. None: it does so itself, or nobody is there."""
    others = [*seats[seat.place + 1 :], *seats[: seat.place]]
    return next((other for other in others if other.serves), None) if seat.away else None


def places_of(seat: Seat, seats: Sequence[Seat]) -> list[int]:
    """Whose sockets are this one's: its own, and those of whom it stands in for."""
    return [seat.place, *(other.place for other in seats if stand_in(other, seats) is seat)]
