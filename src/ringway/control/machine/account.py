"""The user and group of the workers: `[server] user` and `group`.

If root starts Ringway, the supervisor stays root. It reads keys, opens ports and folders, and passes them to the
workers. A worker switches to another user before it serves (`engine/kernel/rights.pxd`).
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ringway.config.model import Server
from ringway.errors import Problem, is_shortage

_DEFAULTS = ("ringway", "nobody")
"""Ringway uses the first that this machine has."""
_NEEDED = {"CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7}
"""Capabilities of include/uapi/linux/capability.h that the supervisor needs to switch to another user, and to end a
process of that user."""


@dataclass(frozen=True)
class Account:
    """The user and groups that a worker switches to."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str
    group: str

    @property
    def brief(self) -> dict[str, Any]:
        return {"uid": self.uid, "gid": self.gid, "groups": list(self.groups)}

    def __str__(self) -> str:
        return f"{self.user} (uid {self.uid}), group {self.group} (gid {self.gid})"

    def may(self, about: os.stat_result, rights: int) -> bool:
        """Whether the mode of a file gives these rights to the account (4 read, 2 write, 1 enter, as for chmod)."""
        if self.uid == 0:
            return bool(about.st_mode & 0o700)
        in_group = about.st_gid in (self.gid, *self.groups)
        shift = 6 if about.st_uid == self.uid else 3 if in_group else 0
        return stat.S_IMODE(about.st_mode) >> shift & rights == rights


def account_for(server: Server) -> tuple[Account | None, list[Problem]]:
    """Returns the account of the workers, and problems. None: workers run as the user that started Ringway."""
    found, why, problems = _decide(server)
    if why and (server.user is not None or server.group is not None):
        key = "server.user" if server.user is not None else "server.group"
        problems = [Problem(key, f"workers cannot switch to another user here ({why})", "allow it, or remove the key")]
    return found, problems


def _decide(server: Server) -> tuple[Account | None, str, list[Problem]]:
    """Returns the account, or the reason why root cannot switch to it, and problems."""
    problems = []
    user = group = None
    if server.user is not None and (user := _user(server.user)) is None:
        remedy = f"useradd --system --shell /usr/sbin/nologin {server.user}, or name another one"
        problems.append(Problem("server.user", f'there is no user "{server.user}" here', remedy))
    if server.group is not None and (group := _group(server.group)) is None:
        remedy = f"groupadd --system {server.group}, or name another one"
        problems.append(Problem("server.group", f'there is no group "{server.group}" here', remedy))
    if problems or os.geteuid() != 0:
        return None, "", problems
    if user is None:
        user = next((entry for name in _DEFAULTS if (entry := _user(name)) is not None), None)
    if user is None:
        return None, f"there is neither a user {' nor '.join(_DEFAULTS)}", []
    found = _account(user, group)
    why = _impossible(found)
    return (None if why else found), why, []


def warnings(server: Server) -> list[Problem]:
    """Returns warnings about the user of the workers."""
    found, why, problems = _decide(server)
    if problems:
        return []
    if found is not None and found.uid == 0:
        sentence = "workers run as root: without capabilities, but with access to all files of root"
        return [Problem("server.user", sentence, "name another user, or remove this key")]
    if os.geteuid() != 0:
        keys = [key for key in ("user", "group") if getattr(server, key) is not None]
        others = [key for key in keys if not _is_ours(server, key)]
        sentence = "this key is ignored: Ringway can run workers as another user only if root starts it"
        return [Problem(f"server.{key}", sentence) for key in others]
    if why:
        sentence = f"workers run as root, without capabilities: they cannot switch to another user ({why})"
        return [Problem("", sentence)]
    return []


def _is_ours(server: Server, key: str) -> bool:
    if key == "user":
        found = _user(server.user or "")
        return found is not None and found.pw_uid == os.geteuid()
    entry = _group(server.group or "")
    return entry is not None and entry.gr_gid in (os.getegid(), *os.getgroups())


def described(server: Server) -> str:
    """Describes the user of the workers in one line."""
    found, _ = account_for(server)
    if found is not None:
        return str(found)
    user = _user(str(os.geteuid()))
    return (
        f"{user.pw_name if user is not None else 'the same user'} (uid {os.geteuid()}), the user that started Ringway"
    )


def _user(name: str) -> pwd.struct_passwd | None:
    """Finds a user by name or number. A number needs no entry in passwd, as in containers."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    if not name.isdecimal() or int(name) >= 2**32 - 1:
        return None
    try:
        return pwd.getpwuid(int(name))
    except KeyError:
        return pwd.struct_passwd((name, "", int(name), int(name), "", "/", ""))


def _group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        pass
    if not name.isdecimal() or int(name) >= 2**32 - 1:
        return None
    try:
        return grp.getgrgid(int(name))
    except KeyError:
        return grp.struct_group((name, "", int(name), []))


def _account(user: pwd.struct_passwd, group: grp.struct_group | None) -> Account:
    gid = group.gr_gid if group is not None else user.pw_gid
    entry = group or _group(str(gid))
    groups = tuple(sorted({gid, *os.getgrouplist(user.pw_name, gid)}))
    return Account(user.pw_uid, gid, groups, user.pw_name, entry.gr_name if entry is not None else str(gid))


def _impossible(found: Account) -> str:
    """Returns why root cannot switch to this account. "": it can."""
    effective = next((line for line in _lines("/proc/self/status") if line.startswith("CapEff:")), "CapEff: 0")
    rights = int(effective.split()[1], 16)
    if missing := [name for name, number in _NEEDED.items() if not rights >> number & 1]:
        return f"{', '.join(missing)} missing"
    if "deny" in _lines("/proc/self/setgroups"):
        return "the user namespace denies setgroups"
    if not _mapped("uid", [found.uid]) or not _mapped("gid", found.groups):
        return f"the user namespace does not know {found.user}"
    return ""


def _mapped(kind: str, numbers: Iterable[int]) -> bool:
    """Whether the user namespace has all of these numbers."""
    ranges = [tuple(map(int, line.split())) for line in _lines(f"/proc/self/{kind}_map")]
    return not ranges or all(any(first <= n < first + count for first, _, count in ranges) for n in numbers)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().splitlines()
    except OSError as error:
        if is_shortage(error):
            raise
        return []
