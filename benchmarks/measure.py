"""Measures one round: the results of wrk, and the CPU time of the server's process."""

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import BenchError, on_cpu
from benchmarks.servers import HOST, Target
from benchmarks.workloads import Workload

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_SCRIPT = Path(__file__).with_name("done.lua")
_LINE = re.compile(r"^BENCH (\{.*\})$", re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """One round of one workload at one server."""

    requests: int
    seconds: float
    cpu_us: float
    """CPU time (user and system) of the server's process per request, microseconds."""
    user_us: float
    """The part of `cpu_us` in user mode, as the kernel estimates it."""
    io_worker_us: float
    """The part of `cpu_us` in io_uring's kernel threads (io-wq), which can run on any CPU."""
    requests_per_second: float
    p50_us: float
    p99_us: float
    max_us: float
    busy: float
    """CPU time of the server's process / time. Near 1 the server is the bottleneck, otherwise the load is."""
    others: float
    """Share of the server's CPU that others used (processes, interrupts, the hypervisor)."""


@dataclass(frozen=True)
class _Spent:
    """Readings at one moment, nanoseconds."""

    wall: int
    cpu: int
    user: int
    system: int
    io_workers: int
    cpu_busy: int
    """Busy time of the whole CPU."""


def cpu_ns(pid: int) -> int:
    """Returns the CPU time of a process since its start, including ended threads and io_uring's kernel threads.

    It is utime + stime of /proc/PID/stat, but in nanoseconds instead of ticks of 10 ms."""
    # The clock of clock_getcpuclockid(3), which Python does not have: CPUCLOCK_SCHED (2) of ~pid.
    return time.clock_gettime_ns(~pid << 3 | 2)


def measure(workload: Workload, target: Target, seconds: int, connections: int, cpus: tuple[int, int]) -> Sample:
    """Runs wrk for `seconds` (wrk accepts only whole seconds). `cpus`: CPU of the server, CPU of the load."""
    server_cpu, load_cpu = cpus
    before = _spent(target.pid, server_cpu)
    counted = run_wrk(workload, target.port, seconds, connections, load_cpu)
    after = _spent(target.pid, server_cpu)

    requests = int(counted["requests"])
    elapsed = after.wall - before.wall
    cpu = after.cpu - before.cpu
    ticks = max(1, after.user - before.user + after.system - before.system)
    return Sample(
        requests=requests,
        seconds=counted["duration_us"] / 1e6,
        cpu_us=cpu / 1e3 / requests,
        user_us=cpu / 1e3 / requests * (after.user - before.user) / ticks,
        io_worker_us=max(0, after.io_workers - before.io_workers) / 1e3 / requests,
        requests_per_second=requests / (counted["duration_us"] / 1e6),
        p50_us=counted["p50_us"],
        p99_us=counted["p99_us"],
        max_us=counted["max_us"],
        busy=cpu / elapsed,
        others=max(0.0, (after.cpu_busy - before.cpu_busy - cpu) / elapsed),
    )


def run_wrk(workload: Workload, port: int, seconds: int, connections: int, cpu: int) -> dict[str, float]:
    """Runs wrk and returns its results (see done.lua). Fails unless all responses were complete and successful."""
    scheme = "https" if workload.tls else "http"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "--latency", "-s", str(_SCRIPT)]
    if workload.close:
        command += ["-H", "Connection: close"]
    command.append(f"{scheme}://{HOST}:{port}{workload.path}")
    if workload.upload_bytes:
        command += ["--", str(workload.upload_bytes)]
    with on_cpu(cpu):
        # A new session, so that Ctrl-C reaches only this process. run() then ends wrk.
        ran = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    line = _LINE.search(ran.stdout)
    if ran.returncode or not line:
        raise BenchError(f"wrk failed ({' '.join(command)}):\n{ran.stdout}{ran.stderr}")
    counted: dict[str, float] = json.loads(line[1])
    _check(workload, counted, ran.stdout)
    return counted


def _check(workload: Workload, counted: dict[str, float], said: str) -> None:
    errors = counted.pop("errors")
    assert isinstance(errors, dict)
    if bad := {kind: count for kind, count in errors.items() if count}:
        raise BenchError(f"{workload.name}: wrk reports errors {bad} (status: not 2xx or 3xx)\n{said}")
    if not counted["requests"]:
        raise BenchError(f"{workload.name}: no request was answered\n{said}")
    if counted["bytes"] < counted["requests"] * workload.body_bytes:
        raise BenchError(f"{workload.name}: wrk received fewer bytes than the bodies have\n{said}")


def _spent(pid: int, cpu: int) -> _Spent:
    # The name, in parentheses, can contain anything. utime and stime are fields 14 and 15; here field 3 is the first.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return _Spent(
        wall=time.monotonic_ns(),
        cpu=cpu_ns(pid),
        user=int(fields[11]) * _TICK_NS,
        system=int(fields[12]) * _TICK_NS,
        io_workers=_io_workers_ns(pid),
        cpu_busy=_cpu_busy_ns(cpu),
    )


def _io_workers_ns(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            if (task / "comm").read_text().startswith("iou-wrk"):
                total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total


def _cpu_busy_ns(cpu: int) -> int:
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{cpu}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(tick) for tick in ticks[:8])
            return (user + nice + system + irq + softirq + steal) * _TICK_NS
    raise BenchError(f"there is no CPU {cpu}")
