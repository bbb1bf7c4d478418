"""Both sides of an upgrade: the Successor of the old supervisor, and the TakeOver of the new one.

    old                                        new (`ringway run` of the installed version)
    Successor: starts it with one socket  -->  TakeOver.of_environment(): listening sockets, keys of session tickets
    keeps serving                              starts its workers on the same sockets
    says_ready()                          <--  ready(), or failed() with the errors of the configuration
    drains                                     serves

Both sides have the same sockets (the same open file descriptions), so a connection that waits in one of them is not
lost. If the new supervisor ends or is not ready in time, the old one has lost nothing.
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
from ringway.errors import RingwayError, reason_of

VARIABLE = "RINGWAY_TAKE_OVER"
"""Environment variable with the descriptor of the socket to the old supervisor."""
READY_WITHIN = 60.0
_ERRORS_MOST = 1 << 16
"""Maximum bytes of failed() that the old supervisor reads."""
_END_WITHIN = 5.0
"""Seconds from the end of file on the socket until a new process that failed must have ended."""


class Successor:
    """The new supervisor, as the old one sees it."""

    def __init__(
        self,
        file: str,
        groups: list[listeners.Group],
        door: socket.socket | None,
        ticket_keys: list[bytes],
        askers: list[Asker],
    ) -> None:
        """Starts the process. Raises OSError."""
        self.askers = askers
        self.errors: list[str] = []
        """The errors that the process sent with failed()."""
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
        with contextlib.suppress(OSError):  # the process is gone, says_ready() will return False
            self._link.sendall(json.dumps(told).encode() + b"\n")
            descriptors.send(self._link, row)

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._link.fileno()

    def says_ready(self) -> bool:
        """Reads the socket. True: the process is ready. False: end of file; `errors` has what it sent."""
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
        """The process closed the socket before it was ready. Its exit must follow within a deadline (SIGCHLD)."""
        self.due = time.monotonic() + _END_WITHIN
        self._late = "failed before it was ready, and did not end"

    def exited(self) -> bool:
        return self._process.poll() is not None

    def let_go(self) -> None:
        """Closes the socket to a process that serves."""
        self._link.close()

    def give_up(self) -> str:
        """Kills the process if it still runs. Returns why it did not take over."""
        self._link.close()
        code = self._process.poll()
        if code is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            return f"the new process {self._late}"
        why = f"the new process ended with exit code {code} before it was ready"
        return why if self.errors else f"{why}; its log lines say why"


class TakeOver:
    """What a new supervisor gets from the old one."""

    def __init__(self, link: socket.socket) -> None:
        """Raises RingwayError if the old supervisor is gone."""
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
            raise RingwayError(f"the sockets of the old process cannot be received ({reason_of(error)})") from None
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
                    passed=group.get("passed", ""),  # an old supervisor of another version may not send it
                )
            )

    @classmethod
    def of_environment(cls) -> "TakeOver | None":
        """Returns a TakeOver if this process was started for an upgrade. Removes the variable from the environment,
        because it is not for child processes."""
        number = os.environ.pop(VARIABLE, "")
        if not number.isdecimal():
            return None
        return cls(socket.socket(fileno=int(number)))

    def ready(self) -> None:
        """Notifies the old supervisor, which then drains."""
        with contextlib.suppress(OSError):
            self._link.sendall(b"!")
        self._link.close()

    def failed(self, error: str) -> None:
        """Sends the reason why this process ends to the old supervisor, for the answer to `ringway upgrade`."""
        with contextlib.suppress(OSError):
            self._link.sendall(error.encode("utf-8", "replace")[:_ERRORS_MOST])
        self._link.close()
