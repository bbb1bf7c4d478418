"""The command line: `python -m benchmarks --help`."""

import argparse
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from benchmarks import needs, report
from benchmarks.configs import SMALL_FILES
from benchmarks.measure import Sample, measure, run_wrk
from benchmarks.processes import BenchError
from benchmarks.servers import Places, Server, Target, running
from benchmarks.verify import verify_all
from benchmarks.workloads import WORKLOADS, Workload

SERVERS = ("nginx", "ringway", "limit")
RESULTS = Path(__file__).with_name("results")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0 success, 1 error (printed on stderr), 130 interrupted."""
    options = _options(arguments)
    if options.list:
        for workload in WORKLOADS:
            print(f"{workload.name:<16} {workload.title}")
        return 0
    # Handle SIGTERM like Ctrl-C, so that the started processes end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        _run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    workloads, servers, cpus = options.only, options.servers, _cpus(options)
    if "ringway" in servers and not os.access(options.ringway, os.X_OK):
        raise BenchError(f"there is no program {options.ringway}: run `make build`, or use --ringway PATH")
    programs = ["cc", "openssl", "wrk", *(["nginx"] if "nginx" in servers else [])]
    needs.need_programs(programs, options.install)

    nginx = needs.find("nginx") if "nginx" in servers else None
    ringway = options.ringway if "ringway" in servers else None
    with tempfile.TemporaryDirectory(prefix="ringway-bench-") as name:
        folder = Path(name)
        relay, origin = needs.build_limits(folder, options.install)
        about = {
            "machine": report.machine_facts(nginx, ringway),
            "settings": {
                "seconds": options.seconds,
                "rounds": options.rounds,
                "connections": options.connections,
                "server_cpu": cpus[0],
                "load_cpu": cpus[1],
                "nginx_small_files": options.nginx_small_files,
                "driver": options.driver,
            },
        }
        places = Places(*cpus, relay, origin, nginx, ringway, options.nginx_small_files, options.driver)
        with running(servers, places, folder) as started:
            about["tls"] = verify_all(started, workloads)
            rounds = _rounds(options, started, workloads, cpus)
    report.write_json(options.json, rounds, workloads, about)
    print("\n" + report.table(rounds, workloads, servers) + "\n")
    for remark in report.remarks(rounds, workloads):
        print(remark)
    print(f"all results: {os.path.relpath(options.json)}")


def _rounds(
    options: argparse.Namespace, servers: list[Server], workloads: list[Workload], cpus: tuple[int, int]
) -> report.Rounds:
    """Runs all rounds. For each workload, the servers take turns."""
    rounds: report.Rounds = {}
    total = options.rounds * sum(workload.name in server.targets for workload in workloads for server in servers)
    done = 0
    begun = time.monotonic()
    print(f"{total} rounds of {options.seconds} s, {options.connections} connections", flush=True)
    for workload in workloads:
        measured = [server for server in servers if workload.name in server.targets]
        for server in measured:
            # Warm-up, not counted.
            run_wrk(workload, server.targets[workload.name].port, 1, options.connections, cpus[1])
        for number in range(1, options.rounds + 1):
            for server in measured:
                target = server.targets[workload.name]
                sample = _sample(workload, server.name, target, options, cpus)
                server.check()
                rounds.setdefault(workload.name, {}).setdefault(server.name, []).append(sample)
                done += 1
                left = (time.monotonic() - begun) / done * (total - done)
                print(f"[{done}/{total}, {left:.0f} s left] {_line(workload, number, server.name, sample)}", flush=True)
    return rounds


def _sample(
    workload: Workload, server: str, target: Target, options: argparse.Namespace, cpus: tuple[int, int]
) -> Sample:
    """Runs one round. A limit program identifies operations only by their descriptor, so the end of an old connection
    can close a new one. Then its round is repeated once. A failed round of a server is an error."""
    try:
        return measure(workload, target, options.seconds, options.connections, cpus)
    except BenchError as error:
        if server != "limit":
            raise BenchError(f"{server}: {error}") from None
        print(f"repeated: {server}: {str(error).splitlines()[0]}", flush=True)
        return measure(workload, target, options.seconds, options.connections, cpus)


def _line(workload: Workload, number: int, server: str, sample: Sample) -> str:
    return (
        f"{workload.name} {number} {server}: {sample.cpu_us:.2f} µs/request, "
        f"{sample.requests_per_second:.0f}/s, p50 {sample.p50_us / 1000:.2f} ms, p99 {sample.p99_us / 1000:.2f} ms, "
        f"busy {sample.busy:.0%}, others {sample.others:.0%}"
    )


def _cpus(options: argparse.Namespace) -> tuple[int, int]:
    """Returns the CPU of the server and the CPU of the load."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchError("the benchmark needs two CPUs: one for the server, one for the load")
    server = allowed[1] if options.server_cpu is None else options.server_cpu
    load = allowed[0] if options.load_cpu is None else options.load_cpu
    for cpu in (server, load):
        if cpu not in allowed:
            raise BenchError(f"this process cannot use CPU {cpu}, only {allowed}")
    if server == load:
        raise BenchError("the server and the load must have different CPUs")
    return server, load


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compares Ringway with nginx and with the limit of the kernel, with one worker each on one CPU.",
    )
    add = parser.add_argument
    add("--rounds", type=_positive, default=3, help="rounds for each workload and server (3)")
    add("--seconds", type=_positive, default=3, help="length of a round (3)")
    add("--connections", type=_positive, default=64, help="concurrent connections (64)")
    add("--quick", action="store_true", help="one round of one second, to check that everything works")
    add("--only", type=_workloads, default=list(WORKLOADS), metavar="NAME[,NAME]", help="run only these workloads")
    add("--list", action="store_true", help="list the workloads")
    add("--servers", type=_servers, default=list(SERVERS), metavar="NAME[,NAME]", help="some of nginx, ringway, limit")
    beside = Path(sys.executable).with_name("ringway")
    add("--ringway", type=os.path.abspath, default=str(beside), metavar="PATH", help=f"Ringway's program ({beside})")
    add("--json", type=Path, default=RESULTS / "latest.json", metavar="PATH", help="file for all results")
    add("--server-cpu", type=int, metavar="N", help="CPU of the servers (the second usable one)")
    add("--load-cpu", type=int, metavar="N", help="CPU of wrk and the origins (the first usable one)")
    add("--nginx-small-files", choices=list(SMALL_FILES), default="sendfile", help="how nginx sends 1 KiB (sendfile)")
    add("--driver", choices=["io_uring", "epoll"], default="io_uring", help="Ringway's I/O driver (io_uring)")
    add("--no-install", dest="install", action="store_false", help="never call apt-get")
    options = parser.parse_args(arguments)
    if options.driver == "epoll":
        # nginx uses epoll too, so Ringway must cost at most as much.
        options.only = [replace(workload, target=1.0) for workload in options.only]
    if options.quick:
        options.rounds = options.seconds = 1
    return options


def _positive(text: str) -> int:
    with suppress(ValueError):
        if (number := int(text)) > 0:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def _workloads(text: str) -> list[Workload]:
    known = {workload.name: workload for workload in WORKLOADS}
    return [known[name] for name in _names(text, tuple(known))]


def _servers(text: str) -> list[str]:
    return _names(text, SERVERS)


def _names(text: str, known: tuple[str, ...]) -> list[str]:
    """Returns the names in `text`, each once, in the order of `known`."""
    asked = {name.strip() for name in text.split(",") if name.strip()}
    if unknown := asked - set(known):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    if not asked:
        raise argparse.ArgumentTypeError(f"names are missing; known: {', '.join(known)}")
    return [name for name in known if name in asked]


if __name__ == "__main__":
    sys.exit(main())
