"""The folder of the control socket. Only its owner can write it.

    root                  /run/ringway
    another user          /run/ringway if it is theirs (systemd: RuntimeDirectory=ringway), else
                          $XDG_RUNTIME_DIR/ringway or /run/user/UID/ringway
    where none of these   /tmp/ringway-UID

The name of the socket depends on the path of the configuration file. No other user can create a socket there first. The
owner of the folder tells a client which user must answer.
"""

import hashlib
import os
import stat
from collections.abc import Iterator

SHARED = "/run/ringway"
"""Only root can create it. Root trusts the Ringway of the user that root or systemd gave this folder to."""


def name_of(file: str) -> str:
    """Returns the name of the socket for this configuration file."""
    return hashlib.sha256(os.path.realpath(file).encode("utf-8", "surrogateescape")).hexdigest()[:32] + ".sock"


def folders(uid: int) -> list[str]:
    """Returns the possible folders for the socket of this user, the best first."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    runtime = [given] if uid == os.geteuid() and uid != 0 and os.path.isabs(given) else []
    found = [SHARED, *(os.path.join(folder, "ringway") for folder in [*runtime, f"/run/user/{uid}"])]
    return list(dict.fromkeys([*found, f"/tmp/ringway-{uid}"]))


def is_of(folder: str, uid: int) -> bool:
    """Whether this is a folder that belongs to the user and that only the user can write."""
    try:
        about = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(about.st_mode) and about.st_uid == uid and not about.st_mode & 0o022


def own_folders() -> Iterator[str]:
    """Yields the folders that this process can create its socket in. Creates missing folders."""
    uid = os.geteuid()
    for folder in folders(uid):
        try:
            above = os.stat(os.path.dirname(folder))
            # Otherwise another user could replace the folder.
            if above.st_uid not in (0, uid) or (above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX):
                continue
            if not os.path.lexists(folder):
                os.mkdir(folder, 0o700)
        except OSError:
            continue
        if is_of(folder, uid):
            yield folder


def sockets_for(file: str) -> Iterator[tuple[str, int]]:
    """Yields the possible sockets of the Ringway that runs this file, each with the owner of its folder. Root can also
    reach the Ringway of another user, but only of the owner of `/run/ringway` or of the file."""
    users = [os.geteuid()]
    if users == [0]:
        users += [owner for path in (SHARED, file) if (owner := _owner(path)) is not None]
    for uid in dict.fromkeys(users):
        for folder in folders(uid):
            if is_of(folder, uid):
                yield os.path.join(folder, name_of(file)), uid


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None
