"""How `ringway reload` and `ringway upgrade` reach a running supervisor, and get its answer.

An abstract Unix socket, named after the configuration file: nothing lies in the file system, so a read-only root does,
and nothing is left behind by a crash. Whoever connects must be root or the user of the supervisor (SO_PEERCRED of
unix(7)).
One line each way: {"command": "reload"} -> {"ok": true, "lines": [...]}.
"""

import contextlib
import hashlib
import json
import os
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from ringway.control.logs import logs
from ringway.errors import RingwayError

_LINE_MOST = 1 << 20
ANSWER_WITHIN = 90.0
"""Seconds: longer than the supervisor waits for its workers."""
_OUT_OF_DESCRIPTORS = 0.1
"""Seconds until the next try: who asks stays in the queue, so the supervisor's loop would be told again at once."""


def name_of(file: str) -> str:
    """The socket of whoever runs this configuration file."""
    return "\0ringway/" + hashlib.sha256(os.path.realpath(file).encode()).hexdigest()[:32]


def _uid_of(sock: socket.socket) -> int:
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


class Door:
    """The supervisor's end."""

    def __init__(self, file: str, inherited: int | None = None) -> None:
        """`inherited`: the descriptor of the predecessor, at an upgrade. Where the name is taken there is a warning,
        and signals alone are left."""
        self.socket: socket.socket | None = None
        if inherited is not None:
            self.socket = socket.socket(fileno=inherited)
        else:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                sock.bind(name_of(file))
                sock.listen(8)
                self.socket = sock
            except OSError as error:
                sock.close()
                logs.warning(
                    f'"ringway reload" cannot reach this process ({error.strerror}): is another one running "{file}"?'
                )
        if self.socket is not None:
            self.socket.setblocking(False)

    def accept(self) -> "Asker | None":
        """Somebody with a right to ask; None: nobody, or not now."""
        if self.socket is None:
            return None
        try:
            link, _ = self.socket.accept()
        except (BlockingIOError, ConnectionError):
            return None  # it is gone
        except OSError:
            time.sleep(_OUT_OF_DESCRIPTORS)
            return None
        if _uid_of(link) not in (0, os.geteuid()):
            link.close()
            return None
        return Asker(link)

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class Asker:
    """Who has asked for something."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        link.settimeout(1.0)  # it sends its line at once, or it is none of ours

    def command(self) -> str:
        """`reload`, `upgrade`, or something that is none."""
        try:
            return str(json.loads(_line(self._link)).get("command", ""))
        except (OSError, ValueError, AttributeError):
            return ""

    def answer(self, ok: bool, lines: list[str]) -> None:
        with contextlib.suppress(OSError):  # it is gone; everything was logged too
            self._link.sendall(json.dumps({"ok": ok, "lines": lines}).encode() + b"\n")
        self._link.close()


def answer_all(askers: Sequence[Asker], ok: bool, lines: list[str]) -> None:
    for asker in askers:
        asker.answer(ok, lines)


def ask(file: str, command: str) -> list[str]:
    """What came of it, in lines. Raises RingwayError: nobody runs this file, or it could not be done."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as link:
        link.settimeout(ANSWER_WITHIN)
        try:
            link.connect(name_of(file))
            if _uid_of(link) not in (0, os.geteuid()) and os.geteuid() != 0:
                raise RingwayError(f'another user runs "{file}"')
            link.sendall(json.dumps({"command": command}).encode() + b"\n")
            line = _line(link)
        except ConnectionRefusedError:
            raise RingwayError(
                f'nobody runs "{file}" here: start it with `ringway run --config {file}`, or name the file that it was '
                "started with"
            ) from None
        except OSError as error:
            raise RingwayError(f"the running Ringway does not answer ({error.strerror or error})") from None
    if not line:
        raise RingwayError(
            "the running Ringway closed the connection without an answer: it is another user's, or it ended"
        )
    answer: dict[str, Any] = json.loads(line)
    if not answer["ok"]:
        raise RingwayError("\n".join(answer["lines"]))
    return list(answer["lines"])


def _line(link: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < _LINE_MOST:
        more = link.recv(65536)
        if not more:
            break
        data += more
    return data
