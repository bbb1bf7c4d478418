"""The CPUs that workers can use, and the number of workers."""

import math
import os
from collections.abc import Sequence

from ringway.control.machine import cgroups


def allowed() -> list[int]:
    """Returns the numbers of the CPUs that this process can run on, in ascending order."""
    return sorted(os.sched_getaffinity(0))


def worker_count(threads: int, cpus: Sequence[int], quota: float | None) -> int:
    """Returns `threads`, or if that is 0 the number of usable CPUs: at most the quota, rounded up."""
    if threads:
        return threads
    return max(1, min(len(cpus), math.ceil(quota)) if quota is not None else len(cpus))


def pin(workers: int, cpus: Sequence[int]) -> list[int]:
    """Returns the CPU of each worker, round-robin."""
    return [cpus[index % len(cpus)] for index in range(workers)]


def quota(root: str = "/") -> float | None:
    """Returns the CPU quota of the control group in CPUs, the minimum of this group and of every group above it, for
    both versions of control groups. None: no quota. Tests pass another `root` for /proc and /sys."""
    found = [value for folder in cgroups.folders("cpu", root) if (value := _folder_quota(folder)) is not None]
    return min(found, default=None)


def _folder_quota(folder: str) -> float | None:
    """Reads the quota of one group. v2: cpu.max has "50000 100000" or "max 100000". v1: -1 in cpu.cfs_quota_us means
    no quota."""
    words = " ".join(cgroups.lines(os.path.join(folder, "cpu.max"))).split()
    if not words:
        words = [
            *cgroups.lines(os.path.join(folder, "cpu.cfs_quota_us")),
            *cgroups.lines(os.path.join(folder, "cpu.cfs_period_us")),
        ]
    try:
        limit, period = (int(word) for word in words)
    except ValueError:
        return None
    return limit / period if limit > 0 and period > 0 else None
