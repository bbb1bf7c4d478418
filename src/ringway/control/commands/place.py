"""Where the control socket lies: in a folder that only its owner can write.

    root                  /run/ringway
    another user          /run/ringway if it is theirs (systemd: RuntimeDirectory=ringway), else
                          $XDG_RUNTIME_DIR/ringway or /run/user/UID/ringway
    where none of these   /tmp/ringway-UID

The socket is named after the configuration file. Nobody else can put a socket there first, and who asks sees by the
owner of the folder who should answer.
"""

import hashlib
import os
import stat
from collections.abc import Iterator

SHARED = "/run/ringway"
"""Only root can make it; to whom root or systemd gives it, that user's Ringway is trusted by root."""


def name_of(file: str) -> str:
    """The socket of whoever runs this configuration file."""
    return hashlib.sha256(os.path.realpath(file).encode("utf-8", "surrogateescape")).hexdigest()[:32] + ".sock"


def folders(uid: int) -> list[str]:
    """Where this user's socket may lie, the best first."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    runtime = [given] if uid == os.geteuid() and uid != 0 and os.path.isabs(given) else []
    found = [SHARED, *(os.path.join(folder, "ringway") for folder in [*runtime, f"/run/user/{uid}"])]
    return list(dict.fromkeys([*found, f"/tmp/ringway-{uid}"]))


def is_of(folder: str, uid: int) -> bool:
    """It is a folder of this user, and nobody else can write it."""
    try:
        about = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(about.st_mode) and about.st_uid == uid and not about.st_mode & 0o022


def own_folders() -> Iterator[str]:
    """Those that this process can put its socket into; made where they are missing."""
    uid = os.geteuid()
    for folder in folders(uid):
        try:
            above = os.stat(os.path.dirname(folder))
            # Else somebody could take the folder away, and put another one in its place.
            if above.st_uid not in (0, uid) or (above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX):
                continue
            if not os.path.lexists(folder):
                os.mkdir(folder, 0o700)
        except OSError:
            continue
        if is_of(folder, uid):
            yield folder


def sockets_for(file: str) -> Iterator[tuple[str, int]]:
    """Where who runs this file may be reached by this user, and whose the folder is. Root may ask others, and believes
    those alone who were given `/run/ringway` or own the file."""
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
