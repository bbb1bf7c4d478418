"""Which workers get connections from 64 loopback addresses, by the counters of the workers."""

import os
import signal

import pytest
from harness.memory import counters_of
from harness.raw import Client

WORKERS = 4
ADDRESSES = [f"127.0.0.{number}" for number in range(1, 65)]


def start(ringway, folder, balancing, workers=WORKERS, **sections):
    (folder / "index.html").write_text("x")
    return ringway(
        {
            "server": {"listen": "127.0.0.1:0", "threads": workers},
            "performance": {"reuseport_balancing": balancing},
            "host_routes": {"*": {"type": "File", "path": folder}},
            **sections,
        }
    )


def served_by(server, source):
    """Returns the number of the worker that serves a new connection from this address."""
    pids = [server.workers[number] for number in range(len(server.workers))]
    before = [counters_of(pid)["requests"] for pid in pids]
    with Client(server.address, source=source) as client:
        assert client.get("/").body == b"x"
    after = [counters_of(pid)["requests"] for pid in pids]
    (worker,) = (number for number in range(len(pids)) if after[number] != before[number])
    return worker


def test_cbpf_keeps_an_address_at_its_worker(ringway, tmp_path):
    server = start(ringway, tmp_path, "cbpf")
    assert not any("balancing" in line and "warning" in line for line in server.lines)
    home = {address: served_by(server, address) for address in ADDRESSES}
    for _ in range(3):
        assert {address: served_by(server, address) for address in ADDRESSES} == home
    counts = [list(home.values()).count(worker) for worker in range(WORKERS)]
    # A random distribution gives a worker fewer than 6 of 64 once in a thousand times. The program is not worse.
    assert min(counts) >= 4, counts


def test_the_kernel_spreads_even_one_address(ringway, tmp_path):
    server = start(ringway, tmp_path, "kernel")
    counts = [0] * WORKERS
    for _ in range(100):
        counts[served_by(server, "127.0.0.1")] += 1
    assert min(counts) >= 5, counts
    for address in ADDRESSES:
        counts[served_by(server, address)] += 1
    assert min(counts) >= 12, counts


@pytest.mark.parametrize("balancing", ["cbpf", "kernel"])
def test_all_at_once(ringway, tmp_path, balancing):
    """Three connections from every address, open at the same time: each is answered, and every worker has some."""
    server = start(ringway, tmp_path, balancing)
    clients = []
    try:
        for address in ADDRESSES * 3:
            clients.append(Client(server.address, source=address))
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in clients:
            assert client.response().body == b"x"
        counts = [counters_of(pid)["clients"] for pid in server.worker_pids]
    finally:
        for client in clients:
            client.close()
    assert sum(counts) == 192
    assert min(counts) >= 12, counts


def test_a_restarted_worker_takes_its_old_place(ringway, tmp_path):
    """The sockets outlive the worker, so every address still reaches the worker with the same number."""
    server = start(ringway, tmp_path, "cbpf", workers=2)
    home = {address: served_by(server, address) for address in ADDRESSES[:8]}
    server.expected.append(r"worker 0 \(pid \d+\) died: signal SIGKILL")
    os.kill(server.workers[0], signal.SIGKILL)
    server.wait_for(lambda: len(server.worker_pids) == 3, "a third worker")
    assert {address: served_by(server, address) for address in home} == home
