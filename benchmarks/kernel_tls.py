"""Kernel TLS against TLS in user space, in one run: `make bench-kernel` (in the virtual machine, so emulated).

    .venv/bin/python -m benchmarks.kernel_tls [--seconds 4] [--rounds 3]

One Ringway for each way, on CPU 0; wrk and the origin on CPU 1; alternating rounds, medians. Then each way once under
strace: system calls of the worker for one request, and the bytes of a file that they brought into user space.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import configs, workloads
from benchmarks.measure import measure
from benchmarks.needs import build_limits
from benchmarks.processes import BenchError, free_ports, only_child, started
from benchmarks.servers import HOST, Target, make_site
from benchmarks.workloads import Workload
from ringway.engine import counters

WAYS = {
    "user space": "",
    "sending": 'ktls_enabled = true\nktls_directions = "send"\n',
    "sending from 64 KiB on": 'ktls_enabled = true\nktls_directions = "send"\nktls_after = 65536\n',
    "both": "ktls_enabled = true\n",
    "both, sending from 64 KiB on": "ktls_enabled = true\nktls_after = 65536\n",
}
HUGE = Workload("file-10m-tls", "file of 10 MiB", "/file-10m/file.bin", 10 << 20, tls=True)
ASKED = [
    (HUGE, 1),
    *[(w, 16) for w in workloads.WORKLOADS if w.name in ("file-1k-tls", "proxy-100b-tls", "connection-tls")],
]
"""Workloads, and how many connections each has."""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=int, default=4, help="of each round")
    asked.add_argument("--rounds", type=int, default=3)
    options = asked.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = start(stack, folder)
        found: dict[tuple[str, str], list[float]] = {}
        for number in range(options.rounds):
            for workload, connections in ASKED:
                for way, target in targets.items():
                    print(f"round {number + 1}: {workload.title}, {way}", file=sys.stderr, flush=True)
                    sample = measure(workload, target, options.seconds, connections, (0, 1))
                    found.setdefault((workload.name, way), []).append(sample.cpu_us)
        show(found)
        for way, target in targets.items():
            calls, copied = traced(target, HUGE)
            print(f"{way}: {calls} system calls for one {HUGE.title}, {copied:,} of its bytes came into user space")


def start(stack: ExitStack, folder: Path) -> dict[str, Target]:
    (origin,) = free_ports(1)
    _, program = build_limits(folder, False)
    stack.enter_context(started("origin", [program, str(origin), str(workloads.SMALL_BYTES)], 1, folder, origin))
    site = make_site(folder, origin, origin)
    place = Path(f"{site.files}/file-10m")
    place.mkdir(parents=True)
    (place / "file.bin").write_bytes(bytes(range(256)) * (HUGE.body_bytes // 256))
    targets = {}
    for number, (way, keys) in enumerate(WAYS.items()):
        plain, tls = free_ports(2)
        config = folder / f"ringway-{number}.toml"
        written = configs.ringway(site, plain, tls, "io_uring")
        route = f'"/file-10m/" = {{ type = "File", path = "{place}" }}\n\n[limits]'
        config.write_text(written.replace("[tls]\n", f"[tls]\n{keys}").replace("[limits]", route))
        ringway = Path(sys.executable).with_name("ringway")
        command: list[str | Path] = [ringway, "run", "--config", config]
        process = stack.enter_context(started(f"ringway-{number}", command, 0, folder, plain))
        targets[way] = Target(process, only_child(process), tls)
    return targets


def show(found: dict[tuple[str, str], list[float]]) -> None:
    print("\nCPU microseconds a request (emulated: compare within a row), and the ratio to user space\n")
    print(f"| workload | {' | '.join(WAYS)} |\n| --- |{' ---: |' * len(WAYS)}")
    for workload, _ in ASKED:
        base = statistics.median(found[workload.name, "user space"])
        cells = [statistics.median(found[workload.name, way]) for way in WAYS]
        print(f"| {workload.title} | {' | '.join(f'{cell:,.0f} ({cell / base:.2f})' for cell in cells)} |")
    print()


def traced(target: Target, workload: Workload) -> tuple[int, int]:
    """System calls of the worker for one request on a connection of its own, by strace; and the bytes of the file that
    it did not send by sendfile but read, by its own counter (its reads are io_uring's, which strace does not see)."""
    with tempfile.NamedTemporaryFile("r") as log:
        tracer = subprocess.Popen(["strace", "-f", "-o", log.name, "-p", str(target.pid)], stderr=subprocess.DEVNULL)
        try:
            while not Path(log.name).stat().st_size:
                tracer.poll()
                subprocess.run(["curl", "-sk", "-o", "/dev/null", f"https://{HOST}:{target.port}/none"], check=True)
                time.sleep(0.1)
            before = Path(log.name).read_text().count("\n")
            by_sendfile = counter(target.pid, "sendfile_bytes")
            url = f"https://{HOST}:{target.port}{workload.path}"
            subprocess.run(["curl", "-sk", "-o", "/dev/null", url], check=True)
            time.sleep(0.5)
        finally:
            tracer.terminate()
            tracer.wait()
        calls = Path(log.name).read_text().count("\n") - before
    return calls, workload.body_bytes - (counter(target.pid, "sendfile_bytes") - by_sendfile)


def counter(pid: int, name: str) -> int:
    """One counter of a worker, from its shared memory."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if str(entry.readlink()).startswith("/memfd:ringway counters"):
            return counters.read(entry.read_bytes())[name]
    raise BenchError(f"process {pid} has no counters")


if __name__ == "__main__":
    main()
