"""Which CPUs the workers may use, and how many workers that makes."""

import math
import os
from collections.abc import Iterator, Sequence


def allowed() -> list[int]:
    """Numbers of the CPUs on which this process may run, ascending."""
    return sorted(os.sched_getaffinity(0))


def worker_count(threads: int, cpus: Sequence[int], quota: float | None) -> int:
    """`threads` if it is given (not 0), otherwise as many as CPUs that can be used: the quota rounded up."""
    if threads:
        return threads
    return max(1, min(len(cpus), math.ceil(quota)) if quota is not None else len(cpus))


def pin(workers: int, cpus: Sequence[int]) -> list[int]:
    """The CPU of each worker, round-robin."""
    return [cpus[index % len(cpus)] for index in range(workers)]


def quota(root: str = "/") -> float | None:
    """CPUs' worth of time that the control group may use, the least of its own and of every group above it; None: no
    bound is known. Both versions of control groups are looked at. `root` is where /proc and /sys hang, for tests."""
    found = [value for folder in _cpu_folders(root) if (value := _folder_quota(folder)) is not None]
    return min(found, default=None)


def _cpu_folders(root: str) -> Iterator[str]:
    """The folders of this process's control group and the groups above it, of v2 and of v1's cpu controller."""
    groups = _own_groups(root)
    for mount_root, mount_point, controller in _mounts(root):
        group = groups.get(controller)
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


def _own_groups(root: str) -> dict[str, str]:
    """From /proc/self/cgroup: "" -> path in v2, "cpu" -> path in v1's cpu controller."""
    groups = {}
    for line in _lines(os.path.join(root, "proc/self/cgroup")):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            groups[""] = path
        elif "cpu" in controllers.split(","):
            groups["cpu"] = path
    return groups


def _mounts(root: str) -> Iterator[tuple[str, str, str]]:
    """From /proc/self/mountinfo: root within the file system, mount point, "" for v2 or "cpu" for v1's controller."""
    for line in _lines(os.path.join(root, "proc/self/mountinfo")):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            yield fields[3], fields[4], ""
        elif kind[0] == "cgroup" and "cpu" in kind[-1].split(","):
            yield fields[3], fields[4], "cpu"


def _folder_quota(folder: str) -> float | None:
    """v2: cpu.max has "50000 100000" or "max 100000"; v1: cpu.cfs_quota_us has -1 for none."""
    words = " ".join(_lines(os.path.join(folder, "cpu.max"))).split()
    if not words:
        words = _lines(os.path.join(folder, "cpu.cfs_quota_us")) + _lines(os.path.join(folder, "cpu.cfs_period_us"))
    try:
        limit, period = (int(word) for word in words)
    except ValueError:
        return None
    return limit / period if limit > 0 and period > 0 else None


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().splitlines()
    except OSError:
        return []
