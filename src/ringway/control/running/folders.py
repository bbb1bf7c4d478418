"""The folders that workers serve, as descriptors. Opens a folder again when its path leads to another folder.

A worker follows the paths itself (engine/connection/folders.pxd) if it has permission. Workers of another user may not
have it, so the supervisor follows the paths too:

    Folders._look(), in its thread --> `changed` --> the loop: follow() --> a brief for each worker
"""

import os
from collections.abc import Callable

from ringway.control.machine.watching import Ticking

_LOOK_EVERY = 0.5
"""Seconds between two looks at the paths. Workers serve a new folder within a second."""
Identity = tuple[int, int]


class Folders:
    """The folders of one configuration. Descriptors keep their numbers."""

    def __init__(self, paths: list[str], changed: Callable[[], None]) -> None:
        """The thread calls `changed` at every look until follow() has opened the new folder."""
        self._paths = paths
        self._changed = changed
        self.descriptors = [_open(path) for path in paths]
        """In the order of the paths. -errno: the folder cannot be opened."""
        self._held = [_identity(folder) if folder >= 0 else None for folder in self.descriptors]
        self._seen = list(self._held)
        """The folders at the last look. None: there is none. A path that is missing in only one look may be between two
        `mv`."""
        self._watch = Ticking("folders", _LOOK_EVERY, self._look)
        if paths and os.geteuid() == 0:  # otherwise workers run as the same user
            self._watch.start()

    def _look(self) -> None:
        before, self._seen = self._seen, [_identity(path) for path in self._paths]
        for held, old, new in zip(list(self._held), before, self._seen, strict=True):
            if new != held and (new is not None or old is None):
                self._changed()
                break

    def follow(self) -> bool:
        """Opens the folders again. Returns whether one of them has changed."""
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
                continue  # keep the old folder for now
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
        self._watch.stop(wait=False)  # the thread may hang in a file system that does not answer
        for folder in self.descriptors:
            if folder >= 0:
                os.close(folder)
        self.descriptors = []


def _open(path: str) -> int:
    """Opens a folder for lookups below it. Returns -errno if that fails."""
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
