"""A few clients cannot use up shared resources: others are still served."""

import contextlib
import select
import ssl
import struct
import time

import pytest
from harness.memory import total, wait_for_total
from harness.raw import Ended, message
from harness.records import HELLO, Peer
from harness.server import DRIVER
from harness.waiting import DEADLINE, PATIENCE


def files(folder, certificate, **more):
    (folder / "a").write_bytes(b"x")
    return {
        "server": {"listen": "127.0.0.1:0", "plain_listen": "127.0.0.1:0"},
        "tls": certificate,
        "host_routes": {"*": {"type": "File", "path": folder}},
        **more,
    }


def ask(server, target, source):
    with server.connect(source=source) as client:
        client.send(message(f"GET {target} HTTP/1.1", "Host: a", "Connection: close"))
        return client.response()


FOR_EVER = {"head": 3600, "write": 3600, "body": 3600, "first_byte": 3600, "upstream": 3600}
FEW = {"buffer_bytes": 1048576, "body_buffer_bytes": 16384, "head_bytes": 8192}


# Incomplete heads


def test_half_heads_give_way(ringway, certificate, tmp_path):
    """Each address holds a buffer. When all buffers are taken and a client waits, the oldest are answered,
    before the `head` timeout."""
    server = ringway(files(tmp_path, certificate, limits=FEW, timeouts=FOR_EVER))
    clients = [server.connect(source=f"127.0.1.{1 + number}") for number in range(80)]
    for client in clients:
        client.send(b"G")
    wait_for_total(server, "no_buffers", lambda count: count > 0)
    assert ask(server, "/a", "127.0.0.99").body == b"x"
    assert total(server, "gave_way") > 0
    ready = select.select([client.sock for client in clients], [], [], DEADLINE)[0]
    answers = [client.response() for client in clients if client.sock in ready]
    assert {(one.status, one.reason) for one in answers} == {(408, "client_too_slow")}
    for client in clients:
        client.close()


# Responses that are not read


def endless(link):
    """/endless never ends. Other targets get a response of 100 bytes or a megabyte. Ringway may take its time: as long
    as the test runs."""
    target = link.head().target
    size = {"/endless": 1 << 40, "/large": 1 << 20}.get(target, 100)
    link.send(message("HTTP/1.1 200 OK", f"Content-Length: {size}"))
    for _ in range(0, size, 65536):
        link.send(b"x" * min(size, 65536), 3600)


def stopped(server, count, source="127.0.0.1"):
    """Opens clients that request /endless and read only the head."""
    clients = [server.connect(source=source, window=4096) for _ in range(count)]
    for client in clients:
        client.send(message("GET /endless HTTP/1.1", "Host: a"))
    return clients


def stand_still(server):
    """Waits until nobody takes anything any more, and some wait for buffers."""
    seen = []

    def moved(count):
        seen.append(count)
        return len(seen) > 300 and seen[-1] == seen[-300] and total(server, "no_buffers") > 0

    wait_for_total(server, "client_bytes_out", moved)


def proxied(origin, **more):
    routes = {"*": {"type": "Proxy", "url": origin.url}, "to": {"type": "Redirect", "to": "http://a"}}
    return {"host_routes": routes, "limits": FEW, **more}


def test_who_does_not_read_gives_way(ringway, upstream):
    """Eighty addresses, within their shares, hold all large buffers and the small ones that stand in for them, for the
    whole `write` timeout. Another client is still served."""
    origin = upstream(endless)
    server = ringway(proxied(origin, timeouts=FOR_EVER))
    clients = [client for number in range(80) for client in stopped(server, 1, f"127.0.1.{1 + number}")]
    wait_for_total(server, "no_buffers", lambda count: count > 0)
    assert len(ask(server, "/short", "127.0.0.99").body) == 100
    assert len(ask(server, "/large", "127.0.0.99").body) == 1 << 20
    for client in clients:
        client.reset()


def test_an_answer_that_waits_for_our_buffers_is_not_the_upstreams_fault(ringway, upstream):
    """Clients of one address hold their share. The responses of the others are cut after the `upstream` timeout."""
    origin = upstream(endless)
    server = ringway(proxied(origin, timeouts={**FOR_EVER, "upstream": 3 * PATIENCE}))
    clients = stopped(server, 120)
    # On a loaded machine a thread of the upstream can be late, too: then that one has another reason.
    assert server.record("/endless", reason="out_of_memory")["status"] == 200
    for client in clients:
        client.reset()


