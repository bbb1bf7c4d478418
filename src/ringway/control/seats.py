"""The places of workers, each of which outlives the processes that take it."""

from dataclasses import dataclass

from ringway.control.process import WorkerProcess

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


def restart_pause(quick_deaths: int) -> float:
    """Seconds until a worker is started again: none at first, then 1, 2, 4 up to 30 when it dies at once again and
    again."""
    return 0.0 if quick_deaths < 2 else min(_LONGEST_PAUSE, 2.0 ** min(quick_deaths - 2, 10))
