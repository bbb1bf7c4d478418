"""Kernel TLS with OpenSSL, curl, wrk and Python's ssl as clients. `make test-kernel` runs this."""

import hashlib
import os
import re
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from harness import bulk
from harness.curl import curl
from harness.foreign import environment
from harness.memory import total
from harness.raw import any_certificate, message
from harness.records import HELLO, Peer, data_records, record_kinds
from harness.waiting import DEADLINE, PATIENCE

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSION = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["tls1.2", "tls1.3"])
CIPHERS = [
    ("1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", "AES128-GCM"),
    ("1.2", "ECDHE-ECDSA-AES256-GCM-SHA384", "AES256-GCM"),
    ("1.2", "ECDHE-ECDSA-CHACHA20-POLY1305", "CHACHA20-POLY1305"),
    ("1.3", "TLS_AES_128_GCM_SHA256", "AES128-GCM"),
    ("1.3", "TLS_AES_256_GCM_SHA384", "AES256-GCM"),
    ("1.3", "TLS_CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
]
GET = message("GET /small HTTP/1.1", "Host: a")
BYE = message("GET /small HTTP/1.1", "Host: a", "Connection: close")
TEXT = b"a file\n"


def asked(server, host, path, *options, **more):
    port = server.listener(tls=True).port
    return curl(f"https://{host}:{port}{path}", "--resolve", f"{host}:{port}:127.0.0.1", *options, seconds=100, **more)


# Every version and cipher


@pytest.mark.parametrize(("version", "suite", "cipher"), CIPHERS, ids=[f"{v}-{c}" for v, _, c in CIPHERS])
def test_every_version_and_cipher(server, statistics, version, suite, cipher):
    """curl: a small and a large file, a copy in memory, a proxied body, all encrypted by the kernel."""
    options = ["--tls-max", version, "--ciphers", suite] if version == "1.2" else ["--tls13-ciphers", suite]
    target = f"/large?{version}-{cipher}"
    got = asked(server, "a", target, *options)
    assert (got.status, got.sha256) == (200, bulk.checksum(4_000_000)), got.error
    assert asked(server, "memory", "/large", *options).sha256 == bulk.checksum(4_000_000)
    assert asked(server, "proxied", "/chunked/1000000", *options).sha256 == bulk.checksum(1_000_000)
    assert asked(server, "a", "/small", *options).body == TEXT
    record = server.record(target)
    assert record["tls"] == f"{version}/{cipher}"
    assert record["ktls"] == ("send+receive" if server.directions == "both" else "send")
    assert statistics["TlsTxSw"] == 4
    assert statistics["TlsRxSw"] == (4 if server.directions == "both" else 0)


@pytest.mark.parametrize("path", ["/length/3000000", "/chunked/3000000", "/close/3000000"])
@VERSION
def test_proxied_bodies_down(server, statistics, path, version):
    got = asked(server, "proxied", path, *(["--tls-max", "1.2"] if version == TLS12 else []))
    assert (got.status, got.sha256, got.code) == (200, bulk.checksum(3_000_000), 0), got.error


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@VERSION
def test_bodies_up(server, statistics, tmp_path, chunked, version):
    size = 3_000_000
    options = ["--tls-max", "1.2"] if version == TLS12 else []
    if chunked:
        got = asked(server, "proxied", "/up", *options, upload=lambda out: [out.write(p) for p in bulk.pieces(size)])
    else:
        file = bulk.write_file(tmp_path / "body", size)
        got = asked(server, "proxied", "/up", *options, "--upload-file", str(file))
    assert got.status == 200, got.error
    assert bulk.checksum(size).encode() in got.body


@pytest.mark.parametrize("count", [1, 10, 200])
@VERSION
def test_pipelined(server, statistics, count, version):
    context = any_certificate()
    context.minimum_version = context.maximum_version = version
    with server.connect(tls=True, context=context) as client:
        for _ in range(2):
            client.send(GET * count)
            for _ in range(count):
                assert client.response().body == TEXT


# Files that never reach user space


def test_no_byte_of_a_file_enters_user_space(both, statistics):
    """By the worker's counter, and by strace."""
    pid = both.workers[0]
    before = total(both, "sendfile_bytes")
    with subprocess.Popen(
        ["strace", "-f", "-p", str(pid), "-e", "trace=sendfile,read,pread64,preadv2,readv,mmap"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as traced:
        try:
            assert traced.stderr is not None
            assert "attached" in traced.stderr.readline()
            got = asked(both, "a", "/large")
        finally:
            traced.terminate()
            lines = traced.stderr.read().splitlines()
    assert got.sha256 == bulk.checksum(4_000_000)
    assert total(both, "sendfile_bytes") - before == 4_000_000
    sent = [int(found[1]) for line in lines if "sendfile(" in line and (found := re.search(r"= (\d+)$", line))]
    assert sum(sent) == 4_000_000
    # The worker reads the last byte to check whether the file is in the page cache. It reads nothing else.
    read = [
        int(found[1])
        for line in lines
        if re.search(r"(read|pread64|preadv2|readv)\(", line) and (found := re.search(r"= (\d+)$", line))
    ]
    assert sum(read) < 100, lines


# Data that was read before the kernel took over


@pytest.mark.parametrize("pieces", [0, 1, 7], ids=["one segment", "octets", "sevens"])
@pytest.mark.parametrize("requests", [1, 3])
def test_requests_that_came_with_the_end_of_the_handshake(server, statistics, tmp_path, pieces, requests):
    """Records after the client's Finished that are already read when the keys are handed over: counted, and not
    lost."""
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        flight = peer.handshake(hold=True)
        flight += b"".join(peer.seal(GET) for _ in range(requests))
        peer.raw(flight, pieces)
        for _ in range(requests):
            assert peer.response() == TEXT
        for _ in range(3):
            peer.raw(peer.seal(GET))
            assert peer.response() == TEXT
        peer.raw(peer.seal(BYE))
        assert peer.response() == TEXT
        assert peer.receive() == b""
        assert peer.ended == "close_notify"


@pytest.mark.parametrize("part", [1, 4, 5, 6, 30, -1])
def test_half_a_record_came_with_the_end_of_the_handshake(server, statistics, tmp_path, part):
    """The other half of a record comes later. Until then the direction stays with OpenSSL, and is handed over after
    that record."""
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        flight = peer.handshake(hold=True)
        record = peer.seal(GET)
        peer.raw(flight + record[:part])
        server.read_all()
        peer.raw(record[part:])
        assert peer.response() == TEXT
        for _ in range(2):
            peer.raw(peer.seal(GET))
            assert peer.response() == TEXT
        peer.raw(peer.seal(message("GET /small?last HTTP/1.1", "Host: a", "Connection: close")))
        assert peer.response() == TEXT
    assert server.record("/small?last")["ktls"] == ("send+receive" if server.directions == "both" else "send")


def test_the_request_is_half_a_head(server, statistics, tmp_path):
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        flight = peer.handshake(hold=True)
        peer.raw(flight + peer.seal(GET[:10]))
        server.read_all()
        for octet in GET[10:]:
            peer.raw(peer.seal(bytes([octet])))
        assert peer.response() == TEXT


# The end, and the record number before it


@VERSION
def test_close_notify_is_a_record_of_its_own(server, statistics, tmp_path, version):
    with Peer(server.listener(tls=True).address, tmp_path, version) as peer:
        peer.handshake()
        peer.raw(peer.seal(BYE))
        assert peer.response() == TEXT
        assert peer.receive() == b""
        assert peer.ended == "close_notify"


@pytest.mark.parametrize(("host", "target"), [("a", "/large"), ("proxied", "/length/4000000")], ids=["file", "proxied"])
@VERSION
def test_a_slow_reader_gets_all_of_it_and_the_end(server, statistics, tmp_path, version, host, target):
    """The socket is full when the last byte is handed over. The close does not lose what the kernel still holds."""
    with Peer(server.listener(tls=True).address, tmp_path, version, window=4096) as peer:
        peer.handshake()
        peer.raw(peer.seal(message(f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close")))
        server.read_all()  # by now the socket is full
        assert hashlib.sha256(peer.response()).hexdigest() == bulk.checksum(4_000_000)
        assert peer.receive() == b""
        assert peer.ended == "close_notify"


@VERSION
@pytest.mark.parametrize("sent", [b"", GET, BYE], ids=["idle", "a request", "the last request"])
def test_the_client_ends_first(server, statistics, tmp_path, version, sent):
    """close_notify and FIN, alone and right after a request, which still gets its response."""
    target = f"/small?{version.name}-{len(sent)}"
    with Peer(server.listener(tls=True).address, tmp_path, version) as peer:
        peer.handshake()
        peer.ticket()
        request = sent.replace(b"/small", target.encode())
        peer.raw((peer.seal(request) if sent else b"") + peer.goodbye())
        peer.finish()
        # Python's ssl does not read after it has sent close_notify, so the log shows the response.
        came = data_records(peer.rest())
    if sent:
        record = server.record(target)
        assert (record["status"], record["reason"], record["bytes"]) == (200, None, len(TEXT))
        assert sum(came) > len(TEXT)
    else:
        assert came == []


def test_half_close(server, statistics, tmp_path):
    """FIN right after the request: the response still arrives."""
    for data in (GET, BYE):
        with Peer(server.listener(tls=True).address, tmp_path) as peer:
            peer.handshake()
            peer.raw(peer.seal(data))
            peer.finish()
            assert peer.response() == TEXT
            peer.rest()
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        peer.raw(peer.handshake(hold=True) + peer.seal(GET))
        peer.finish()
        assert peer.response() == TEXT
        peer.rest()


# Records without data


ALERTS = {40: "fatal", 80: "fatal", 90: "user_canceled", 0: "close_notify"}


@pytest.mark.parametrize("description", ALERTS, ids=list(ALERTS.values()))
def test_alerts(server, statistics, tmp_path, description):
    """RFC 8446 6: close_notify and fatal alerts end the connection; user_canceled alone does not."""
    before = total(server, "ktls_alerts")
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        peer.handshake()
        peer.raw(peer.seal(GET))
        assert peer.response() == TEXT
        peer.raw(peer.craft(21, bytes([2, description])))
        if description == 90:
            peer.raw(peer.craft(23, GET))
            assert peer.response() == TEXT
            peer.raw(peer.craft(21, bytes([1, 0])))
        rest = peer.receive()
        assert rest == b""
        assert peer.ended in (("close_notify",) if description in (0, 90) else ("eof", "reset", "close_notify"))
    if server.directions == "both":
        assert total(server, "ktls_alerts") - before == (2 if description == 90 else 1)


@pytest.mark.parametrize(
    ("kind", "payload", "alert"),
    [
        (22, bytes([1, 0, 0, 0]), "unexpected_message"),
        (22, bytes([24, 0, 0, 2, 0, 0]), "unexpected_message|decode_error|illegal_parameter"),  # the last: OpenSSL 3.0
        (22, bytes([24, 0, 0, 1, 2]), "illegal_parameter"),
        (25, b"x", "unexpected_message"),
        (20, b"\1", "unexpected_message"),
    ],
    ids=["handshake", "long key update", "wrong key update", "unknown", "change cipher spec"],
)
def test_what_has_no_business_there(server, statistics, tmp_path, kind, payload, alert):
    """RFC 8446 5, 4.6: rejected with the right alert, whether or not the kernel also receives."""
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        peer.handshake()
        peer.raw(peer.seal(GET))
        assert peer.response() == TEXT
        peer.raw(peer.craft(kind, payload))
        peer.receive()
        assert re.search(alert, peer.ended), peer.ended


BROKEN = b"\x17\x03\x03\x00\x20" + b"x" * 32


@VERSION
@pytest.mark.parametrize("more", [b"", b"x" * 100_000], ids=["alone", "and more"])
def test_a_record_that_was_tampered_with(server, statistics, tmp_path, version, more):
    """RFC 8446 5.2: bad_record_mac. The kernel sends the alert, even if OpenSSL reads the record."""
    statistics.expected_errors = 1 if server.directions == "both" else 0
    with Peer(server.listener(tls=True).address, tmp_path, version) as peer:
        peer.handshake()
        peer.raw(peer.seal(GET))
        assert peer.response() == TEXT
        peer.raw(BROKEN + (more if server.directions == "send" else b""))
        assert peer.receive() == b""
        assert "bad_record_mac" in peer.ended
        if server.directions == "send":
            peer.raw(b"x")  # the connection ends with FIN, whatever follows the record
            assert peer.rest() == b""


@VERSION
def test_a_broken_record_in_the_middle_of_a_response(server, statistics, tmp_path, version):
    """The socket is full when the record arrives. If OpenSSL reads, its alert follows the data that was sent before. If
    the kernel reads, a reset aborts the response."""
    statistics.expected_errors = 1 if server.directions == "both" else 0
    with Peer(server.listener(tls=True).address, tmp_path, version, window=4096) as peer:
        peer.handshake()
        peer.raw(peer.seal(message("GET /large HTTP/1.1", "Host: a")))
        assert peer.receive(1000)
        peer.raw(BROKEN)
        peer.receive()
        assert "bad_record_mac" in peer.ended or (server.directions == "both" and peer.ended == "reset")


def test_a_record_that_is_too_long(server, statistics, tmp_path):
    """RFC 8446 5.2: record_overflow."""
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        peer.handshake()
        peer.raw(peer.seal(GET))
        assert peer.response() == TEXT
        peer.raw(b"\x17\x03\x03\xff\xff" + b"x" * 1000)
        peer.receive()
        assert "record_overflow" in peer.ended


def test_renegotiation(server, statistics, tmp_path):
    """RFC 5746 4.5: a warning, and the connection continues."""
    with Peer(server.listener(tls=True).address, tmp_path, TLS12) as peer:
        peer.handshake()
        peer.raw(peer.seal(GET))
        assert peer.response() == TEXT
        peer.raw(peer.craft_12(22, HELLO) + peer.craft_12(23, BYE))
        assert record_kinds(peer.rest()) == [21, 23, 21]  # the warning, the response, close_notify


@VERSION
def test_alerts_before_the_kernel_sends(ringway, settings_with, statistics, tmp_path, version):
    """`ktls_after`: the kernel reads, and OpenSSL still sends."""
    statistics.expected_errors = 1
    server = ringway(settings_with(ktls_after=1_000_000))
    with Peer(server.listener(tls=True).address, tmp_path, version) as peer:
        peer.handshake()
        peer.raw(peer.seal(GET))
        assert peer.response() == TEXT
        assert total(server, "ktls_send") == 0
        peer.raw(BROKEN)
        assert peer.receive() == b""
        assert "bad_record_mac" in peer.ended


# Connections that are aborted


def steps():
    return ["connected", "half a hello", "hello", "half of finished", "finished", "half a request", "request", "answer"]


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("step", steps())
def test_killed_at_every_step(server, statistics, tmp_path, step, how):
    for _ in range(5):
        with Peer(server.listener(tls=True).address, tmp_path, window=4096) as peer:
            at = steps().index(step)
            if at == 1:
                peer.raw(peer.hello()[:100])
            elif at == 2:
                peer.raw(peer.hello())
            elif at > 2:
                flight = peer.handshake(hold=True)
                peer.raw(flight[: len(flight) // 2] if at == 3 else flight)
            if at > 4:
                record = peer.seal(message("GET /large HTTP/1.1", "Host: a"))
                peer.raw(record[: len(record) // 2] if at == 5 else record)
            if at > 6:
                assert peer.receive(5000)
            if how == "reset":
                peer.reset()
    with server.connect(tls=True) as other:
        assert other.get("/small").body == TEXT


def test_thousands_of_short_connections(server, statistics):
    """wrk, with a handshake for each request. No request fails, and the kernel took over each connection."""
    before = total(server, "ktls_send")
    port = server.listener(tls=True).port
    done = subprocess.run(
        [
            "wrk",
            "-t2",
            "-c20",
            f"-d{15 if PATIENCE > 2 else 3}s",
            "-H",
            "Connection: close",
            "--timeout",
            "60s",
            f"https://127.0.0.1:{port}/small",
        ],
        capture_output=True,
        text=True,
        timeout=200,
        env=environment(),
        check=True,
    )
    assert "Non-2xx" not in done.stdout
    assert "Socket errors" not in done.stdout or re.search(r"connect 0, read 0, write 0", done.stdout), done.stdout
    served = int(re.search(r"(\d+) requests in", done.stdout)[1])
    assert served > 50  # the number depends on the machine
    assert total(server, "ktls_send") - before >= served


# Settings


def test_the_kernel_takes_over_after_so_many_bytes(ringway, settings_with, statistics, tmp_path):
    """`ktls_after`: up to that point OpenSSL encrypts, and the kernel continues with the next record number."""
    server = ringway(settings_with(ktls_after=1_000_000))
    with server.connect(tls=True) as client:
        for _ in range(3):
            assert client.get("/small").body == TEXT
        assert total(server, "ktls_send") == 0
        assert total(server, "ktls_receive") == 1
        for _ in range(3):
            assert hashlib.sha256(client.get("/large").body).hexdigest() == bulk.checksum(4_000_000)
        assert total(server, "ktls_send") == 1
        for _ in range(3):
            assert client.get("/small").body == TEXT
    assert server.record("/large")["ktls"] == "send+receive"


@pytest.mark.parametrize("fallback", [True, False], ids=["fallback", "must"])
def test_a_cipher_that_the_kernel_does_not_know(ringway, settings_with, statistics, fallback):
    """With a fallback, OpenSSL serves the connection. Without one, Ringway rejects it and logs the reason."""
    path = os.pathsep.join([str(Path(__file__).parent / "less"), os.environ.get("PYTHONPATH", "")])
    server = ringway(settings_with(ktls_fallback_enabled=fallback), env={"PYTHONPATH": path})
    context = any_certificate()
    context.minimum_version = context.maximum_version = TLS12
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with server.connect(tls=True, context=context) as client:
        assert client.get("/small?128").body == TEXT
    assert server.record("/small?128")["ktls"] == "send+receive"
    context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    if fallback:
        with server.connect(tls=True, context=context) as client:
            assert client.get("/small?256").body == TEXT
        assert server.record("/small?256")["ktls"] is None
        assert total(server, "ktls_fallback_cipher") == 1
    else:
        with pytest.raises((OSError, AssertionError)), server.connect(tls=True, context=context) as client:
            client.get("/small")
        server.wait_line("kernel TLS is required, and the kernel does not support ECDHE-ECDSA-AES256-GCM-SHA384")
        assert total(server, "ktls_refused") == 1


def test_memory_of_openssl_is_given_back(both, statistics):
    """The gauge `tls` counts connections of OpenSSL, and none that the kernel has in both directions."""
    end = time.monotonic() + DEADLINE
    while total(both, "tls"):  # connections that earlier tests aborted
        assert time.monotonic() < end
        with both.connect(tls=True) as client:
            assert client.get("/small").body == TEXT
    clients = [both.connect(tls=True) for _ in range(20)]
    try:
        for client in clients:
            assert client.get("/small").body == TEXT
        assert total(both, "tls") == 0
        assert total(both, "clients") >= 20
    finally:
        for client in clients:
            client.close()


def test_a_slow_writer(server, statistics):
    """A body that arrives slowly in records of one byte, and one that arrives fast."""
    with server.connect(tls=True) as client:
        client.send(message("POST /up HTTP/1.1", "Host: proxied", "Content-Length: 300"))
        client.send_pieces(b"x" * 300, 1)
        assert client.response().status == 200


def test_many_at_once(server, statistics):
    """Eight clients at a time with large bodies in both directions, all checked."""
    faults = []

    def work(number):
        try:
            with server.connect(tls=True) as client:
                for _ in range(3):
                    got = client.get("/large", host="memory" if number % 2 else "a")
                    assert hashlib.sha256(got.body).hexdigest() == bulk.checksum(4_000_000)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
