"""The control socket, through which `ringway reload` and `ringway upgrade` reach a running supervisor.

It is a Unix socket with a name that depends on the configuration file, in a folder that only its owner can write
(place.py). Both sides check the peer's user (SO_PEERCRED of unix(7)): the client must be root or the user of the
supervisor, and the server must be root or the owner of the folder.
Each side sends one line: {"command": "reload"} -> {"ok": true, "lines": [...]}.
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
from ringway.errors import RingwayError, reason_of

_LINE_MOST = 1 << 20
_LINES_SHOWN = 1000
"""Lines of an answer that the client prints. An answer has one for each worker or problem."""
ANSWER_WITHIN = 90.0
"""Seconds. Longer than the supervisor waits for its workers."""
_ASK_WITHIN = 1.0
"""Seconds within which a client must send its command. Meanwhile the supervisor does nothing else."""
_OUT_OF_DESCRIPTORS = 0.1
"""Seconds of pause after a failed accept(). The client stays in the queue, so poll() would return again at once."""


def _uid_of(sock: socket.socket) -> int:
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


class Door:
    """The supervisor's end of the control socket."""

    def __init__(self, file: str, inherited: int | None = None) -> None:
        """`inherited`: the socket of the old supervisor during an upgrade. If there can be no socket, logs a warning;
        then only signals work."""
        self.socket: socket.socket | None = None
        self._path = ""
        self._inode = 0
        """Inode of the socket's file if this process must remove it, else 0."""
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
            sock.close()  # an abstract socket of an earlier version, or its file was removed

    def _open(self, file: str) -> None:
        why = "there is no folder for its socket: /run/ringway cannot be created"
        for folder in place.own_folders():
            path = os.path.join(folder, place.name_of(file))
            try:
                self.socket = _listen(path)
            except OSError as error:
                why = f"{path}: {reason_of(error)}"
                if error.errno == errno.EADDRINUSE:
                    why = f'is another Ringway running "{file}"?'
                    break
                continue
            self._path, self._inode = path, _inode(path)
            return
        logs.warning(f'"ringway reload" and "ringway upgrade" cannot reach this process, use signals instead; {why}')

    def accept(self) -> "Asker | None":
        """Accepts a client that may send commands. None: there is none, or accept() failed."""
        if self.socket is None:
            return None
        try:
            link, _ = self.socket.accept()
        except (BlockingIOError, ConnectionError):
            return None  # the client disconnected
        except OSError:
            time.sleep(_OUT_OF_DESCRIPTORS)
            return None
        if _uid_of(link) not in (0, os.geteuid()):
            link.close()
            return None
        return Asker(link)

    def own(self) -> None:
        """The old supervisor ends. From now on this process must remove the socket's file."""
        self._inode = _inode(self._path)

    def leave(self) -> None:
        """Closes the socket but keeps its file, for the new supervisor."""
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
    """Returns the inode of a file. 0: there is no such file."""
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0


def _listen(path: str) -> socket.socket:
    """Raises OSError: EADDRINUSE if another process listens there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        os.fchmod(sock.fileno(), 0o600)  # the mode that its file gets
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or _answers(path):
                raise
            os.unlink(path)  # left over from a process that was killed
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
    """A client of the control socket."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def command(self) -> str:
        """Returns `reload`, `upgrade`, or anything else that the client sent."""
        try:
            return str(json.loads(_line(self._link, _ASK_WITHIN)).get("command", ""))
        except (OSError, ValueError, AttributeError, RecursionError):
            return ""

    def answer(self, ok: bool, lines: list[str]) -> None:
        with contextlib.suppress(OSError):  # the client disconnected; the log has the lines as well
            self._link.sendall(json.dumps({"ok": ok, "lines": lines}).encode() + b"\n")
        self._link.close()


def answer_all(askers: Sequence[Asker], ok: bool, lines: list[str]) -> None:
    for asker in askers:
        asker.answer(ok, lines)


def ask(file: str, command: str) -> list[str]:
    """Sends a command. Returns the lines of the answer, safe for a terminal. Raises RingwayError if no Ringway runs
    this file or if the command failed."""
    for path, owner in place.sockets_for(file):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as link:
            try:
                link.settimeout(ANSWER_WITHIN)
                link.connect(path)
            except (FileNotFoundError, ConnectionRefusedError):
                continue
            except OSError as error:
                raise RingwayError(f"{path} cannot be reached ({reason_of(error)})") from None
            if _uid_of(link) not in (0, owner):
                raise RingwayError(
                    f"user {_uid_of(link)} answers at {path} but does not own it: the command was not sent"
                )
            ok, lines = _answer_of(link, command)
        if not ok:
            raise RingwayError("\n".join(lines))
        return lines
    if not os.path.lexists(file):
        remedy = 'name the file that Ringway was started with: "--config FILE"'
        raise RingwayError(f"{file}: there is no such file; {remedy}")
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
        raise RingwayError(f"the running Ringway does not answer ({reason_of(error)})") from None
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
    """Reads a line. Raises TimeoutError if it is not complete in time."""
    data = b""
    end = time.monotonic() + seconds
    while not data.endswith(b"\n") and len(data) < _LINE_MOST:
        link.settimeout(max(end - time.monotonic(), 0.001))
        more = link.recv(65536)
        if not more:
            break
        data += more
    return data
