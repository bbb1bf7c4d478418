"""Counts the cost of a request: instructions, system calls and allocations of the worker (`make budget`).

    make budget                        compare with benchmarks/budget.json; fail if something costs over 1 % more
    make budget ARGS="--functions"     also print for every workload which functions have changed
    make budget ARGS="--accept"        write the results as the new budget

callgrind counts instructions, in a worker with the epoll driver. The counts do not depend on the load of the machine:
one client repeats the same request on one connection, and there is no other traffic, so every request takes the same
path. strace counts system calls, with both drivers. Allocations are calls of malloc, free and the like by functions of
Ringway itself. There must be none on the request path. (Allocations of OpenSSL are only part of its instructions.)

Counts are valid for one compiler, C library and OpenSSL. If these differ from budget.json, nothing is judged.
"""

import argparse
import getpass
import json
import os
import platform
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import BenchError, Process, free_ports, only_child, started
from benchmarks.servers import HOST, make_site

TABLE = Path(__file__).with_name("budget.json")
MORE = 1.01
"""A cost above the budget times this fails."""
WARM, COUNTED = 20, 300
START_WITHIN = 120
"""Seconds. A worker in valgrind starts slowly."""
ALLOCATE = {"malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "memalign", "mmap", "free"}
HARMLESS = 5
"""Functions that differ by fewer instructions are not printed."""

FEW_FIELDS = "Host: h\r\nUser-Agent: budget/1\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nAccept-Language: en\r\n"
MANY_FIELDS = (
    "Host: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://www.example.com/a/page?with=query\r\nDNT: 1\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\nUpgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\n"
    "Priority: u=0, i\r\nPragma: no-cache\r\nCache-Control: no-cache\r\nOrigin: https://www.example.com\r\n"
    "X-Requested-With: XMLHttpRequest\r\nX-Trace: 4bf92f3577b34da6a3ce929d0e0e4736\r\n"
)


@dataclass(frozen=True)
class Workload:
    name: str
    target: str
    fields: str = FEW_FIELDS
    status: int = 200
    tls: bool = False


WORKLOADS = (
    Workload("file 1 KiB", "/file-1k/file.bin"),
    Workload("file 1 KiB, TLS", "/file-1k/file.bin", tls=True),
    Workload("file, 304", "/file-1k/file.bin", FEW_FIELDS + "If-None-Match: *\r\n", 304),
    Workload("file, range", "/file-1k/file.bin", FEW_FIELDS + "Range: bytes=100-199\r\n", 206),
    Workload("proxied 100 B, 5 fields", "/proxy/"),
    Workload("proxied 100 B, 19 fields", "/proxy/", MANY_FIELDS),
    Workload("proxied 100 B, TLS", "/proxy/", tls=True),
    Workload("proxied, chunked", "/proxy/chunked"),
)

CONFIG = """\
[server]
listen = "{host}:{tls}"
plain_listen = "{host}:{plain}"
threads = 1
user = "{user}"
[tls]
cert_path = "{certificate}"
key_path = "{key}"
[performance]
io_driver = "{driver}"
[limits]
requests_per_connection = 1000000
[timeouts]
file_valid = 3600
[path_routes."*"]
"/file-1k/" = {{ type = "File", path = "{files}/file-1k" }}
"/proxy/" = {{ type = "Proxy", url = "http://{host}:{origin}" }}
"""

# The interpreter of the supervisor loads this first, so that its workers run in valgrind.
IN_VALGRIND = """\
import sys
if "run" in sys.argv:
    from ringway.control.running import process, seats, supervisor
    process.COMMAND[:0] = {valgrind!r}
    for module in (seats, supervisor):
        module.START_WITHIN = {seconds}
"""


@dataclass
class Count:
    """The cost of one request."""

    instructions: int = 0
    functions: dict[str, int] = field(default_factory=dict)
    """Instructions of each function, without the functions that it calls."""
    allocations: dict[str, float] = field(default_factory=dict)
    """Calls by caller and callee."""


# -------------------------------------------------------------------------------------------------- the other side


class Origin(threading.Thread):
    """An upstream that answers each request with 100 bytes, in chunks if the target contains "chunked"."""

    PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n" + b"x" * 100
    CHUNKED = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"32\r\n" + b"x" * 50 + b"\r\n32\r\n" + b"x" * 50 + b"\r\n0\r\n\r\n"
    )

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server((HOST, 0))
        self.port = int(self.listener.getsockname()[1])

    def run(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link: socket.socket) -> None:
        head = b""
        with link:
            while received := link.recv(65536):
                head += received
                if head.endswith(b"\r\n\r\n"):
                    link.sendall(self.CHUNKED if b"chunked" in head.split(b"\r\n")[0] else self.PLAIN)
                    head = b""


