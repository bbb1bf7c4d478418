"""Kernel TLS: the client or Ringway changes keys (RFC 8446 4.6.3), in the kernel or before it takes over."""

import hashlib
import os
import select
import subprocess
import time

import pytest
from harness import bulk
from harness.foreign import environment
from harness.memory import total
from harness.raw import message
from harness.records import Peer
from harness.waiting import DEADLINE

from ringway.control.machine import kernel_tls

REKEYS = pytest.mark.skipif(not kernel_tls.found().rekeys, reason="this kernel takes no second key (KERNEL=new)")
GET = message("GET /small HTTP/1.1", "Host: a")
TEXT = b"a file\n"


@pytest.mark.parametrize("key", [b"k", b"K"], ids=["update", "update and ask for one"])
def test_key_update(server, statistics, key):
    """RFC 8446 4.6.3, with `openssl s_client`. If the kernel accepts no second key, Ringway closes the connection with
    a reason. If the kernel only sends, OpenSSL handles updates that do not ask for one in return."""
    before = total(server, "ktls_key_updates")
    by_openssl = server.directions == "send" and key == b"k"
    with subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.listener(tls=True).port}", "-tls1_3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
    ) as client:
        try:
            ask(client, GET)
            read_until(client.stdout, TEXT)
            ask(client, key + b"\n")
            read_until(client.stdout, b"KEYUPDATE")
            if by_openssl or kernel_tls.found().rekeys:
                for _ in range(2):
                    ask(client, GET)
                    read_until(client.stdout, TEXT)
            else:
                client.wait(DEADLINE)
                server.wait_line("its client changed keys")
            assert total(server, "ktls_key_updates") == before + (not by_openssl)
        finally:
            client.terminate()


@REKEYS
@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
def test_new_keys_again_and_again(server, statistics, suite):
    """Each cipher: new keys of the client only, and of both sides."""
    with subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.listener(tls=True).port}", "-ciphersuites", suite],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
    ) as client:
        try:
            for key in b"kKkKK":
                ask(client, GET)
                read_until(client.stdout, TEXT)
                ask(client, bytes([key]) + b"\n")
                read_until(client.stdout, b"KEYUPDATE")
            ask(client, GET)
            read_until(client.stdout, TEXT)
        finally:
            client.terminate()
    if server.directions == "both":
        assert statistics["TlsRxRekeyOk"] == 5
    assert statistics["TlsTxRekeyOk"] == 3


@REKEYS
def test_new_keys_in_one_segment_with_requests(server, statistics, tmp_path):
    """Data after a KeyUpdate uses the new keys. Several requests for an update get one answer or more."""
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        peer.handshake()
        peer.raw(b"".join(part for n in range(6) for part in (peer.craft(23, GET), peer.update(asked=n % 2 == 1))))
        for _ in range(6):
            assert peer.response() == TEXT
        peer.raw(peer.craft(23, GET))
        assert peer.response() == TEXT
    if server.directions == "both":
        assert statistics["TlsRxRekeyOk"] == 6
    assert 1 <= statistics["TlsTxRekeyOk"] <= 3


@REKEYS
@pytest.mark.parametrize(("host", "target"), [("a", "/large"), ("proxied", "/length/4000000")], ids=["file", "proxied"])
def test_new_keys_in_the_middle_of_a_response(server, statistics, tmp_path, host, target):
    """The socket is full when the client requests new keys. Sending changes keys between two records, and nothing is
    lost."""
    with Peer(server.listener(tls=True).address, tmp_path, window=4096) as peer:
        peer.handshake()
        peer.raw(peer.craft(23, message(f"GET {target} HTTP/1.1", f"Host: {host}")))
        server.read_all()  # by now the socket is full
        peer.raw(peer.update(asked=True) + peer.craft(23, GET))
        server.read_all()
        assert hashlib.sha256(peer.response()).hexdigest() == bulk.checksum(4_000_000)
        assert peer.response() == TEXT
    assert statistics["TlsTxRekeyOk"] == 1


@pytest.mark.parametrize("asked", [False, True], ids=["update", "update and ask for one"])
@pytest.mark.parametrize("directions", ["send", pytest.param("both", marks=REKEYS)])
def test_new_keys_before_the_kernel_sends(ringway, settings_with, statistics, tmp_path, directions, asked):
    """OpenSSL changes keys, and the kernel gets the newest ones."""
    server = ringway(settings_with(ktls_after=1_000_000, ktls_directions=directions))
    with Peer(server.listener(tls=True).address, tmp_path) as peer:
        peer.handshake()
        for _ in range(2):
            peer.raw(peer.craft(23, GET) + peer.update(asked))
            assert peer.response() == TEXT
        assert total(server, "ktls_send") == 0
        for _ in range(2):
            peer.raw(peer.craft(23, message("GET /large HTTP/1.1", "Host: a")))
            assert hashlib.sha256(peer.response()).hexdigest() == bulk.checksum(4_000_000)
        assert total(server, "ktls_send") == 1


def ask(client, data):
    client.stdin.write(data)
    client.stdin.flush()


def read_until(stream, text):
    found = b""
    end = time.monotonic() + DEADLINE
    while text not in found:
        ready, _, _ = select.select([stream], [], [], max(0.0, end - time.monotonic()))
        assert ready, found
        data = os.read(stream.fileno(), 65536)
        assert data, found
        found += data
    return found
