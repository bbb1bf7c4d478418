"""Compares TLS with nginx, with the same library, certificate and curve. `make bench` runs this after the workloads.

    .venv/bin/python -m benchmarks.tls [--seconds 4] [--rounds 3] [--connections 5000]

Handshakes: `openssl s_time` opens one connection at a time, for one small file each, with full handshakes and with
resumed sessions. The result is the CPU time of the server's process per connection. `make bench-kernel` also runs this.
The clock of its machine counts instructions (tools/kernel_vm.sh), so its results are almost equal in every run.
Memory: opens idle connections, each after one response. The result is the proportional set size of the worker for each.
"""

import argparse
import asyncio
import json
import resource
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from benchmarks import needs
from benchmarks.measure import cpu_ns
from benchmarks.processes import LOAD_CPU, SERVER_CPU, BenchError, on_cpu
from benchmarks.servers import HOST, Places, Server, Target, running
from benchmarks.workloads import FILE

RESULT = Path("benchmarks/results/tls.json")
HANDSHAKES = {
    "full handshake, TLS 1.3": ["-new", "-tls1_3"],
    "full handshake, TLS 1.2": ["-new", "-tls1_2"],
    "resumed, TLS 1.3": ["-reuse", "-tls1_3"],
    "resumed, TLS 1.2": ["-reuse", "-tls1_2"],
}
_PATH = FILE + "file.bin"


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=int, default=4, help="length of a round")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--connections", type=int, default=5000, help="number of idle connections")
    asked.add_argument("--install", action="store_true", help="install missing programs with apt-get")
    options = asked.parse_args()
    needs.need_programs(["cc", "openssl", "nginx"], options.install)
    enough = 2 * options.connections + 1000
    with suppress(ValueError, OSError):  # as root: the servers inherit it
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, max(enough, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with tempfile.TemporaryDirectory(prefix="ringway-bench-") as name:
        folder = Path(name)
        relay, origin = needs.build_limits(folder, options.install)
        ringway = Path(sys.executable).with_name("ringway")
        places = Places(SERVER_CPU, LOAD_CPU, relay, origin, needs.find("nginx"), str(ringway))
        with running(["nginx", "ringway"], places, folder) as servers:
            found = handshakes(servers, options)
            found |= {"idle connection, bytes": memory(servers, options.connections)}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n")
    show(found, options.connections)
    return 0


def handshakes(servers: list[Server], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    taken: dict[str, dict[str, list[float]]] = {kind: {server.name: [] for server in servers} for kind in HANDSHAKES}
    for number in range(options.rounds):
        for kind, how in HANDSHAKES.items():
            for server in servers:
                print(f"round {number + 1}: {kind}, {server.name}", file=sys.stderr, flush=True)
                target = server.targets["connection-tls"]
                taken[kind][server.name].append(connect_again_and_again(target, how, options.seconds))
    return {kind: {name: statistics.median(each) for name, each in by.items()} for kind, by in taken.items()}


def connect_again_and_again(target: Target, how: list[str], seconds: int) -> float:
    """Returns the CPU time of the server per connection, in microseconds."""
    openssl = shutil.which("openssl") or "openssl"
    command = [openssl, "s_time", "-connect", f"{HOST}:{target.port}", "-www", _PATH, "-time", str(seconds), *how]
    before = cpu_ns(target.pid)
    with on_cpu(LOAD_CPU):
        ran = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    spent = cpu_ns(target.pid) - before
    # s_time prints a letter for each connection: r if resumed; t, T, * and others (by version) if not.
    marks = [line for line in ran.stdout.splitlines() if len(line) > 20 and not line.strip("rtT*s")]
    count = sum(map(len, marks))
    resumed = sum(line.count("r") for line in marks)
    if ran.returncode or count < 10:
        raise BenchError(f"{' '.join(command)} failed:\n{ran.stdout[-500:]}{ran.stderr[-500:]}")
    if ("-reuse" in how) != (resumed > count * 0.9):
        raise BenchError(f"{' '.join(command)}: {resumed} of {count} connections were resumed")
    return spent / 1e3 / count


def memory(servers: list[Server], count: int) -> dict[str, float]:
    return {server.name: asyncio.run(idle(server.targets["connection-tls"], count)) for server in servers}


async def idle(target: Target, count: int) -> float:
    """Returns the server's memory per idle connection, in bytes. Each connection has had one response."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    kept: list[asyncio.StreamWriter] = []

    async def one(number: int) -> None:
        # A pair of addresses has 64,000 ports, so use several addresses of the loopback.
        source = (f"127.0.0.{2 + number % 8}", 0)
        reader, writer = await asyncio.open_connection(HOST, target.port, ssl=context, local_addr=source)
        writer.write(f"GET {_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head:
            raise BenchError(f"{head!r}")
        await reader.readexactly(1024)
        kept.append(writer)

    async def many(first: int, end: int) -> None:
        for number in range(first, end, 50):
            await asyncio.gather(*(one(n) for n in range(number, min(end, number + 50))))

    try:
        # The first connections also allocate shared memory (tables of OpenSSL, buffers of the loop). Do not count it.
        await many(0, 200)
        before = proportional(target.pid)
        await many(200, 200 + count)
        await asyncio.sleep(1)
        return (proportional(target.pid) - before) / count
    finally:
        for writer in kept:
            writer.transport.abort()


def proportional(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"process {pid} is gone")


def show(found: dict[str, dict[str, float]], connections: int) -> None:
    print("\n| TLS | Ringway | nginx | Ringway ÷ nginx |\n| --- | ---: | ---: | ---: |")
    for kind, by in found.items():
        unit = "" if "bytes" in kind else ", µs CPU per connection"
        ratio = by["ringway"] / by["nginx"]
        print(f"| {kind}{unit} | {by['ringway']:,.0f} | {by['nginx']:,.0f} | {ratio:.2f} |")
    print(f"\nIdle connections: {connections:,}, each after one response. All results: {RESULT}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"error: {error}")