def connect(workload: Workload, plain: int, tls: int) -> socket.socket:
    link: socket.socket = socket.create_connection((HOST, tls if workload.tls else plain), timeout=60)
    if workload.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        link = context.wrap_socket(link)
    return link


def ask(link: socket.socket, workload: Workload, times: int) -> None:
    """Sends the same request repeatedly, each one after the answer to the one before."""
    request = f"GET {workload.target} HTTP/1.1\r\n{workload.fields}\r\n".encode()
    for _ in range(times):
        link.sendall(request)
        answer = b""
        while not complete(answer):
            received = link.recv(65536)
            if not received:
                raise BenchError(f"{workload.name}: the connection was closed after {answer[:200]!r}")
            answer += received
        if not answer.startswith(b"HTTP/1.1 %d " % workload.status):
            raise BenchError(f"{workload.name}: {answer[:200]!r} instead of status {workload.status}")


def complete(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    if b" 304 " in head[:14]:
        return True
    if length := re.search(rb"\r\nContent-Length: (\d+)", head):
        return len(body) == int(length[1])
    return body.endswith(b"0\r\n\r\n")


# ---------------------------------------------------------------------------------------------------- one Ringway


@dataclass
class Running:
    pid: int
    plain: int
    tls: int
    folder: Path


@contextmanager
def ringway(driver: str, valgrind: bool) -> Iterator[Running]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringway-budget-")))
        # Workers can run as another user, and valgrind writes files here as that user.
        folder.chmod(0o777)
        site = make_site(folder, 0, 0)
        origin = Origin()
        origin.start()
        stack.callback(origin.listener.close)
        plain, tls = free_ports(2)
        config = folder / "budget.toml"
        config.write_text(
            CONFIG.format(
                host=HOST, plain=plain, tls=tls, driver=driver, origin=origin.port, files=site.files,
                certificate=site.certificate, key=site.key, user=getpass.getuser(),
            )
        )  # fmt: skip
        environment = ["env"]
        if valgrind:
            tool = [
                "env",
                f"LD_PRELOAD={build_shim(folder)}",
                str(shutil.which("valgrind")),
                "--tool=callgrind",
                "--dump-instr=no",
                "--compress-strings=no",
            ]
            tool += ["--compress-pos=no", f"--callgrind-out-file={folder}/counts.%p", "-q"]
            (folder / "first").mkdir()
            (folder / "first/sitecustomize.py").write_text(IN_VALGRIND.format(valgrind=tool, seconds=START_WITHIN))
            paths = [str(folder / "first"), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment += [f"PYTHONPATH={':'.join(paths)}", "PYTHONHASHSEED=0"]
        command = [*environment, sys.executable, "-m", "ringway", "run", "--config", config]
        cpu = max(os.sched_getaffinity(0))
        process = stack.enter_context(started("ringway", command, cpu, folder, plain))
        wait_until_ready(process, plain)
        yield Running(only_child(process), plain, tls, folder)


def build_shim(folder: Path) -> Path:
    shim = folder / "openat2.so"
    source = Path(__file__).with_name("openat2.c")
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    return shim


def wait_until_ready(process: Process, plain: int) -> None:
    """Waits for an answer. The supervisor's socket accepts long before a worker in valgrind answers."""
    with socket.create_connection((HOST, plain), timeout=START_WITHIN) as link:
        try:
            ask(link, WORKLOADS[0], 1)
        except OSError as error:
            raise BenchError(f"no answer: {error}\n{process.said()}") from None


# ---------------------------------------------------------------------------------------------------- instructions


def instructions() -> dict[str, Count]:
    with ringway("epoll", valgrind=True) as running:
        return {workload.name: count_one(running, workload) for workload in WORKLOADS}


def count_one(running: Running, workload: Workload) -> Count:
    with connect(workload, running.plain, running.tls) as link:
        ask(link, workload, WARM)
        monitor(running.pid, "zero")
        ask(link, workload, COUNTED)
        monitor(running.pid, "dump")
    # Dumps are numbered, and this one is the newest.
    newest = max(running.folder.glob(f"counts.{running.pid}.*"), key=lambda path: int(path.suffix[1:]))
    return read_dump(newest.read_text(), COUNTED)


def monitor(pid: int, command: str) -> None:
    done = subprocess.run(
        ["vgdb", f"--pid={pid}", "--wait=20", command], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise BenchError(f"valgrind does not respond: {done.stderr.strip()}")


def read_dump(text: str, requests: int) -> Count:
    """Reads the cost of each function, and its calls. Format: callgrind's manual, "Callgrind Format Specification"."""
    own: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    function = callee = ""
    skip = False
    total = 0
    for line in text.splitlines():
        if line.startswith("fn="):
            function = line[3:]
        elif line.startswith("cfn="):
            callee = line[4:]
        elif line.startswith("calls="):
            if callee.split("@")[0] in ALLOCATE and "ringway" in function:
                calls[f"{short(function)} calls {callee}"] += int(line[6:].split()[0])
            skip = True  # the next line is the cost of the called function
        elif re.match(r"[\d+*-]", line):
            cost = int(line.split()[-1])
            if not skip:
                own[short(function)] += cost
            skip = False
        elif line.startswith(("totals:", "summary:")):
            total = int(line.split()[1])
    each = {name: round(cost / requests) for name, cost in own.most_common()}
    return Count(
        round((total or sum(own.values())) / requests),
        {name: cost for name, cost in each.items() if cost},
        {name: round(number / requests, 2) for name, number in calls.items()},
    )


def short(function: str) -> str:
    """Shortens `__pyx_f_7ringway_6engine_8exchange_5proxy_proxy_begin` to `exchange.proxy.proxy_begin`."""
    rest = function.split("'")[0].removeprefix("__pyx_f_7ringway_6engine_")
    if rest == function.split("'")[0]:
        return rest
    parts = []
    while match := re.match(r"(\d+)", rest):
        length = int(match[1])
        parts.append(rest[match.end() : match.end() + length])
        rest = rest[match.end() + length + 1 :]
    return ".".join([*parts, rest])


# ---------------------------------------------------------------------------------------------------- system calls


def system_calls(driver: str) -> dict[str, dict[str, float]]:
    """Returns for each workload the system calls of one request, by name."""
    with ringway(driver, valgrind=False) as running:
        return {workload.name: trace_one(running, workload) for workload in WORKLOADS}


def trace_one(running: Running, workload: Workload) -> dict[str, float]:
    summary = running.folder / "strace"
    with connect(workload, running.plain, running.tls) as link:
        ask(link, workload, WARM)
        tracer = subprocess.Popen(
            ["strace", "-c", "-o", summary, "-p", str(running.pid)], stderr=subprocess.PIPE, text=True
        )
        try:
            assert tracer.stderr
            line = tracer.stderr.readline()
            if "attached" not in line:
                raise BenchError(f"strace: {line.strip()}")
            ask(link, workload, COUNTED)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=60)
    found = {}
    for line in summary.read_text().splitlines():
        if match := re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line):
            each = round(int(match[1]) / COUNTED, 1)
            if match[2] != "total" and each:
                found[match[2]] = each
    return found


# -------------------------------------------------------------------------------------------------------- comparing


def toolchain() -> dict[str, str]:
    """Returns what the counts depend on in addition to Ringway."""

    def first_line(*command: str) -> str:
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]
        except OSError:
            return ""

    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return {
        "machine": platform.machine(),
        # The C library and OpenSSL select functions by these flags.
        "cpu": " ".join(sorted({"avx2", "aes", "bmi2"} & set(flags[1].split() if flags else ()))),
        "compiler": first_line(os.environ.get("CC", "cc"), "-dumpfullversion"),
        "libc": " ".join(platform.libc_ver()),
        "openssl": first_line("openssl", "version"),
        "cython": first_line(sys.executable, "-c", "import Cython; print(Cython.__version__)"),
        "valgrind": first_line("valgrind", "--version"),
    }


