"""Few descriptors, little memory, one CPU, a read-only root: Ringway serves, or says what is insufficient."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.foreign import SANITIZED
from harness.memory import counters_of, resident
from harness.raw import Client

ROOMY = pytest.mark.skipif(SANITIZED, reason="no 64 MiB are enough for the address sanitizer")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="makes a namespace, or a control group, as root")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "www"
    root.mkdir()
    for number in range(300):
        (root / f"{number}.txt").write_text(f"file {number}")
    return root


def both(folder, origin):
    """Returns a configuration with files and an upstream."""
    return {"files": {"type": "File", "path": folder}, "proxied": {"type": "Proxy", "url": origin.url}}


# Descriptors


def test_few_descriptors_are_told_at_a_reload_too(ringway, folder):
    config = {"host_routes": {"*": {"type": "File", "path": folder}}}
    server = ringway(config, through=["prlimit", "--nofile=256:256"])
    server.reload({**config, "limits": {"client_connections": 30000}})
    assert sum("each worker can open only 256 files" in line for line in server.lines) == 2


def test_256_descriptors(ringway, folder, upstream):
    """Every accepted client gets a file and a response of the upstream. The others wait until there is room."""
    server = ringway({"host_routes": both(folder, upstream())}, through=["prlimit", "--nofile=256:256"])
    server.wait_line(" info starting 1 worker, each can open 256 files")
    (pid,) = server.worker_pids
    clients: list[Client] = []
    try:
        for _ in range(300):
            clients.append(server.connect())
        server.wait_line(r" warning worker 0: cannot accept connections, they wait \(Too many open files\)")
        let_in = counters_of(pid)["clients"]
        assert 128 < let_in < 200
        # More files than descriptors: they stay open only as long as there is room.
        for number, client in enumerate(clients[:let_in]):
            assert client.get(f"/{number}.txt", host="files").body == f"file {number}".encode()
            if number % 4 == 0:
                assert client.get("/", host="proxied").body == b"hello"
        for client in clients[:let_in]:
            client.close()
        for number, client in enumerate(clients[let_in:], let_in):
            assert client.get(f"/{number}.txt", host="files").status == 200
            client.close()
    finally:
        for client in clients:
            client.close()


def test_one_after_the_other_with_few_descriptors(ringway, folder, upstream):
    """What is kept for later (files, idle connections to upstreams) leaves room for the next client."""
    server = ringway({"host_routes": both(folder, upstream())}, through=["prlimit", "--nofile=64:64"])
    for number in range(300):
        with server.connect() as client:
            assert client.get(f"/{number}.txt", host="files").body == f"file {number}".encode()
            assert client.get("/", host="proxied").body == b"hello"
    assert not any("cannot be accepted" in line or "cannot accept connections" in line for line in server.lines)


# Memory


def test_what_supervisor_and_worker_take(ringway, folder):
    """64 MiB are enough for supervisor and worker, and for requests. This is the maximum without connections."""
    # A fork would have the memory of the tests.
    server = ringway({"host_routes": {"*": {"type": "File", "path": folder}}}, through=("env",))
    (pid,) = server.worker_pids
    assert private(server.process.pid) + private(pid) < 40 << 20
    assert resident(pid) < 30 << 20


def private(pid):
    """Returns the private memory in bytes: what a control group counts, without pages of files."""
    if "ASAN_OPTIONS" in os.environ:
        return 0  # freed memory, which the sanitizer keeps, and shadow memory
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty:"))


def memory_group(most):
    """Creates a control group with this memory limit, or returns the reason why there is none."""
    for base, limit in (("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
        group = Path(base) / f"ringway-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        # The kernel creates the files of a control group's folder. Without a mounted v1 controller it is a plain
        # folder.
        if (group / limit).exists():
            (group / limit).write_text(str(most))
            return group
        group.rmdir()
    return None


@ROOT
@ROOMY
def test_64_mib(ringway, folder, upstream):
    """In a control group of 64 MiB Ringway starts, says which limits exceed that, and serves."""
    group = memory_group(64 << 20)
    if group is None:
        pytest.skip("no control group for memory can be made here")
    join = ["sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"]
    try:
        server = ringway({"host_routes": both(folder, upstream())}, through=join)
        server.wait_line(r" warning 64 MiB of memory are allowed here, and 1 worker can use [0-9]+ MiB")
        for number in range(50):
            with server.connect() as client:
                assert client.get(f"/{number}.txt", host="files").status == 200
                assert client.get("/", host="proxied").body == b"hello"
        server.stop()
    finally:
        group.rmdir()


@ROOT
@ROOMY
def test_bounds_that_fit_are_no_warning(ringway, folder):
    group = memory_group(64 << 20)
    if group is None:
        pytest.skip("no control group for memory can be made here")
    join = ["sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"]
    limits = {"buffer_bytes": 8 << 20, "memory_bytes": 4 << 20}
    try:
        server = ringway({"limits": limits, "host_routes": {"*": {"type": "File", "path": folder}}}, through=join)
        assert server.warnings == []
        server.stop()
    finally:
        group.rmdir()


FEW_LOCKED = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "prlimit", "--memlock=1048576:1048576"]


@ROOT
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here")
def test_locked_memory_that_does_not_hold_the_rings_of_all_workers(ringway, folder):
    """Newer kernels count the rings. A single ring fits, so the trial succeeds, but all workers fall back to epoll."""
    config = {"server": {"threads": 4}, "host_routes": {"*": {"type": "File", "path": folder}}}
    server = ringway({**config, "performance": {"io_driver": "auto"}}, through=FEW_LOCKED)
    said = [line for line in server.lines if "I/O driver: epoll, because io_uring cannot be used here" in line]
    assert len(said) <= 1
    assert all("Cannot allocate memory; raise the memory limit (LimitMEMLOCK=" in line for line in said)
    drivers = [line for line in server.lines if re.search(r"ready on CPU .*" + ("epoll" if said else "io_uring"), line)]
    assert len(drivers) == 4
    for _ in range(20):
        with server.connect() as client:
            assert client.get("/1.txt").status == 200
    server.reload({**config, "performance": {"io_driver": "auto"}})


@ROOT
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here")
def test_locked_memory_that_does_not_hold_the_rings_that_are_a_must(ringway, folder):
    """Ringway starts, or the error says what to raise."""
    config = {"server": {"threads": 4}, "host_routes": {"*": {"type": "File", "path": folder}}}
    said = "started"
    try:
        ringway({**config, "performance": {"io_driver": "io_uring"}}, through=FEW_LOCKED)
    except AssertionError as error:
        said = str(error)
    # At the trial before the start, or in a worker: other processes of the same user share the limit.
    assert said == "started" or ("Cannot allocate memory" in said and "LimitMEMLOCK=" in said)


@pytest.mark.skipif(SANITIZED, reason="the address sanitizer needs more address space than there is")
def test_little_address_space(ringway, folder):
    """Tables cannot grow: Ringway starts, and a reload reports the error."""

    def config(clients):
        return {"limits": {"client_connections": clients}, "host_routes": {"*": {"type": "File", "path": folder}}}

    server = ringway(config(1000), through=["prlimit", f"--as={2 << 30}"])
    server.expected.append("cannot use the new configuration")
    server.rewrite(config(2000))
    done = server.command("reload")
    assert done.returncode == 1
    assert (
        "worker 0 cannot use the new configuration and keeps the old one: not enough memory for [limits]" in done.stderr
    )
    server.reload(config(900))
    with server.connect() as client:
        assert client.get("/1.txt").body == b"file 1"


# One CPU


def test_one_cpu(ringway, folder):
    """There are as many workers as CPUs, with no key in the file."""
    cpu = min(os.sched_getaffinity(0))
    server = ringway(
        {"server": {"threads": 0}, "host_routes": {"*": {"type": "File", "path": folder}}},
        through=["taskset", "--cpu-list", str(cpu)],
    )
    assert len(server.worker_pids) == 1
    with server.connect() as client:
        assert client.get("/1.txt").status == 200


# A read-only root

READ_ONLY = """
set -e
mount --make-rprivate /
mount -o remount,bind,ro /
for point in /tmp /var /run /home /root /dev/shm "$1"; do
  if mountpoint -q "$point"; then mount -o remount,bind,ro "$point"; fi
