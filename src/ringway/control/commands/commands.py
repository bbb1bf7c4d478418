"""How `ringway reload` and `ringway upgrade` reach a running supervisor, and get its answer.

A Unix socket, named after the configuration file, in a folder that only its owner can write (place.py). Both sides look
who the other one is (SO_PEERCRED of unix(7)): whoever asks must be root or the user of the supervisor, whoever answers
root or the owner of the folder.
One line each way: {"command": "reload"} -> {"ok": true, "lines": [...]}.
"""

import contextlib
import errno
import json
import os
import socket
import struct
import time
from collections.abc import Sequence

from ringway.control.commands import place
from ringway.control.logs import logs
from ringway.errors import RingwayError

_LINE_MOST = 1 << 20
_LINES_SHOWN = 1000
"""Of an answer: there is one for each worker, or each problem."""
ANSWER_WITHIN = 90.0
"""Seconds: longer than the supervisor waits for its workers."""
_ASK_WITHIN = 1.0
"""Seconds in which who has connected must say what it wants: meanwhile the supervisor does nothing else."""
_OUT_OF_DESCRIPTORS = 0.1
"""Seconds until the next try: who asks stays in the queue, so the supervisor's loop would be told again at once."""


def _uid_of(sock: socket.socket) -> int:
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


class Door:
    """The supervisor's end."""

    def __init__(self, file: str, inherited: int | None = None) -> None:
        """`inherited`: the descriptor of the predecessor, at an upgrade. Where there can be no socket there is a
        warning, and signals alone are left."""
        self.socket: socket.socket | None = None
        self._path = ""
        self._inode = 0
        """Of the socket's file, if that is ours to remove."""
        if inherited is not None:
            self._adopt(socket.socket(fileno=inherited))
        if self.socket is None:
            self._open(file)
        if self.socket is not None:
            self.socket.setblocking(False)

    def _adopt(self, sock: socket.socket) -> None:
        path = sock.getsockname()
        if isinstance(path, str) and _inode(path):
            self.socket, self._path = sock, path
        else:
            sock.close()  # an abstract one, of an earlier version, or its file was removed

    def _open(self, file: str) -> None:
        why = "there is no folder for its socket: /run/ringway cannot be created"
        for folder in place.own_folders():
            path = os.path.join(folder, place.name_of(file))
            try:
                self.socket = _listen(path)
            except OSError as error:
                why = f"{path}: {error.strerror or error}"
                if error.errno == errno.EADDRINUSE:
                    why = f'is another Ringway running "{file}"?'
                    break
                continue
            self._path, self._inode = path, _inode(path)
            return
        logs.warning(f'"ringway reload" and "ringway upgrade" cannot reach this process, use signals instead; {why}')

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

    def own(self) -> None:
        """The predecessor leaves: the socket's file is ours to remove."""
        self._inode = _inode(self._path)

    def leave(self) -> None:
        """To a successor, which accepts here from now on."""
        self._inode = 0
        self.close()

    def close(self) -> None:
        if self.socket is None:
            return
        if self._inode and _inode(self._path) == self._inode:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self.socket.close()
        self.socket = None


def _inode(path: str) -> int:
    """0: there is no such file."""
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0


def _listen(path: str) -> socket.socket:
    """Raises OSError: EADDRINUSE, if somebody answers there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        os.fchmod(sock.fileno(), 0o600)  # the mode that its file gets
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or _answers(path):
                raise
            os.unlink(path)  # its owner was killed
            sock.bind(path)
        sock.listen(8)
    except OSError:
        sock.close()
        raise
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            pass
    return True


class Asker:
    """Who has asked for something."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def command(self) -> str:
        """`reload`, `upgrade`, or something that is none."""
        try:
            return str(json.loads(_line(self._link, _ASK_WITHIN)).get("command", ""))
        except (OSError, ValueError, AttributeError, RecursionError):
            return ""

    def answer(self, ok: bool, lines: list[str]) -> None:
        with contextlib.suppress(OSError):  # it is gone; everything was logged too
            self._link.sendall(json.dumps({"ok": ok, "lines": lines}).encode() + b"\n")
        self._link.close()


def answer_all(askers: Sequence[Asker], ok: bool, lines: list[str]) -> None:
    for asker in askers:
        asker.answer(ok, lines)


def ask(file: str, command: str) -> list[str]:
    """What came of it, in lines that a terminal can show. Raises RingwayError if nobody runs this file, or it could not
    be done."""
    for path, owner in place.sockets_for(file):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as link:
            try:
                link.settimeout(ANSWER_WITHIN)
                link.connect(path)
            except (FileNotFoundError, ConnectionRefusedError):
                continue
            except OSError as error:
                raise RingwayError(f"{path} cannot be reached ({error.strerror or error})") from None
            if _uid_of(link) not in (0, owner):
                raise RingwayError(
                    f"user {_uid_of(link)} answers at {path} but does not own it: the command was not sent"
                )
            ok, lines = _answer_of(link, command)
        if not ok:
            raise RingwayError("\n".join(lines))
        return lines
    number = "SIGHUP" if command == "reload" else "SIGUSR2"
    raise RingwayError(
        f'no running Ringway uses "{file}": start it with `ringway run --config {file}`, or name the file that it was '
        "started with; if another user runs it, give the command as that user, or send "
        f"{number} to its supervisor"
    )


def _answer_of(link: socket.socket, command: str) -> tuple[bool, list[str]]:
    try:
        link.sendall(json.dumps({"command": command}).encode() + b"\n")
        line = _line(link, ANSWER_WITHIN)
    except OSError as error:
        raise RingwayError(f"the running Ringway does not answer ({error.strerror or error})") from None
    if not line:
        raise RingwayError(
            "the running Ringway closed the connection without an answer: it belongs to another user, or it ended"
        )
    try:
        answer = json.loads(line)
        ok, lines = answer["ok"], answer["lines"]
        if not isinstance(ok, bool) or not isinstance(lines, list):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RingwayError("the answer is not from a version of Ringway that this one understands") from None
    return ok, [logs.printable(str(text)) for text in lines[:_LINES_SHOWN]]


def _line(link: socket.socket, seconds: float) -> bytes:
    """Raises TimeoutError when it is not whole by then."""
    data = b""
    end = time.monotonic() + seconds
    while not data.endswith(b"\n") and len(data) < _LINE_MOST:
        link.settimeout(max(end - time.monotonic(), 0.001))
        more = link.recv(65536)
        if not more:
            break
        data += more
    return data