def judge(now: dict[str, Count], calls: dict[str, dict[str, dict[str, float]]], budget: dict, functions: bool) -> int:
    """Prints the tables, with details of costs over the budget. Returns their number."""
    over = 0
    width = max(len(workload.name) for workload in WORKLOADS)
    print(f"{'instructions per request':{width}} {'budget':>8} {'now':>8}")
    for name, count in now.items():
        then = budget["instructions"].get(name, {"total": 0, "functions": {}})
        red = count.instructions > then["total"] * MORE
        over += red
        print(f"{name:{width}} {then['total']:8} {count.instructions:8} {change(count.instructions, then['total'])}")
        if red or functions:
            print_functions(count.functions, then["functions"])
        for text, number in count.allocations.items():
            over += 1
            print(f"  allocates: {text} {number} times a request")
    print(f"\n{'system calls per request':{width}} {'driver':>9} {'budget':>8} {'now':>8}")
    for driver, by_workload in calls.items():
        for name, found in by_workload.items():
            then = budget["system_calls"].get(driver, {}).get(name, {})
            total, budgeted = round(sum(found.values()), 1), round(sum(then.values()), 1)
            print(f"{name:{width}} {driver:>9} {budgeted:8} {total:8} {change(total, budgeted)}")
            if total > budgeted * MORE + 0.05:
                over += 1
                print(f"  was {then}\n  is  {found}")
    return over


