"""An upgrade, from both sides: the old supervisor's Successor and the new one's TakeOver.

    old                                        new (`ringway run`, of the version that is installed now)
    Successor: starts it with one socket  -->  TakeOver.of_environment(): listening sockets, session tickets' keys
    goes on serving                            starts its workers on the same sockets
    says_ready()                          <--  ready(), or failed() with the errors of the configuration
    drains                                     serves

The sockets are the same on both sides (their descriptions, open(2)), so who waits in one of them is not lost. If the
new one ends or is not ready in time, the old one has lost nothing.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from ringway.config.values import Address
from ringway.control.commands.commands import Asker
from ringway.control.machine import descriptors
from ringway.control.sockets import listeners
from ringway.errors import RingwayError

VARIABLE = "RINGWAY_TAKE_OVER"
"""Names the descriptor of the socket to the predecessor."""
READY_WITHIN = 60.0
_ERRORS_MOST = 1 << 16
"""Bytes of failed() that the old supervisor reads."""
_END_WITHIN = 5.0
"""Seconds from the end of the conversation to the end of a process that failed."""


class Successor:
    """The process that is to take over."""

    def __init__(
        self,
        file: str,
        groups: list[listeners.Group],
        door: socket.socket | None,
        ticket_keys: list[bytes],
        askers: list[Asker],
    ) -> None:
        """Starts it. Raises OSError."""
        self.askers = askers
        self.errors: list[str] = []
        """What the process sent with failed()."""
        self.due = time.monotonic() + READY_WITHIN
        self._late = f"was not ready within {READY_WITHIN:.0f} s"
        self._link, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "ringway", "run", "--config", file],
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, VARIABLE: str(theirs.fileno())},
                )
            self._hand_over(groups, door, ticket_keys)
        except OSError:
            self._link.close()
            raise

    def _hand_over(self, groups: list[listeners.Group], door: socket.socket | None, ticket_keys: list[bytes]) -> None:
        told = {
            "groups": [
                {
                    "name": group.name,
                    "address": [group.address.ip, group.address.port, group.address.path],
                    "tls": group.tls,
                    "sockets": len(group.sockets),
                    "passed": group.passed,
                }
                for group in groups
            ],
            "door": door is not None,
            "ticket_keys": [key.hex() for key in ticket_keys],
        }
        row = [sock.fileno() for group in groups for sock in group.sockets]
        row += [door.fileno()] if door is not None else []
        with contextlib.suppress(OSError):  # it is gone: says_ready() tells
            self._link.sendall(json.dumps(told).encode() + b"\n")
            descriptors.send(self._link, row)

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._link.fileno()

    def says_ready(self) -> bool:
        """What came on the socket: that it is ready, or its end."""
        said = b""
        try:
            self._link.settimeout(_END_WITHIN)
            while (more := self._link.recv(4096)) and len(said) < _ERRORS_MOST:
                said += more
                if said.startswith(b"!"):
                    return True
        except OSError:
            pass
        self.errors = said.decode("utf-8", "replace").splitlines()
        return False

    def hung_up(self) -> None:
        """It closed its end and was not ready: its exit follows, and SIGCHLD tells."""
        self.due = time.monotonic() + _END_WITHIN
        self._late = "failed before it was ready, and did not end"

    def exited(self) -> bool:
        return self._process.poll() is not None

    def let_go(self) -> None:
        """It is on its own from here."""
        self._link.close()

    def give_up(self) -> str:
        """Ends it, if it has not ended; says why it did not take over."""
        self._link.close()
        code = self._process.poll()
        if code is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            return f"the new process {self._late}"
        why = f"the new process ended with exit code {code} before it was ready"
        return why if self.errors else f"{why}; its log lines say why"


class TakeOver:
    """What a new supervisor gets from the one before."""

    def __init__(self, link: socket.socket) -> None:
        """Raises RingwayError when the predecessor is gone."""
        self._link = link
        line = bytearray()
        while not line.endswith(b"\n"):
            seen = link.recv(65536, socket.MSG_PEEK)
            if not seen:
                raise RingwayError("the process to take over from is gone")
            end = seen.find(b"\n")
            line += link.recv(end + 1 if end >= 0 else len(seen))
        told: dict[str, Any] = json.loads(line)
        count = sum(group["sockets"] for group in told["groups"]) + told["door"]
        try:
            row = descriptors.receive(link, count)
        except OSError as error:
            raise RingwayError(f"the sockets of the old process cannot be received ({error.strerror})") from None
        self.door: int | None = row.pop() if told["door"] else None
        self.ticket_keys = [bytes.fromhex(key) for key in told["ticket_keys"]]
        self.groups = []
        for group in told["groups"]:
            sockets = [socket.socket(fileno=row.pop(0)) for _ in range(group["sockets"])]
            self.groups.append(
                listeners.Group(
                    Address(*group["address"]),
                    group["tls"],
                    sockets,
                    group["name"],
                    passed=group.get("passed", ""),  # a predecessor of another version may not say it
                )
            )

    @classmethod
    def of_environment(cls) -> "TakeOver | None":
        """If this process was started to take over. The variable is not for those that it starts itself."""
        number = os.environ.pop(VARIABLE, "")
        if not number.isdecimal():
            return None
        return cls(socket.socket(fileno=int(number)))

    def ready(self) -> None:
        """The predecessor may drain."""
        with contextlib.suppress(OSError):
            self._link.sendall(b"!")
        self._link.close()

    def failed(self, error: str) -> None:
        """Sends the old supervisor why this process ends, for the answer to `ringway upgrade`."""
        with contextlib.suppress(OSError):
            self._link.sendall(error.encode("utf-8", "replace")[:_ERRORS_MOST])
        self._link.close()
