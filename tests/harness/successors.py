"""The processes that took over from the Ringway of a test in an upgrade."""

import os
import re
import signal

from harness.memory import runs
from harness.server import Server
from harness.waiting import DEADLINE, wait


def successors(server: Server) -> list[int]:
    return [int(match[1]) for line in server.lines if (match := re.search(r"process (\d+) is ready and takes", line))]


def end(pid: int) -> None:
    if runs(pid):
        os.kill(pid, signal.SIGTERM)
        wait(lambda: not runs(pid), f"end of {pid}", 3 * DEADLINE)