def change(now: float, then: float) -> str:
    return f"{(now / then - 1) * 100:+.1f} %" if then else "new"


def print_functions(now: dict[str, int], then: dict[str, int]) -> None:
    grown = {name: now.get(name, 0) - then.get(name, 0) for name in now.keys() | then.keys()}
    for name, more in sorted(grown.items(), key=lambda item: -item[1]):
        if abs(more) >= HARMLESS:
            print(f"  {more:+6} {name} (was {then.get(name, 0)}, is {now.get(name, 0)})")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make budget", description="Compares the cost of a request with the budget.")
    parser.add_argument("--accept", action="store_true", help="write the results as the new budget")
    parser.add_argument("--functions", action="store_true", help="print for every workload which functions changed")
    options = parser.parse_args()
    if missing := [tool for tool in ("valgrind", "vgdb", "strace") if not shutil.which(tool)]:
        print(f"budget not checked: {', '.join(missing)} not found")
        return 0
    tools = toolchain()
    budget = json.loads(TABLE.read_text()) if TABLE.exists() else {"instructions": {}, "system_calls": {}}
    now = instructions()
    calls = {driver: system_calls(driver) for driver in ("epoll", "io_uring")}
    over = judge(now, calls, budget, options.functions)
    if options.accept:
        table = {
            "toolchain": tools,
            "instructions": {
                name: {"total": count.instructions, "functions": count.functions} for name, count in now.items()
            },
            "system_calls": calls,
        }
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        print(f"\nwritten to {TABLE.relative_to(Path.cwd())}")
        return 0
    if tools != budget.get("toolchain"):
        print(f"\nnot judged: the budget is for {budget.get('toolchain')}, this is {tools}")
        return 0
    if over:
        print(
            f"\n{over} over the budget. Reduce the cost. If it is justified, write a new budget with\n"
            '`make budget ARGS="--accept"`, and give the reason in the commit.',
            file=sys.stderr,
        )
    return 1 if over else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"make budget: {error}")
