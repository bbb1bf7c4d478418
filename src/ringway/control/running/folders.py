"""The folders that are served, as descriptors for the workers, and where their paths lead by now.

A worker follows the paths itself (engine/connection/folders.pxd) where it may walk them. Workers of another user than
the supervisor's may not, so the supervisor follows the paths too:

    Folders._look(), in its thread --> `changed` --> the loop: follow() --> a brief for each worker
"""

import os
from collections.abc import Callable

from ringway.control.machine.watching import Ticking

_LOOK_EVERY = 0.5
"""Seconds between two looks at the paths: what they lead to is served within a second."""
Identity = tuple[int, int]


class Folders:
    """Those of one configuration. Descriptors keep their numbers."""

    def __init__(self, paths: list[str], changed: Callable[[], None]) -> None:
        """`changed` is called in the thread at every look until follow() has taken what is new."""
        self._paths = paths
        self._changed = changed
        self.descriptors = [_open(path) for path in paths]
        """In the order of the paths; -errno: it cannot be opened."""
        self._held = [_identity(folder) if folder >= 0 else None for folder in self.descriptors]
        self._seen = list(self._held)
        """At the last look; None: nothing is there. What is missing once may be between two `mv`."""
        self._watch = Ticking("folders", _LOOK_EVERY, self._look)
        if paths and os.geteuid() == 0:  # else workers are who we are
            self._watch.start()

    def _look(self) -> None:
        before, self._seen = self._seen, [_identity(path) for path in self._paths]
        for held, old, new in zip(list(self._held), before, self._seen, strict=True):
            if new != held and (new is not None or old is None):
                self._changed()
                break

    def follow(self) -> bool:
        """Whether one of them is another one now."""
        moved = False
        for place, path in enumerate(self._paths):
            fresh = _open(path)
            held = self.descriptors[place]
            if fresh < 0:
                if held >= 0 and self._seen[place] is None:
                    os.close(held)
                    self.descriptors[place] = fresh
                    self._held[place] = None
                    moved = True
                continue  # the old one serves meanwhile
            found = _identity(fresh)
            if found == self._held[place]:
                os.close(fresh)
                continue
            if held < 0:
                self.descriptors[place] = fresh
            else:
                os.dup2(fresh, held, inheritable=False)
                os.close(fresh)
            self._held[place] = found
            moved = True
        return moved

    def close(self) -> None:
        self._watch.stop(wait=False)  # it may hang in a file system that does not answer
        for folder in self.descriptors:
            if folder >= 0:
                os.close(folder)
        self.descriptors = []


def _open(path: str) -> int:
    """To look below."""
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        return -(error.errno or 1)


def _identity(folder: str | int) -> Identity | None:
    try:
        about = os.stat(folder)
    except OSError:
        return None
    return about.st_dev, about.st_ino