done
shift
if touch /tmp/ringway-test-can-write 2>/dev/null; then echo "/tmp can be written to" >&2; exit 9; fi
exec "$@"
"""


def read_only(folder):
    """Returns a command that executes Ringway in its own mount namespace, where nothing can be written."""
    command = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(folder)]
    done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no mount namespace can be made read-only here: {done.stderr.strip()[-200:]}")
    return command


@ROOT
@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare here")
def test_a_read_only_root(ringway, folder, certificate, upstream):
    """Ringway writes no file unless configured: shared memory uses memfds, and there is no pid file."""
    server = ringway(
        {
            "server": {"plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "host_routes": {**both(folder, upstream()), "memory": {"type": "File", "path": folder, "mode": "memory"}},
        },
        through=read_only(folder),
    )
    for tls in (False, True):
        for host in ("files", "memory"):
            with server.connect(tls=tls) as client:
                assert client.get("/1.txt", host=host).body == b"file 1"
        with server.connect(tls=tls) as client:
            assert client.get("/", host="proxied").body == b"hello"


@ROOT
@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare here")
def test_an_access_log_on_a_read_only_root(tmp_path, folder):
    file = tmp_path / "config.toml"
    file.write_text(
        f'[server]\nlisten = "127.0.0.1:0"\n[host_routes]\n"*" = {{ type = "File", path = "{folder}" }}\n'
        f'[access_log]\npath = "{tmp_path}/access.log"\n'
    )
    run = [sys.executable, "-P", "-m", "ringway", "run", "--config", str(file)]
    done = subprocess.run([*read_only(folder), *run], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f'access_log.path: "{tmp_path}/access.log" is on a read-only file system; mount' in done.stderr