def test_heads_that_fit_need_no_large_buffer(ringway, upstream):
    """No large buffer is free. Three pipelined heads arrive in small ones: the second begins in one and ends in the
    next, which has a part of the third."""
    origin = upstream(endless)
    server = ringway(proxied(origin, timeouts=FOR_EVER))
    clients = [client for number in range(80) for client in stopped(server, 1, f"127.0.1.{1 + number}")]
    stand_still(server)
    with server.connect(source="127.0.0.99") as client:
        client.send(message("GET / HTTP/1.1", "Host: to", "X: " + "y" * 2900) * 3)
        assert [client.response().status for _ in range(3)] == [308] * 3
    for client in clients:
        client.reset()


# Shares of addresses


def test_an_address_that_takes_all_leaves_some_to_others(ringway, upstream):
    """Without a share, clients would have to give way for each large response."""
    origin = upstream(endless)
    server = ringway(proxied(origin, timeouts=FOR_EVER))
    clients = stopped(server, 60)
    wait_for_total(server, "no_buffers", lambda count: count > 0)
    for _ in range(20):
        assert len(ask(server, "/short", "127.0.0.2").body) == 100
        assert len(ask(server, "/large", "127.0.0.2").body) == 1 << 20
    assert total(server, "gave_way") < 20
    for client in clients:
        client.reset()


def test_an_address_that_waits_for_its_answers_leaves_some_to_others(ringway, upstream):
    """Its clients are late with nothing, so they never give way. They hold parts of their next requests, up to
    `pipeline_bytes`: then no receive is in flight that counts as well."""

    def silent(link):
        if link.head().target == "/short":
            link.send(message("HTTP/1.1 200 OK", "Content-Length: 100", "Connection: close") + b"x" * 100)
        link.to_end(3600)

    origin = upstream(silent)
    server = ringway(proxied(origin, timeouts=FOR_EVER))
    waiting = [server.connect() for _ in range(24)]
    for number, client in enumerate(waiting):
        client.send(message(f"GET /{number} HTTP/1.1", "Host: a") + b"x" * 24000)
        if number < 6:
            origin.request(f"/{number}")
    wait_for_total(server, "no_buffers", lambda count: count > 0)
    for _ in range(50):  # turns of the loop, in which they would take more
        assert len(ask(server, "/short", "127.0.0.2").body) == 100
    assert total(server, "gave_way") == 0
    for client in waiting:
        client.reset()


def test_who_waits_is_not_tried_again_and_again(ringway, upstream):
    """Another client has hundreds of requests served meanwhile, each in a turn of the loop."""
    origin = upstream(endless)
    server = ringway(proxied(origin, timeouts=FOR_EVER))
    clients = stopped(server, 150)
    wait_for_total(server, "no_buffers", lambda count: count >= 100)
    before = total(server, "no_buffers")
    with server.connect(source="127.0.0.2") as client:
        for _ in range(200):
            assert client.get("/", host="to").status == 308
    assert total(server, "no_buffers") - before < 2000
    for client in clients:
        client.reset()


def test_a_buffer_that_comes_free_goes_to_one_that_waits(ringway, upstream):
    """If all of them tried, all but one would be refused and wait again."""
    origin = upstream(endless)
    server = ringway(proxied(origin, timeouts=FOR_EVER))
    clients = [client for number in range(150) for client in stopped(server, 1, f"127.0.1.{1 + number}")]
    stand_still(server)
    before = {name: total(server, name) for name in ("no_buffers", "client_bytes_out")}
    for client in clients[:10]:
        client.reset()
    stand_still(server)
    # A piece that went out made room for one that waits. Its stream then waits again. No piece is smaller than this.
    pieces = (total(server, "client_bytes_out") - before["client_bytes_out"]) // 4096
    assert total(server, "no_buffers") - before["no_buffers"] < pieces
    for client in clients[10:]:
        client.reset()


# Places for connections


def test_an_address_with_most_connections_makes_room_for_others(ringway, certificate, tmp_path):
    server = ringway(files(tmp_path, certificate, limits={"client_connections": 4}))
    idle = [server.connect() for _ in range(4)]
    for client in idle:
        assert client.get("/a").body == b"x"
    with pytest.raises((Ended, ConnectionError)):
        ask(server, "/a", "127.0.0.1")
    assert total(server, "gave_way") == 0
    assert ask(server, "/a", "127.0.0.99").body == b"x"
    assert total(server, "gave_way") > 0
    for client in idle:
        client.close()


def test_no_address_has_most_connections(ringway, certificate, tmp_path):
    """No address has more than half of all connections, so none is evicted. A new client is rejected."""
    server = ringway(files(tmp_path, certificate, limits={"client_connections": 4}))
    idle = [server.connect(source=f"127.0.0.{2 + number // 2}") for number in range(4)]
    for client in idle:
        assert client.get("/a").body == b"x"
    with pytest.raises((Ended, ConnectionError)):
        ask(server, "/a", "127.0.0.99")
    for client in idle:
        assert client.get("/a").body == b"x"
        client.close()


