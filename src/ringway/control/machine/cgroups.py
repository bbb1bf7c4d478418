"""Finds the limits of this process's control group, version 1 and 2."""

import os
from collections.abc import Iterator

from ringway.errors import is_shortage


def folders(controller: str, root: str = "/") -> Iterator[str]:
    """Yields the folders of this process's control group and of the groups above it, for v2 and for `controller` of v1.
    Tests pass another `root` for /proc and /sys."""
    groups = _own_groups(controller, root)
    for mount_root, mount_point, version in _mounts(controller, root):
        group = groups.get(version)
        if group is None:
            continue
        # In a container the mount has only a part of the tree. For a group outside of that part, use the top.
        inside = group[len(mount_root) :] if mount_root != "/" and group.startswith(mount_root) else group
        top = os.path.join(root, mount_point.lstrip("/"))
        folder = os.path.normpath(os.path.join(top, inside.lstrip("/")))
        if ".." in inside or not os.path.isdir(folder):
            folder = top
        while True:
            yield folder
            if len(folder) <= len(top):
                break
            folder = os.path.dirname(folder)


def memory_most(root: str = "/") -> int | None:
    """Returns the memory limit in bytes, the minimum of this group and of every group above it. None: no limit."""
    found = []
    for folder in folders("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = " ".join(lines(os.path.join(folder, name)))
            # In v1 a number near 2^63 means "no limit".
            if text.isdigit() and int(text) < 1 << 60:
                found.append(int(text))
    return min(found, default=None)


def lines(path: str) -> list[str]:
    """Returns the lines of a small file, or none if it cannot be read. Raises OSError if the process has no descriptor
    left."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().splitlines()
    except OSError as error:
        if is_shortage(error):
            raise
        return []


def _own_groups(controller: str, root: str) -> dict[str, str]:
    """Reads /proc/self/cgroup. Returns the path of the group by "" for v2, and by the controller for v1."""
    groups = {}
    for line in lines(os.path.join(root, "proc/self/cgroup")):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            groups[""] = path
        elif controller in controllers.split(","):
            groups[controller] = path
    return groups


def _mounts(controller: str, root: str) -> Iterator[tuple[str, str, str]]:
    """Reads /proc/self/mountinfo. Yields root in the file system, mount point, and "" (v2) or the controller (v1)."""
    for line in lines(os.path.join(root, "proc/self/mountinfo")):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            yield fields[3], fields[4], ""
        elif kind[0] == "cgroup" and controller in kind[-1].split(","):
            yield fields[3], fields[4], controller
