"""A compromised worker can harm its own connections, but not the supervisor or other workers."""

import contextlib
import os
import struct
import sys

import pytest
from harness.certificates import make
from harness.waiting import wait

PAGE = {"host_routes": {"*": {"type": "Redirect", "to": "/x"}}}


def memory_of(server, name):
    """Opens a descriptor of the supervisor, in order to write into memory that it shares with a worker."""
    folder = f"/proc/{server.process.pid}/fd"
    for number in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"{folder}/{number}") == f"/memfd:ringway {name} (deleted)":
                return os.open(f"{folder}/{number}", os.O_RDWR)
    raise AssertionError(f"there is no memory {name}")


@pytest.mark.parametrize("record", [0, 12, 2**32 - 8], ids=["size 0", "odd", "long"])
def test_a_worker_that_writes_no_records_is_replaced(ringway, record):
    server = ringway({**PAGE, "server": {"listen": "127.0.0.1:0", "threads": 2}})
    server.expected.append("worker 0 .* died: killed")
    ring = memory_of(server, "records 0")
    try:
        os.pwrite(ring, struct.pack("=I", record), 128)
        os.pwrite(ring, struct.pack("=Q", 80), 0)
    finally:
        os.close(ring)
    line = server.wait_line("worker 0 .* died")
    assert f"killed, because its records cannot be read: a record of {record} bytes; restarting now" in line
    server.wait_for(lambda: len(server.worker_pids) == 3, "a new worker")
    for number in range(20):
        with server.connect() as client:
            assert client.get(f"/{number}").status == 308
        assert server.record(f"/{number}")["status"] == 308


@pytest.mark.parametrize("name", ["certificates", "addresses", "snapshot"])
def test_what_workers_only_read_is_sealed(ringway, certificate, name):
    server = ringway({**PAGE, "tls": certificate})
    shared = memory_of(server, name)
    try:
        with pytest.raises(PermissionError):
            os.pwrite(shared, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(shared, 0)
    finally:
        os.close(shared)


def test_certificates_are_renewed_when_their_memory_is_full(ringway, tmp_path):
    """The size of the memory is sealed, too. When it is full, another memory replaces it."""
    (tmp_path / "sitecustomize.py").write_text(
        "from ringway.control.machine import memory\nmemory.Published._LEAST = 0\nmemory.Published._BLOCKS = 2\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    pair = make(tmp_path / "a.crt", tmp_path / "a.key", ["localhost"])
    server = ringway({**PAGE, "tls": pair}, env={"PYTHONPATH": path})
    shown = []

    def show():
        with server.connect(tls=True) as client:
            assert client.get("/").status == 308
            shown.append(client.sock.getpeercert(True))
            return len(set(shown))

    assert show() == 1
    for number in range(1, 4):
        make(tmp_path / "b.crt", tmp_path / "b.key", ["localhost"])
        (tmp_path / "b.key").rename(tmp_path / "a.key")
        (tmp_path / "b.crt").rename(tmp_path / "a.crt")
        wait(lambda number=number: show() == number + 1, "the new certificate")
