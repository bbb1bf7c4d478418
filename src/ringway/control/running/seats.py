"""Seats: the places of workers. A seat outlives the processes that run in it.

If the process of a seat keeps dying at once, the supervisor backs off, and the seat is away. The next seat that serves
then stands in for it: it also accepts from the sockets of that seat, so that no connection waits in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ringway.control.running.process import WorkerProcess

START_WITHIN = 30.0
"""Seconds within which a worker must be ready."""
_LONGEST_PAUSE = 30.0


@dataclass(eq=False)
class Seat:
    """The place of one worker."""

    index: int
    """Its number in the log, unique in a supervisor."""
    cpu: int
    place: int = 0
    """Its position in its set of seats, which determines its sockets."""
    process: WorkerProcess | None = None
    quick_deaths: int = 0
    """The number of processes in a row that died at once."""
    restart_at: float | None = None
    """Monotonic time of the next start, if there is no process."""
    away: bool = False
    """Whether a process died, the supervisor backs off, and no new process serves yet."""

    @property
    def serves(self) -> bool:
        return not self.away and self.process is not None and self.process.ready is not None


def restart_pause(quick_deaths: int) -> float:
    """Returns the seconds until the supervisor restarts a worker: 0 at first, then 1, 2, 4 up to 30 if it keeps dying
    at once."""
    return 0.0 if quick_deaths < 2 else min(_LONGEST_PAUSE, 2.0 ** min(quick_deaths - 2, 10))


def stand_in(seat: Seat, seats: Sequence[Seat]) -> Seat | None:
    """Returns the seat of the same set that accepts for this one. None: this seat is not away, or no other serves."""
    others = [*seats[seat.place + 1 :], *seats[: seat.place]]
    return next((other for other in others if other.serves), None) if seat.away else None


def places_of(seat: Seat, seats: Sequence[Seat]) -> list[int]:
    """Returns the places whose sockets this seat accepts from: its own, and those of seats that it stands in for."""
    return [seat.place, *(other.place for other in seats if stand_in(other, seats) is seat)]
