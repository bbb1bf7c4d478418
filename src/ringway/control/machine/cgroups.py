"""The control groups that this process is in, of both versions: where their limits are written."""

import os
from collections.abc import Iterator

from ringway.errors import is_shortage


def folders(controller: str, root: str = "/") -> Iterator[str]:
    """The folders of this process's control group and the groups above it, of v2 and of v1's `controller`. `root` is
    where /proc and /sys hang, for tests."""
    groups = _own_groups(controller, root)
    for mount_root, mount_point, version in _mounts(controller, root):
        group = groups.get(version)
        if group is None:
            continue
        # In a container the mount shows only a part of the tree; a group outside of that part shows as its top.
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
    """Bytes that the control group may take, the least of its own and of every group above it; None: no bound."""
    found = []
    for folder in folders("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = " ".join(lines(os.path.join(folder, name)))
            # v1 says "no bound" by a number near 2^63.
            if text.isdigit() and int(text) < 1 << 60:
                found.append(int(text))
    return min(found, default=None)


def lines(path: str) -> list[str]:
    """Of a small file; none if it cannot be read. Raises OSError if only descriptors are missing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().splitlines()
    except OSError as error:
        if is_shortage(error):
            raise
        return []


def _own_groups(controller: str, root: str) -> dict[str, str]:
    """From /proc/self/cgroup: "" -> path in v2, the controller -> path in v1's."""
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
    """From /proc/self/mountinfo: root within the file system, mount point, "" for v2 or the controller of v1."""
    for line in lines(os.path.join(root, "proc/self/mountinfo")):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            yield fields[3], fields[4], ""
        elif kind[0] == "cgroup" and controller in kind[-1].split(","):
            yield fields[3], fields[4], controller
