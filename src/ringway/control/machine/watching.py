"""Files that change under us: noticed by what stat(2) says, and taken when nobody writes any more."""

import os
import threading
from collections.abc import Callable, Iterable

LOOK_EVERY = 1.0
"""Seconds between two looks at the files. A change is taken when it looks the same twice: nobody writes any more."""
DAY = 24 * 3600.0
"""What expires soon is told so often, in seconds."""
Signature = tuple[tuple[str, int, int, int], ...]


def signature_of(paths: Iterable[str]) -> Signature:
    """What changes whenever one of the files does."""
    entries = []
    for path in paths:
        try:
            about = os.stat(path)
            entries.append((path, about.st_mtime_ns, about.st_size, about.st_ino))
        except OSError:
            entries.append((path, 0, 0, 0))
    return tuple(entries)


class Settled:
    """Whether files have changed since this was asked last, and rest again."""

    def __init__(self, look: Callable[[], Signature]) -> None:
        self._look = look
        self._taken = self._before = look()

    def changed(self) -> bool:
        now = self._look()
        changed = now == self._before and now != self._taken
        self._before = now
        if changed:
            self._taken = now
        return changed


class Ticking:
    """A thread that does something every so often until it is stopped."""

    def __init__(self, name: str, every: float, tick: Callable[[], None]) -> None:
        self._every = every
        self._tick = tick
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, wait: bool = True) -> None:
        self._end.set()
        if wait and self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._every):
            self._tick()
