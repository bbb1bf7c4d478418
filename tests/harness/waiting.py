"""Waiting with a deadline: for a condition that another thread brings about."""

import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = float(os.environ.get("RINGWAY_TEST_PATIENCE", "1"))
"""Factor on every deadline of the tests: more under sanitizers or on a slow machine. On Ringway's own where a test sets
them so low that they would pass there by themselves."""

DEADLINE = 10.0 * PATIENCE
"""Seconds that a wait for something that must happen may take."""

Found = TypeVar("Found")


class Journal(threading.Condition):
    """A condition on which tests wait for what a thread of the harness notes down."""

    def until(self, look: Callable[[], Found], what: str, seconds: float = DEADLINE) -> Found:
        """The first true result of `look`, which is asked again whenever something was noted."""
        end = time.monotonic() + seconds
        with self:
            while not (found := look()):
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"within {seconds:g} s there was no {what}")
                self.wait(left)
            return found


def wait(look: Callable[[], Found], what: str, seconds: float = DEADLINE) -> Found:
    """The first true result of `look`: for what nobody tells, the kernel's tables or a file."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := look()):
        assert time.monotonic() < end, f"within {seconds:g} s there was no {what}"
        pause.wait(0.02)
    return found
