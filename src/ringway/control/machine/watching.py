"""Watches files by stat(2), and reports a change when the files are no longer being written."""

import os
import threading
from collections.abc import Callable, Iterable

LOOK_EVERY = 1.0
"""Seconds between two looks at the files. A change counts when two looks in a row see the same: writing has ended."""
DAY = 24 * 3600.0
"""Seconds between two warnings about the same expiry."""
Signature = tuple[tuple[str, int, int, int], ...]


def signature_of(paths: Iterable[str]) -> Signature:
    """Returns a signature that changes when one of the files changes."""
    entries = []
    for path in paths:
        try:
            about = os.stat(path)
            entries.append((path, about.st_mtime_ns, about.st_size, about.st_ino))
        except OSError:
            entries.append((path, 0, 0, 0))
    return tuple(entries)


class Settled:
    """Reports a change of files once, when two looks in a row see the same."""

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
    """A thread that calls `tick` every `every` seconds until it is stopped."""

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
