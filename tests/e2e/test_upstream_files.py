"""Files for TLS to upstreams that change at run time, and secrets that must not leak."""

import os
import re
from pathlib import Path

import pytest
from harness.authority import Authority
from harness.memory import total, wait_for_total
from harness.raw import message
from harness.upstream_tls import config, refused, to
from harness.waiting import DEADLINE, wait


def put(source, target):
    """Replaces certificate and key."""
    source[0].replace(target[0])
    source[1].replace(target[1])


def taken(server, number):
    """Waits until every worker has loaded this many blocks."""
    wait_for_total(server, "peers", lambda count: count >= number, 3 * DEADLINE)


@pytest.fixture
def shown(ringway, upstream, authority):
    """Ringway, an upstream that demands a client certificate, and the files."""
    pair = authority.issue(["old.example"], client=True)
    origin = upstream(context=authority.serves("127.0.0.1", clients=authority))
    server = ringway(config(origin.url, authority, cert_path=pair[0], key_path=pair[1]))
    return server, origin, pair


def test_a_new_client_certificate(shown, authority):
    """New connections use the new certificate, and the old connection is not reused."""
    server, origin, pair = shown
    with server.connect() as client:
        for _ in range(2):
            assert client.get().body == b"hello"
        put(authority.issue(["new.example"], client=True), pair)
        server.wait_line(
            r" info upstream 127\.0\.0\.1: new files are in use, verified as 127\.0\.0\.1 with .*, with client "
        )
        taken(server, 2)
        origin.journal.until(lambda: origin.links[0].closed, "end of the idle connection")
        for _ in range(2):
            assert client.get().body == b"hello"
    assert [link.client for link in origin.links] == ["old.example", "new.example"]
    # No session of the old identity, either.
    assert total(server, "upstream_resumed") == 0
    assert total(server, "idle_dropped") == 0


def test_a_request_under_way_ends_as_it_began(ringway, upstream, authority):
    """Its connection is not reused afterwards."""
    pair = authority.issue(["old.example"], client=True)
    origin = upstream(context=authority.serves("127.0.0.1", clients=authority))
    server = ringway(config(origin.url, authority, cert_path=pair[0], key_path=pair[1]))

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", "Content-Length: 10", body=b"half "))
        put(authority.issue(["new.example"], client=True), pair)
        taken(server, 2)
        link.send(b"whole")

    target = origin.on(serve)
    with server.connect() as client:
        assert client.get(target).body == b"half whole"
        origin.journal.until(lambda: origin.links[0].closed, "end of the connection")
        assert client.get().body == b"hello"
    assert [link.client for link in origin.links] == ["old.example", "new.example"]


def test_a_tunnel_outlives_the_files(ringway, upstream, authority):
    pair = authority.issue(["old.example"], client=True)

    def serve(link):
        link.request()
        link.send(message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket"))
        assert link.exactly(4) == b"ping"
        link.send(b"pong")
        link.to_end()
        link.close()

    origin = upstream(serve, context=authority.serves("127.0.0.1", clients=authority))
    server = ringway(config(origin.url, authority, cert_path=pair[0], key_path=pair[1]))
    with server.connect() as client:
        client.send(message("GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: websocket"))
        assert client.response_head().status == 101
        for number in range(2, 5):
            put(authority.issue([f"{number}.example"], client=True), pair)
            taken(server, number)
        client.send(b"ping")
        assert client.exactly(4) == b"pong"
        client.finish()
        assert client.to_end() == b""


def test_authorities_that_change(ringway, upstream, authority, tmp_path):
    """An upstream that is no longer trusted is rejected, whatever connection or session exists. And the reverse."""
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.path.read_bytes())
    other = Authority(tmp_path, "another")
    origin = upstream(context=authority.serves("127.0.0.1"))
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": origin.url, "ca_path": trusted}}})
    with server.connect() as client:
        assert client.get().body == b"hello"
    (tmp_path / "new").write_bytes(other.path.read_bytes())
    (tmp_path / "new").replace(trusted)
    taken(server, 2)
    refused(server, "upstream_untrusted", target="/refused")
    (tmp_path / "new").write_bytes(other.path.read_bytes() + authority.path.read_bytes())
    (tmp_path / "new").replace(trusted)
    taken(server, 3)
    with server.connect() as client:
        assert client.get().body == b"hello"


