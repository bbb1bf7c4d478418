"""Which CPUs the workers may use, and how many workers that makes."""

import math
import os
from collections.abc import Sequence

from ringway.control.machine import cgroups


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
    found = [value for folder in cgroups.folders("cpu", root) if (value := _folder_quota(folder)) is not None]
    return min(found, default=None)


def _folder_quota(folder: str) -> float | None:
    """v2: cpu.max has "50000 100000" or "max 100000"; v1: cpu.cfs_quota_us has -1 for none."""
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
