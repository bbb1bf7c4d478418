"""Starts the servers that are measured, and their origins, before the first round."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import configs
from benchmarks import workloads as w
from benchmarks.processes import BenchError, Process, free_ports, only_child, started

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Target:
    """The port for a workload, and the process whose CPU time counts."""

    process: Process
    pid: int
    """The process that answers (the worker, not its supervisor)."""
    port: int


@dataclass
class Server:
    """One server of the comparison."""

    name: str
    """"nginx", "ringway" or "limit"."""
    targets: dict[str, Target]
    """Targets by workload. This server is not measured with other workloads."""

    def check(self) -> None:
        """Raises BenchError if a worker died."""
        for target in self.targets.values():
            target.process.fail_if_ended()
            if not Path(f"/proc/{target.pid}").exists():
                raise BenchError(f"the worker of {self.name} died:\n{target.process.said()}")


@dataclass(frozen=True)
class Places:
    """Programs and CPUs."""

    proxy_cpu: int
    """CPU of the server."""
    load_cpu: int
    """CPU of wrk and of the origins."""
    relay: Path
    origin: Path
    nginx: str | None
    ringway: str | None
    nginx_small_files: str = "sendfile"
    """A key of `configs.SMALL_FILES`."""
    driver: str = "io_uring"
    """Ringway's `io_driver`."""


@contextmanager
def running(names: list[str], places: Places, folder: Path) -> Iterator[list[Server]]:
    """Runs the named servers and the origins during the block."""
    with ExitStack() as stack:
        small, large = free_ports(2)
        for port, body_bytes in ((small, w.SMALL_BYTES), (large, w.LARGE_BYTES)):
            command: list[str | Path] = [places.origin, str(port), str(body_bytes)]
            stack.enter_context(started(f"origin-{body_bytes}", command, places.load_cpu, folder, port))
        site = make_site(folder, small, large)
        servers = []
        for name in names:
            start = {"nginx": _nginx, "ringway": _ringway, "limit": _limit}[name]
            servers.append(start(stack, places, site))
        yield servers


def _nginx(stack: ExitStack, places: Places, site: configs.Site) -> Server:
    plain, tls = free_ports(2)
    config = site.folder / "nginx.conf"
    root = os.geteuid() == 0
    config.write_text(configs.nginx(site, plain, tls, places.proxy_cpu, root, places.nginx_small_files))
    assert places.nginx
    command: list[str | Path] = [places.nginx, "-p", site.folder, "-e", site.folder / "nginx.err", "-c", config]
    process = stack.enter_context(started("nginx", command, places.proxy_cpu, site.folder, plain))
    return _proxy("nginx", process, plain, tls)


def _ringway(stack: ExitStack, places: Places, site: configs.Site) -> Server:
    plain, tls = free_ports(2)
    config = site.folder / "ringway.toml"
    config.write_text(configs.ringway(site, plain, tls, places.driver))
    assert places.ringway
    command: list[str | Path] = [places.ringway, "run", "--config", config]
    process = stack.enter_context(started("ringway", command, places.proxy_cpu, site.folder, plain))
    return _proxy("ringway", process, plain, tls)


def _proxy(name: str, process: Process, plain_port: int, tls_port: int) -> Server:
    pid = only_child(process)
    return Server(name, {x.name: Target(process, pid, tls_port if x.tls else plain_port) for x in w.WORKLOADS})


def _limit(stack: ExitStack, places: Places, site: configs.Site) -> Server:
    """Starts relay and origin, each for the workloads that name it as their limit."""
    relay_port, origin_port = free_ports(2)
    commands: dict[str, tuple[list[str | Path], int]] = {
        "relay": ([places.relay, str(relay_port), str(site.origin_small_port)], relay_port),
        "origin": ([places.origin, str(origin_port), str(w.FILE_BYTES)], origin_port),
    }
    targets = {}
    for name, (command, port) in commands.items():
        process = stack.enter_context(started(f"limit-{name}", command, places.proxy_cpu, site.folder, port))
        target = Target(process, process.popen.pid, port)
        targets.update({x.name: target for x in w.WORKLOADS if x.limit == name})
    return Server("limit", targets)


def make_site(folder: Path, small_port: int, large_port: int) -> configs.Site:
    site = configs.Site(folder, folder / "cert.pem", folder / "key.pem", small_port, large_port)
    for prefix, size in ((w.FILE, w.FILE_BYTES), (w.LARGE_FILE, w.LARGE_FILE_BYTES)):
        place = Path(f"{site.files}{prefix}")
        place.mkdir(parents=True)
        (place / "file.bin").write_bytes(b"x" * size)
    openssl = shutil.which("openssl")
    if not openssl:
        raise BenchError("the program `openssl` is missing, which makes the certificate")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"]
    command += ["-keyout", str(site.key), "-out", str(site.certificate)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise BenchError(f"openssl could not make a certificate:\n{made.stderr.strip()}")
    return site