def test_what_others_have_goes_on(ringway, upstream, authority):
    """New files of one upstream do not affect connections and session of another."""
    pair = authority.issue(["old.example"], client=True)
    origin = upstream(context=authority.serves("127.0.0.1", clients=authority))
    still = upstream(context=authority.serves("127.0.0.1"))
    routes = {"a": to(origin.url, authority, cert_path=pair[0], key_path=pair[1]), "b": to(still.url, authority)}
    server = ringway({"host_routes": routes})
    with server.connect() as client:
        assert client.get(host="b").body == b"hello"
        put(authority.issue(["new.example"], client=True), pair)
        taken(server, 2)
        assert client.get(host="b").body == b"hello"
        assert client.get(host="a").body == b"hello"
    assert len(still.links) == 1
    assert [link.client for link in origin.links] == ["new.example"]


def test_bad_new_files_are_told_and_the_old_ones_stay(shown):
    server, origin, pair = shown
    with server.connect() as client:
        assert client.get().body == b"hello"
        pair[1].write_text("nonsense")
        server.wait_line(
            r' warning files for upstreams: key_path: ".*\.key" has no private key in PEM form.*stay in use'
        )
        assert client.get().body == b"hello"
    assert total(server, "peers") == 1
    assert len(origin.links) == 1


def test_what_expires_soon_is_told(ringway, upstream, authority):
    """Ringway warns at the start, in `ringway check`, and for new files. Certificates of the tests last two days."""
    pair = authority.issue(["client"], client=True)
    origin = upstream(context=authority.serves("127.0.0.1", clients=authority))
    server = ringway(config(origin.url, authority, cert_path=pair[0], key_path=pair[1]))
    soon = "expires on .* UTC, in 4[78] hours; renew it$"
    lines = [f'upstream 127.0.0.1: "{pair[0]}" {soon}']
    lines.append(rf'upstream 127.0.0.1: "{authority.path}" \(the last of its authorities\) {soon}')
    checked = server.command("check").stdout
    for line in lines:
        server.wait_line(f" warning {line}")
        assert re.search(f"warning +{line}", checked, re.M)
    put(authority.issue(["client"], client=True), pair)
    server.wait_line(" info upstream .*: new files are in use")
    wait(lambda: sum(bool(re.search(lines[0], line)) for line in server.lines) == 2, "warning of the new one")


def test_workers_read_no_file_and_are_told_no_key(ringway, upstream, authority):
    """A worker that starts when the files are gone has the newest: from memory, not from a command line or
    environment."""
    pair = authority.issue(["old.example"], client=True)
    origin = upstream(context=authority.serves("127.0.0.1", clients=authority))
    server = ringway(config(origin.url, authority, cert_path=pair[0], key_path=pair[1]))
    server.expected += [r"worker 0 \(pid \d+\) died: signal SIGKILL"]
    put(authority.issue(["new.example"], client=True), pair)
    taken(server, 2)
    pair[0].unlink()
    pair[1].unlink()
    first = server.workers[0]
    os.kill(first, 9)
    second = server.wait_for(lambda: server.workers[0] != first and server.workers[0], "a new worker")
    with server.connect() as client:
        assert client.get().body == b"hello"
    assert [link.client for link in origin.links] == ["new.example"]
    for name in ("cmdline", "environ"):
        text = Path(f"/proc/{second}/{name}").read_bytes()
        assert b"PRIVATE KEY" not in text
        assert str(pair[1]).encode() not in text


# Key logging


@pytest.mark.parametrize("kernel", [False, True])
def test_no_environment_switches_key_logging_on(ringway, upstream, authority, tmp_path, kernel):
    """Python's ssl, and some builds of OpenSSL, write secrets to the file in SSLKEYLOGFILE."""
    log = tmp_path / "keys.log"
    pair = authority.issue(["localhost"])
    origin = upstream(context=authority.serves("127.0.0.1"))
    tls = {"cert_path": pair[0], "key_path": pair[1], "ktls_enabled": kernel}
    server = ringway({"tls": tls, **config(origin.url, authority)}, env={"SSLKEYLOGFILE": str(log)})
    with server.connect(tls=True) as client:
        assert client.get().body == b"hello"
    (worker,) = server.worker_pids
    assert b"SSLKEYLOGFILE" not in Path(f"/proc/{worker}/environ").read_bytes()
    server.stop()
    assert not log.exists()


@pytest.mark.parametrize("key", ["keylog", "keylog_path", "key_log_file", "sslkeylogfile"])
def test_no_configuration_switches_key_logging_on(ringway, certificate, key):
    with pytest.raises(AssertionError, match=rf"tls\.{key}"):
        ringway({"tls": {**certificate, key: "/tmp/keys.log"}})