# Requests while buffers are scarce


@pytest.mark.skipif(
    DRIVER == "epoll", reason="it takes no buffer that it does not receive into: heads wait in the socket"
)
def test_a_request_waits_while_buffers_are_scarce(ringway, upstream):
    """A received head is not handled until there are buffers for its response. Otherwise nothing would move."""

    def silent(link):
        link.head()
        link.to_end(3600)

    origin = upstream(silent)
    server = ringway(proxied(origin, performance={"io_driver": "io_uring"}, timeouts=FOR_EVER))
    waiting = [server.connect() for _ in range(4)]
    for number, client in enumerate(waiting):
        client.send(message(f"GET /{number} HTTP/1.1", "Host: a"))
        origin.request(f"/{number}")
        client.send(b"x" * 16000)  # of a next request: four of the 64 buffers
    wait_for_total(server, "buffers", lambda count: count >= 16)
    assert total(server, "no_buffers") == 0
    with server.connect() as client:
        client.send(message("TRACE / HTTP/1.1", "Host: a"))
        assert client.response().status == 405
    assert total(server, "no_buffers") > 0
    for client in waiting:
        client.reset()


# OpenSSL's own output


def kinds_of(peer: Peer, last: int, count: int) -> list[int]:
    """Returns the types of received records, up to the `count`-th record of type `last`."""
    found: list[int] = []
    data = b""
    while found.count(last) < count:
        more = peer.sock.recv(65536)
        assert more, f"it ended after {found}"
        data += more
        while len(data) >= 5 and len(data) >= 5 + struct.unpack("!H", data[3:5])[0]:
            found.append(data[0])
            data = data[5 + struct.unpack("!H", data[3:5])[0] :]
    return found


@pytest.mark.parametrize("reads", [False, True], ids=["silent", "reads"])
def test_answers_to_renegotiation_are_bounded(ringway, certificate, tmp_path, reads):
    """Each attempt is answered with an alert of 31 bytes. After some hundred without a request, the connection ends."""
    server = ringway(files(tmp_path, certificate))
    with Peer(server.listener(tls=True).address, tmp_path, ssl.TLSVersion.TLSv1_2, window=2048) as peer:
        peer.handshake()
        try:
            for _ in range(200):
                peer.raw(peer.craft_12(22, HELLO))
                if reads:
                    kinds_of(peer, 21, 1)
        except (ConnectionError, AssertionError):
            return  # the connection has ended
        alerts = peer.rest()
        assert len(alerts) < 200 * 31


def test_some_renegotiations_between_requests_are_refused_and_no_more(ringway, certificate, tmp_path):
    server = ringway(files(tmp_path, certificate))
    with Peer(server.listener(tls=True).address, tmp_path, ssl.TLSVersion.TLSv1_2) as peer:
        peer.handshake()
        for _ in range(3):
            peer.raw(b"".join(peer.craft_12(22, HELLO) for _ in range(60)))
            assert kinds_of(peer, 21, 60).count(21) == 60
            peer.raw(peer.craft_12(23, b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n"))
            assert kinds_of(peer, 23, 1) == [23]


def updates(peer):
    return peer.update(asked=True)


def warnings_12(peer):
    return peer.craft_12(21, b"\1\x5a")


def warnings_13(peer):
    return peer.craft(21, b"\1\x5a")


@pytest.mark.parametrize(
    ("version", "record"),
    [
        (ssl.TLSVersion.TLSv1_3, updates),
        (ssl.TLSVersion.TLSv1_3, warnings_13),
        (ssl.TLSVersion.TLSv1_2, warnings_12),
    ],
    ids=["key updates", "warnings of 1.3", "warnings of 1.2"],
)
def test_records_without_data_without_end(ringway, certificate, tmp_path, version, record):
    """A client that does not read sends KeyUpdates that ask for one in return, or warnings (user_canceled). They hold
    no buffers, and the connection ends."""
    server = ringway(files(tmp_path, certificate, timeouts=FOR_EVER))
    with Peer(server.listener(tls=True).address, tmp_path, version, window=2048) as peer:
        peer.handshake()
        end = time.monotonic() + DEADLINE
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < end:
                peer.raw(b"".join(record(peer) for _ in range(500)))
                assert total(server, "buffers") < 20
            pytest.fail("the connection goes on")
    assert ask(server, "/a", "127.0.0.99").body == b"x"
