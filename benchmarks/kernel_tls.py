"""Compares kernel TLS with TLS in user space: `make bench-kernel` (in the virtual machine, so emulated).

    .venv/bin/python -m benchmarks.kernel_tls [--seconds 4] [--rounds 3]

Runs one Ringway for each mode, in alternating rounds, and prints medians. Then traces each mode once with strace: the
system calls of the worker for one request on its own connection, and the bytes of the file copied to user space.

The machine of `make bench-kernel` has one CPU whose clock counts instructions (tools/kernel_vm.sh). CPU time there is a
number of instructions, almost equal in every run. It is not real time: an AES instruction counts as one, like an
addition.
"""

import argparse
import os
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
from benchmarks.processes import LOAD_CPU, SERVER_CPU, BenchError, free_ports, only_child, started
from benchmarks.servers import HOST, Target, make_site
from benchmarks.workloads import FILE, FILE_BYTES, Workload
from ringway.engine.base import counters

WAYS = {
    "user space": "",
    "send": 'ktls_enabled = true\nktls_directions = "send"\n',
    "both": "ktls_enabled = true\n",
    **{
        f"send, after {shown}": f'ktls_enabled = true\nktls_directions = "send"\nktls_after = {after}\n'
        for shown, after in (("16 KiB", 16 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20))
    },
    "both, after 64 KiB": "ktls_enabled = true\nktls_after = 65536\n",
}
"""Keys of `[tls]`."""
HUGE = Workload("file-10m-tls", "file of 10 MiB", "/file-10m/file.bin", 10 << 20, tls=True)
UPLOAD = Workload("upload-1m-tls", "upload of 1 MiB", "/up/", 1, tls=True, upload_bytes=1 << 20)
FRESH = Workload("fresh-tls", "file of 1 KiB, new connection", FILE + "file.bin", FILE_BYTES, tls=True, close=True)
ASKED = [
    (HUGE, 1),
    (UPLOAD, 1),
    (FRESH, 4),
    *[(w, 8) for w in workloads.WORKLOADS if w.name in ("file-1k-tls", "proxy-100b-tls")],
]
"""Workloads, each with its number of connections."""
TRACED = (HUGE, UPLOAD, FRESH)

SINK = """\
{user}
daemon off;
pid {folder}/sink.pid;
error_log {folder}/sink.err;
events {{}}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/sink-body;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 x; }}
    }}
}}
"""
"""nginx as an upstream that reads and discards bodies."""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=int, default=4, help="length of a round")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--instruction-ns", type=int, default=0, help="nanoseconds per instruction of a counting clock")
    options = asked.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = start(stack, folder)
        found: dict[tuple[str, str], list[float]] = {}
        for number in range(options.rounds):
            for workload, connections in ASKED:
                for way, target in targets.items():
                    sample = measure(workload, target, options.seconds, connections, (SERVER_CPU, LOAD_CPU))
                    found.setdefault((workload.name, way), []).append(sample.cpu_us)
                    said = f"round {number + 1}: {workload.title}, {way}: {sample.cpu_us:,.0f} us, {sample.requests}"
                    print(said, file=sys.stderr, flush=True)
        show(found, options.instruction_ns)
        for workload in TRACED:
            for way, target in targets.items():
                calls, copied = traced(target, workload, folder)
                read = "" if workload.upload_bytes else f"; {copied:,} bytes of the file were copied to user space"
                print(f"{workload.title}, {way}: {calls} system calls{read}", flush=True)


def start(stack: ExitStack, folder: Path) -> dict[str, Target]:
    origin, sink = free_ports(2)
    _, program = build_limits(folder, False)
    command: list[str | Path] = [program, str(origin), str(workloads.SMALL_BYTES)]
    stack.enter_context(started("origin", command, LOAD_CPU, folder, origin))
    config = folder / "sink.conf"
    config.write_text(SINK.format(folder=folder, port=sink, user="user root;" if os.geteuid() == 0 else ""))
    command = ["/usr/sbin/nginx", "-p", folder, "-e", folder / "sink.err", "-c", config]
    stack.enter_context(started("sink", command, LOAD_CPU, folder, sink))
    site = make_site(folder, origin, origin)
    place = Path(f"{site.files}/file-10m")
    place.mkdir(parents=True)
    (place / "file.bin").write_bytes(bytes(range(256)) * (HUGE.body_bytes // 256))
    routes = f"""\
"/file-10m/" = {{ type = "File", path = "{place}" }}
"/up/" = {{ type = "Proxy", url = "http://127.0.0.1:{sink}" }}

[limits]
"""
    targets = {}
    for number, (way, keys) in enumerate(WAYS.items()):
        plain, tls = free_ports(2)
        config = folder / f"ringway-{number}.toml"
        written = configs.ringway(site, plain, tls, "io_uring")
        config.write_text(written.replace("[tls]\n", f"[tls]\n{keys}").replace("[limits]\n", routes))
        command = [Path(sys.executable).with_name("ringway"), "run", "--config", config]
        process = stack.enter_context(started(f"ringway-{number}", command, SERVER_CPU, folder, plain))
        targets[way] = Target(process, only_child(process), tls)
    return targets


def show(found: dict[tuple[str, str], list[float]], instruction_ns: int) -> None:
    unit = "thousand instructions" if instruction_ns else "CPU microseconds"
    print(f"\n{unit} per request of the worker and the kernel (emulated), and the ratio to user space\n")
    print(f"| | {' | '.join(WAYS)} |\n| --- |{' ---: |' * len(WAYS)}")
    for workload, _ in ASKED:
        base = statistics.median(found[workload.name, "user space"])
        cells = [statistics.median(found[workload.name, way]) for way in WAYS]
        shown = [f"{cell / (instruction_ns or 1):,.0f} ({cell / base:.2f})" for cell in cells]
        print(f"| {workload.title} | {' | '.join(shown)} |")
    print()


def traced(target: Target, workload: Workload, folder: Path) -> tuple[int, int]:
    """Returns the system calls of the worker for one request on its own connection, by strace, and the bytes of the
    file that it did not send by sendfile, by its counter (strace does not see reads of io_uring)."""
    url = f"https://{HOST}:{target.port}"
    ask = ["curl", "-sk", "-o", "/dev/null"]
    body = folder / "body"
    body.write_bytes(b"x" * workload.upload_bytes)
    with tempfile.NamedTemporaryFile("r") as log:
        tracer = subprocess.Popen(["strace", "-f", "-o", log.name, "-p", str(target.pid)], stderr=subprocess.DEVNULL)
        try:
            while not Path(log.name).stat().st_size:
                tracer.poll()
                subprocess.run([*ask, f"{url}/none"], check=True)
                time.sleep(0.1)
            before = Path(log.name).read_text().count("\n")
            by_sendfile = counter(target.pid, "sendfile_bytes")
            upload = ["-H", "Expect:", "--data-binary", f"@{body}"] if workload.upload_bytes else []
            subprocess.run([*ask, *upload, f"{url}{workload.path}"], check=True)
            time.sleep(0.5)
        finally:
            tracer.terminate()
            tracer.wait()
        calls = Path(log.name).read_text().count("\n") - before
    return calls, workload.body_bytes - (counter(target.pid, "sendfile_bytes") - by_sendfile)


def counter(pid: int, name: str) -> int:
    """Reads a counter of a worker from its shared memory."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if str(entry.readlink()).startswith("/memfd:ringway counters"):
            return counters.read(entry.read_bytes())[name]
    raise BenchError(f"process {pid} has no counters")


if __name__ == "__main__":
    main()
