"""Waiting for a condition, with a deadline."""

import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = float(os.environ.get("RINGWAY_TEST_PATIENCE", "1"))
"""Factor for every deadline of the tests, for sanitizers or a slow machine. Tests also use it for Ringway's own
timeouts that could expire too early there."""

DEADLINE = 10.0 * PATIENCE
"""Maximum seconds of a wait for something that must happen."""

Found = TypeVar("Found")


class Journal(threading.Condition):
    """A condition that threads of the harness notify, and that tests wait for."""

    def until(self, look: Callable[[], Found], what: str, seconds: float = DEADLINE) -> Found:
        """Waits for a true result of `look` and returns it. Calls it after every notification."""
        end = time.monotonic() + seconds
        with self:
            while not (found := look()):
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"within {seconds:g} s there was no {what}")
                self.wait(left)
            return found


def wait(look: Callable[[], Found], what: str, seconds: float = DEADLINE) -> Found:
    """Polls until `look` returns a true result, and returns that. For conditions without an event, such as files."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := look()):
        assert time.monotonic() < end, f"within {seconds:g} s there was no {what}"
        pause.wait(0.02)
    return found
