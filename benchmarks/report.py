"""The report: medians, ratios, a Markdown table, facts about the machine, and a JSON file."""

import json
import os
import platform
import re
import statistics
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measure import Sample
from benchmarks.needs import find
from benchmarks.workloads import Workload

Rounds = dict[str, dict[str, list[Sample]]]
"""Samples by workload, then by server, in the order of the rounds."""

_NOISE = 0.05
"""If others use more than this share of the server's CPU, the report warns of noise."""


def median(rounds: Rounds, workload: str, server: str, value: str) -> float | None:
    """Returns the median of the rounds, or None if it was not measured."""
    samples = rounds.get(workload, {}).get(server, [])
    return statistics.median(getattr(sample, value) for sample in samples) if samples else None


def ratio(rounds: Rounds, workload: str, over: str, server: str = "ringway") -> float | None:
    """Returns CPU time per request of `server` divided by that of `over`. It is the median of the ratios of each round,
    because the two are measured right after each other there. None: one of them was not measured."""
    mine = rounds.get(workload, {}).get(server, [])
    theirs = rounds.get(workload, {}).get(over, [])
    pairs = [a.cpu_us / b.cpu_us for a, b in zip(mine, theirs, strict=False)]
    return statistics.median(pairs) if pairs else None


def table(rounds: Rounds, workloads: list[Workload], servers: list[str]) -> str:
    """Returns a Markdown table. "-": not measured."""
    proxies = [name for name in ("ringway", "nginx") if name in servers]
    head = ["workload"]
    head += [f"{name} CPU µs/request" for name in (*proxies, *(["limit"] if "limit" in servers else []))]
    measured = head[1:]
    if "ringway" in servers:
        head += [f"CPU ÷ {name}" for name in ("nginx", "limit") if name in servers]
    head += [f"{name} {what}" for what in ("requests/s", "p50 ms", "p99 ms") for name in proxies]
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    for workload in workloads:
        name = workload.name
        row = [workload.title]
        row += [_number(median(rounds, name, title.split()[0], "cpu_us"), 2) for title in measured]
        if "ringway" in servers:
            row += [_number(ratio(rounds, name, over), 2) for over in ("nginx", "limit") if over in servers]
        row += [_number(median(rounds, name, x, "requests_per_second"), 0) for x in proxies]
        for value in ("p50_us", "p99_us"):
            row += [_number(median(rounds, name, x, value), 2, 1000) for x in proxies]
        lines.append(_row(row))
    return "\n".join(lines)


def remarks(rounds: Rounds, workloads: list[Workload]) -> list[str]:
    """Returns remarks for the end of the report: missed targets, and signs of noise."""
    said = []
    for workload in workloads:
        found = ratio(rounds, workload.name, "nginx")
        if found is not None and found > workload.target:
            said.append(f"target missed: {workload.name}: {found:.3f} of nginx, target {workload.target:.2f}")
    every = [sample for servers in rounds.values() for samples in servers.values() for sample in samples]
    if every and (noise := statistics.median(sample.others for sample in every)) > _NOISE:
        said.append(f"noisy: others used {noise:.0%} of the servers' CPU in the median round")
    for name, servers in rounds.items():
        for server, samples in servers.items():
            costs = [sample.cpu_us for sample in samples]
            if len(costs) > 1 and max(costs) > 1.15 * min(costs):
                said.append(f"unsteady: {name}, {server}: {min(costs):.2f} to {max(costs):.2f} µs per request")
    return said


def write_json(path: Path, rounds: Rounds, workloads: list[Workload], about: dict[str, Any]) -> None:
    """Writes all results, and the facts about the machine. Replaces the file atomically."""
    results = {
        workload.name: {
            "workload": asdict(workload),
            "cpu_ratio_to_nginx": ratio(rounds, workload.name, "nginx"),
            "cpu_ratio_to_limit": ratio(rounds, workload.name, "limit"),
            "servers": {
                server: {
                    "median": {value: median(rounds, workload.name, server, value) for value in asdict(samples[0])},
                    "rounds": [asdict(sample) for sample in samples],
                }
                for server, samples in rounds.get(workload.name, {}).items()
                if samples
            },
        }
        for workload in workloads
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({**about, "results": results}, indent=2, ensure_ascii=False) + "\n")
    new.replace(path)


def machine_facts(nginx: str | None, ringway: str | None) -> dict[str, Any]:
    """Returns kernel, CPU, versions, and the load at the start."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": cpu[1] if cpu else "unknown",
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "openssl": _first_line([find("openssl"), "version"]),
        "nginx": _first_line([nginx, "-v"]),
        "nginx_openssl": _first_line([nginx, "-V"], "OpenSSL"),
        "wrk": _first_line([find("wrk"), "-v"]),
        "ringway": _first_line([ringway, "--version"]),
    }


def _first_line(command: list[str | None], holding: str = "") -> str | None:
    """Returns the first line of a program's output that contains a word. None: there is no such program."""
    if command[0] is None:
        return None
    try:
        ran = subprocess.run([x for x in command if x], capture_output=True, text=True, check=False, timeout=30)
    except OSError as error:
        return str(error)
    return next((line.strip() for line in (ran.stdout + ran.stderr).splitlines() if holding in line), None)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, digits: int, divisor: float = 1) -> str:
    return "-" if value is None else f"{value / divisor:,.{digits}f}"
