"""Connections of HTTP/2 (RFC 9113 3 to 6, 9): preface, settings, windows, states of lanes, timeouts, the end."""

import contextlib
import struct
import threading

import pytest
from harness.h2 import (
    ACK,
    ALL_LANES,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_MAX,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Code,
    Http2,
    Setting,
    block_frames,
    connect,
    frame,
    head,
    offering,
    reset_frame,
    settings_frame,
    window_frame,
)
from harness.raw import Client, message
from harness.standing import standing
from harness.waiting import DEADLINE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
SHORT = 0.3
LARGE = 40_000_000
"""More than all buffers hold."""


@pytest.fixture
def own(ringway, upstream, tmp_path, certificate):
    """Starts Ringway with these sections. Host `files` is a folder, all others go to the upstream. Returns both."""

    def start(serve=None, tls=False, server=(), **sections):
        up = upstream(serve)
        (tmp_path / "t").write_text("t\n")
        listen = {"plain_listen": "127.0.0.1:0"} if tls else {}
        config = {
            "server": {"http2": True, "h2c": True, **listen, **dict(server)},
            "host_routes": {
                "*": {"type": "Proxy", "url": up.url},
                "files": {"type": "File", "path": tmp_path},
                "memory": {"type": "File", "path": tmp_path, "mode": "memory"},
            },
            **sections,
        }
        return ringway({**config, "tls": certificate} if tls else config), up

    return start


def assert_serves(client):
    assert client.get("/t", host="files").body == b"t\n"


def silent(link, request):
    link.to_end(3600)
    link.close()


def send_large(link, request):
    """Sends a large response, as far as it is taken."""
    link.send(message("HTTP/1.1 200 OK", f"Content-Length: {LARGE}"))
    for _ in range(LARGE // 100_000):
        link.send(b"x" * 100_000)


# --- the beginning


@TLS
def test_rfc9113_6_5_2_settings_of_the_server(h2_site, tls):
    with h2_site.http2(tls) as client:
        client.ping()
        expected = {
            Setting.MAX_CONCURRENT_STREAMS: 100,
            Setting.INITIAL_WINDOW_SIZE: 16384,
            Setting.MAX_HEADER_LIST_SIZE: 8192,
            Setting.NO_RFC7540_PRIORITIES: 1,
        }
        assert client.peer.items() >= expected.items()
        assert Setting.ENABLE_PUSH not in client.peer
        assert client.peer.get(Setting.HEADER_TABLE_SIZE, 4096) <= 4096
        assert client.granted.get(0, 0) > 0
        assert client.settings_seen == 1


@TLS
def test_rfc9113_3_4_request_in_the_first_flight(h2_site, tls):
    """A client need not wait for the server's SETTINGS."""
    with h2_site.http2(tls, hello=False) as client:
        id, data = client.prepare(head("GET", "/t", "files"))
        client.send(PREFACE + client.own_settings({}) + data)
        assert client.response(id).body == b"t\n"
        assert_serves(client)


@TLS
def test_the_preface_octet_by_octet(h2_site, tls):
    with h2_site.http2(tls, hello=False) as client:
        id, data = client.prepare(head("GET", "/t", "files"))
        client.send_pieces(PREFACE + client.own_settings({Setting.ENABLE_PUSH: 0}) + data)
        assert client.response(id).body == b"t\n"


@TLS
def test_http_1_1_on_the_same_port(h2_site, tls):
    for _ in range(2):
        with h2_site.server.connect(tls=tls) as client:
            for _ in range(2):
                assert client.get("/t", host="files").body == b"t\n"
        with h2_site.http2(tls) as client:
            assert_serves(client)


def test_methods_that_begin_like_the_preface(h2_site):
    """HTTP/1.1, octet by octet, until it differs."""
    for method in ("P", "PR", "PRI", "PROPFIND", "PRINT"):
        target = h2_site.upstream.on(b"HTTP/1.1 204 x\r\n\r\n")
        with h2_site.connect() as client:
            client.send_pieces(message(f"{method} {target} HTTP/1.1", "Host: proxied"))
            assert client.response().status == 204
        assert h2_site.upstream.request(target).method == method


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        (["h2"], "h2"),
        (["h2", "http/1.1"], "h2"),
        (["http/1.1", "h2"], "h2"),
        (["http/1.1"], "http/1.1"),
        (["spdy/3", "http/1.1"], "http/1.1"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, list) else "",
)
def test_rfc9113_3_2_alpn(h2_site, offered, agreed):
    with h2_site.server.connect(tls=True, context=offering(*offered)) as client:
        assert client.sock.selected_alpn_protocol() == agreed
        if agreed == "http/1.1":
            assert client.get("/t", host="files").body == b"t\n"


def test_off_by_default(ringway, tmp_path, certificate):
    config = {"tls": certificate, "host_routes": {"*": {"type": "File", "path": tmp_path}}}
    server = ringway({**config, "server": {"plain_listen": "127.0.0.1:0"}})
    with server.connect(tls=True, context=offering("h2", "http/1.1")) as client:
        assert client.sock.selected_alpn_protocol() == "http/1.1"
        assert client.get("/").status == 404
    with server.connect() as client:
        client.send(PREFACE + settings_frame())
        assert client.response().reason == "bad_version"
        client.assert_ended()


@pytest.mark.parametrize("key", ["http2", "h2c"])
def test_each_key_for_itself(ringway, tmp_path, certificate, key):
    config = {"tls": certificate, "host_routes": {"*": {"type": "File", "path": tmp_path}}}
    server = ringway({**config, "server": {"plain_listen": "127.0.0.1:0", key: True}})
    with server.connect(tls=True, context=offering("h2", "http/1.1")) as client:
        assert client.sock.selected_alpn_protocol() == ("h2" if key == "http2" else "http/1.1")
    with server.connect() as client:
        client.send(PREFACE + settings_frame())
        start = client.exactly(9)
        assert start[3:5] == bytes([SETTINGS, 0]) if key == "h2c" else start == b"HTTP/1.1 "
        client.reset()


@pytest.mark.parametrize(
    "first",
    [
        b"GET /t HTTP/1.1\r\nHost: files\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + settings_frame(),
        b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n",
        settings_frame(),
        b"X",
    ],
    ids=["HTTP/1.1", "last octet", "no SM", "version", "no preface", "one octet"],
)
def test_rfc9113_3_4_wrong_preface_after_alpn(h2_site, first):
    """The connection ends at the first octet that is wrong."""
    with h2_site.http2(tls=True, hello=False) as client:
        client.try_send(first)
        client.assert_ended()
        assert not client.frames(HEADERS)


def test_rfc9113_3_4_wrong_preface_on_a_plain_port(h2_site):
    for first in (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\nX\r\n"):
        with h2_site.connect() as client:
            client.try_send(first + settings_frame() + frame(PING, payload=b"12345678"))
            with contextlib.suppress(ConnectionError):
                assert b"12345678" not in client.to_end()


@pytest.mark.parametrize(
    "first",
    [
        frame(PING, payload=b"12345678"),
        frame(SETTINGS, ACK),
        window_frame(0, 1),
        frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x82\x86\x84\x01\x05files"),
        frame(77),
        b"GET / HTTP/1.1\r\nHost: files\r\n\r\n",
    ],
    ids=["PING", "ACK", "WINDOW_UPDATE", "HEADERS", "unknown", "HTTP/1.1"],
)
@TLS
def test_rfc9113_3_4_first_frame_is_not_settings(h2_site, first, tls):
    with h2_site.http2(tls, hello=False) as client:
        client.try_send(PREFACE + first)
        assert client.goaway() in (Code.PROTOCOL_ERROR, Code.FRAME_SIZE_ERROR)
        assert not client.frames(HEADERS)


@pytest.mark.parametrize("sent", [b"", PREFACE[:1], PREFACE[:10], PREFACE, PREFACE + settings_frame()[:5]])
@TLS
def test_preface_or_settings_that_do_not_come(own, sent, tls):
    server, _ = own(tls=tls, timeouts={"head": SHORT})
    with server.connect(tls=tls, context=offering("h2")) as client:
        client.send(sent)
        with contextlib.suppress(OSError):
            client.to_end()


# --- settings


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(SETTINGS, payload=bytes(5)), Code.FRAME_SIZE_ERROR),
        (frame(SETTINGS, ACK, payload=bytes(6)), Code.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
        (settings_frame({Setting.ENABLE_PUSH: 2}), Code.PROTOCOL_ERROR),
        (settings_frame({Setting.INITIAL_WINDOW_SIZE: 1 << 31}), Code.FLOW_CONTROL_ERROR),
        (settings_frame({Setting.MAX_FRAME_SIZE: 16383}), Code.PROTOCOL_ERROR),
        (settings_frame({Setting.MAX_FRAME_SIZE: 0}), Code.PROTOCOL_ERROR),
        (settings_frame({Setting.MAX_FRAME_SIZE: 1 << 24}), Code.PROTOCOL_ERROR),
    ],
    ids=["length", "ACK with payload", "on a lane", "push", "window", "frame size", "frame size 0", "large frame size"],
)
def test_rfc9113_6_5_settings(h2_site, data, code):
    with h2_site.http2() as client:
        client.send(data)
        assert client.goaway() == code


def test_rfc9113_6_5_2_unknown_settings(h2_site):
    with h2_site.http2() as client:
        acks = client.acks
        client._unacked.append({})
        client.send(settings_frame([(0x99, 1), (0, 7), (0xFFFF, 0xFFFFFFFF), (1, 0), (1, 4096)]))
        client.wait(lambda: client.acks > acks, "acknowledgement")
        assert_serves(client)


def test_rfc9113_6_5_2_table_of_the_client(h2_site):
    """The decoder of the harness rejects a table that is larger than allowed."""
    with h2_site.http2() as client:
        for size in (4096, 0, 100, 4096, 65536, 0):
            client.settings({Setting.HEADER_TABLE_SIZE: size})
            for _ in range(3):
                assert_serves(client)


def test_rfc9113_6_9_2_window_of_lanes_changes(h2_site):
    """It counts for lanes that are open. A window can become negative."""
    target = h2_site.upstream.on(message("HTTP/1.1 200 OK", "Content-Length: 60000", body=b"x" * 60_000))
    with h2_site.http2(auto_window=False, settings={Setting.INITIAL_WINDOW_SIZE: 1000}) as client:
        id = client.request(head("GET", target, "proxied"))
        lane = client.started(id)
        client.wait(lambda: lane.count == 1000, "the window")
        client.settings({Setting.INITIAL_WINDOW_SIZE: 100})
        assert lane.receive_window == -900
        client.give(id, 900)
        client.ping()
        assert lane.count == 1000
        client.give(id, 1)
        client.wait(lambda: lane.count == 1001, "one octet")
        client.settings({Setting.INITIAL_WINDOW_SIZE: 5100})
        client.wait(lambda: lane.count == 6001, "5000 octets")
        client.settings({Setting.INITIAL_WINDOW_SIZE: 65535})
        client.give(0, 10_000)
        assert client.response(id).count == 60_000


def test_rfc9113_6_9_2_window_that_overflows_by_settings(h2_site):
    target = h2_site.upstream.on(silent)
    with h2_site.http2() as client:
        id = client.request(head("GET", target, "proxied"))
        client.give(id, WINDOW_MAX - 65535)
        client.ping()
        client.floods = True
        client.send(settings_frame({Setting.INITIAL_WINDOW_SIZE: 65536}))
        assert client.error(id) == ("connection", Code.FLOW_CONTROL_ERROR)


# --- frames


RULES = {
    "6.1 DATA on the connection": (frame(DATA, 0, 0, b"a"), Code.PROTOCOL_ERROR),
    "6.1 too much padding": (frame(DATA, PADDED, 1, b"\3\0\0"), Code.PROTOCOL_ERROR),
    "6.2 HEADERS on the connection": (frame(HEADERS, END_HEADERS, 0, b"\x82"), Code.PROTOCOL_ERROR),
    "6.2 too much padding": (frame(HEADERS, END_HEADERS | PADDED, 3, b"\x09\x82"), Code.PROTOCOL_ERROR),
    "6.2 no priority": (frame(HEADERS, END_HEADERS | WITH_PRIORITY, 3, b"\0\0"), Code.FRAME_SIZE_ERROR),
    "6.3 PRIORITY on the connection": (frame(PRIORITY, 0, 0, b"\0\0\0\3\0"), Code.PROTOCOL_ERROR),
    "6.4 RST_STREAM on the connection": (reset_frame(0), Code.PROTOCOL_ERROR),
    "6.4 RST_STREAM of another length": (frame(RST_STREAM, 0, 1, bytes(5)), Code.FRAME_SIZE_ERROR),
    "6.4 RST_STREAM on an idle lane": (reset_frame(9), Code.PROTOCOL_ERROR),
    "6.6 PUSH_PROMISE": (frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2\x82"), Code.PROTOCOL_ERROR),
    "6.7 PING on a lane": (frame(PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "6.7 PING of another length": (frame(PING, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    "6.8 GOAWAY on a lane": (frame(GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "6.8 GOAWAY too short": (frame(GOAWAY, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    "6.9 WINDOW_UPDATE of another length": (frame(WINDOW_UPDATE, 0, 0, bytes(3)), Code.FRAME_SIZE_ERROR),
    "6.9 no increment": (window_frame(0, 0), Code.PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE on an idle lane": (window_frame(9, 1), Code.PROTOCOL_ERROR),
    "6.9.1 window of the connection": (window_frame(0, WINDOW_MAX), Code.FLOW_CONTROL_ERROR),
    "6.10 CONTINUATION without HEADERS": (frame(CONTINUATION, END_HEADERS, 1, b"\x82"), Code.PROTOCOL_ERROR),
    "6.10 CONTINUATION on the connection": (frame(CONTINUATION, END_HEADERS, 0, b"\x82"), Code.PROTOCOL_ERROR),
    "6.10 another frame": (frame(HEADERS, 0, 3, b"\x82") + frame(PING, payload=bytes(8)), Code.PROTOCOL_ERROR),
    "6.10 an unknown frame": (frame(HEADERS, 0, 3, b"\x82") + frame(99), Code.PROTOCOL_ERROR),
    "6.10 on another lane": (frame(HEADERS, 0, 3, b"\x82") + frame(CONTINUATION, 4, 5, b"\x86"), Code.PROTOCOL_ERROR),
    "5.1 DATA on an idle lane": (frame(DATA, 0, 9, b"a"), Code.PROTOCOL_ERROR),
    "5.1.1 even": (frame(HEADERS, 5, 4, b"\x82\x86\x84\x01\x05files"), Code.PROTOCOL_ERROR),
    "4.2 frame too large": (frame(DATA, 0, 1, bytes(16385)), Code.FRAME_SIZE_ERROR),
    "4.2 head too large": (frame(HEADERS, 5, 3, bytes(16385)), Code.FRAME_SIZE_ERROR),
    "4.2 unknown frame too large": (frame(99, 0, 0, bytes(16385)), Code.FRAME_SIZE_ERROR),
    "9218-7.1 PRIORITY_UPDATE on a lane": (frame(PRIORITY_UPDATE, 0, 1, b"\0\0\0\1u=1"), Code.PROTOCOL_ERROR),
}


@pytest.mark.parametrize(("data", "code"), RULES.values(), ids=RULES)
@pytest.mark.parametrize("size", [0, 1], ids=["at once", "octets"])
def test_rfc9113_6_errors_of_the_connection(h2_site, data, code, size):
    """GOAWAY with the last lane that was accepted, then the end. Nothing behind the error is handled."""
    target = h2_site.upstream.on(silent)
    with h2_site.http2() as client:
        client.request(head("POST", target, "proxied"), end=False)
        h2_site.upstream.request(target)
        client.lanes[1].disturbed = True
        behind = frame(PING, payload=b"behind it")
        if size:
            for at in range(0, min(len(data), 60)):
                client.poll(0)
                if client.ended or client.goaways or not client.try_send(data[at : at + 1]):
                    break
            else:
                client.try_send(data[60:])
        else:
            client.send(data + behind)
        assert client.goaway() == code
        assert client.goaways[-1][0] in (1, 3)
        assert not client.pongs


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xff\xff\x7f",  # an index far beyond the tables
        b"\xbe",  # the first entry of an empty table
        b"\x3f\xe2\x1f",  # a table of 4097 octets
        b"\x82\x20",  # a table size behind a field
        b"\x82\x86\x84\x41",  # the value is missing
        b"\x82\x86\x84\x41\x7f\x01a",  # longer than the block
        b"\x82\x86\x84\x41\x81\x00",  # padding of Huffman that is not EOS
        b"\x82\x86\x84\x41\x84\xff\xff\xff\xff",  # EOS in Huffman
        b"\xff" * 12,  # an integer without an end
    ],
    ids=["index 0", "large", "empty", "table", "late table", "cut", "long", "padding", "EOS", "integer"],
)
def test_rfc7541_broken_block(h2_site, block):
    """RFC 9113 4.3"""
    with h2_site.http2() as client:
        client.send_frame(HEADERS, END_STREAM | END_HEADERS, 1, block)
        assert client.goaway() == Code.COMPRESSION_ERROR


def test_rfc9113_4_3_broken_trailers(h2_site):
    target = h2_site.upstream.on(silent)
    with h2_site.http2() as client:
        id = client.request(head("POST", target, "proxied"), end=False)
        link = h2_site.upstream.request(target).link
        client.send_frame(HEADERS, END_STREAM | END_HEADERS, id, b"\x80")
        assert client.goaway() == Code.COMPRESSION_ERROR
        h2_site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")


def test_rfc9113_5_5_what_is_ignored(h2_site):
    target = h2_site.upstream.on(silent)
    with h2_site.http2() as client:
        id = client.request(head("GET", target, "proxied"))
        for kind in (10, 11, 12, 13, 77, 255):
            client.send(frame(kind, 255, 0, b"x" * 100) + frame(kind, 255, id, b"") + frame(kind, 0, 99, b"x" * 16384))
        client.send(frame(PRIORITY, 0, id, b"\0\0\0\0\1") + frame(PRIORITY, 0, 99, b"\x80\0\0\1\1"))
        client.send(frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", id) + b"u=1, i"))
        client.send(frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", 201) + b"nonsense \xff"))
        client.send(frame(GOAWAY | 0x40, 0, 0, b""))
        client.ping()
        client._pings.append(b"reserved")
        client.send(frame(PING, 0xFE, 0x80000000, b"reserved"))  # flags without a meaning, the reserved bit
        client.wait(lambda: b"reserved" in client.pongs, "PING")
        assert_serves(client)
        client.cancel(id)


def test_rfc9113_6_7_ping(h2_site):
    with h2_site.http2() as client:
        for number in range(20):
            client.ping(struct.pack(">Q", number))
        client.send(frame(PING, ACK, 0, b"not sent"))
        assert client.pongs == [struct.pack(">Q", number) for number in range(20)]
        assert_serves(client)


def test_ping_octet_by_octet(h2_site):
    with h2_site.http2() as client:
        client._pings.append(b"12345678")
        client.send_pieces(frame(PING, payload=b"12345678"))
        client.wait(lambda: client.pongs, "PING")


# --- states of lanes


def test_rfc9113_5_1_1_ids_may_be_left_out(h2_site):
    with h2_site.http2() as client:
        client._next = 101
        assert_serves(client)
        client._next = 0x7FFFFFFD
        assert_serves(client)
        assert_serves(client)  # the last one there is


@pytest.mark.parametrize("id", [1, 3, 5], ids=["before the first", "left out", "used"])
def test_rfc9113_5_1_1_ids_that_decrease(h2_site, id):
    """An id that was left out is closed."""
    with h2_site.http2() as client:
        client._next = 5
        assert_serves(client)
        if id not in client.lanes:
            client._open(id, "GET")
        client.lanes[id].disturbed = True
        client.send(block_frames(id, client.block(head("GET", "/t", "files"))))
        kind, code = client.error()
        assert (kind, code) in [("connection", Code.PROTOCOL_ERROR), ("connection", Code.STREAM_CLOSED)]


CLOSED = {
    "DATA": lambda client, id: frame(DATA, 0, id, b"x"),
    "DATA that ends": lambda client, id: frame(DATA, END_STREAM, id, b"x"),
    "empty DATA": lambda client, id: frame(DATA, END_STREAM, id, b""),
    "HEADERS": lambda client, id: block_frames(id, client.block([("x-trailer", "y")])),
}


@pytest.mark.parametrize("late", CLOSED)
def test_rfc9113_5_1_half_closed(h2_site, late):
    """After the request has ended, while its response is still to come."""
    target = h2_site.upstream.on(silent)
    with h2_site.http2() as client:
        id = client.request(head("POST", target, "proxied"), b"abc")
        link = h2_site.upstream.request(target).link
        client.lanes[id].disturbed = True
        client.send(CLOSED[late](client, id))
        assert client.error(id)[1] == Code.STREAM_CLOSED
        h2_site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")


@pytest.mark.parametrize("late", CLOSED)
def test_rfc9113_5_1_closed(h2_site, late):
    """After the response: an error of the lane or of the connection, at the server's choice, but no second request."""
    with h2_site.http2() as client:
        id = client.request(head("GET", "/t", "files"))
        client.response(id)
        client.lanes[id].disturbed = True
        client.send(CLOSED[late](client, id))
        assert client.error(id)[1] in (Code.STREAM_CLOSED, Code.PROTOCOL_ERROR)


def test_rfc9113_5_1_what_may_come_on_a_closed_lane(h2_site):
    """WINDOW_UPDATE, RST_STREAM and PRIORITY that were under way."""
    with h2_site.http2() as client:
        id = client.request(head("GET", "/t", "files"))
        client.response(id)
        client.lanes[id].disturbed = True
        client.send(window_frame(id, 5) + frame(PRIORITY, 0, id, b"\0\0\0\0\1") + reset_frame(id) + window_frame(id, 5))
        assert_serves(client)
        assert not client.frames(RST_STREAM)


def test_rfc9113_5_1_what_was_under_way_when_the_server_reset(h2_site):
    """DATA and trailers behind the server's RST_STREAM are dropped. The trailers are decoded, and the connection's
    window is given back."""
    with h2_site.http2() as client:
        id = client.request(head("POST", "/", "nobody"), end=False)
        assert client.response(id).status == 404
        assert client.reset_of(id) == Code.NO_ERROR
        before = client.send_window
        for _ in range(30):
            client.data_regardless(id, b"x" * 10_000)
        client.send(block_frames(id, client.block([("x-trailer", "indexed")])))
        client.ping()
        client.wait(lambda: client.send_window > before - 200_000, "window of the connection")
        target = h2_site.upstream.on(OK)
        assert client.get(target, ("x-trailer", "indexed")).status == 200
        assert h2_site.upstream.request(target).one("x-trailer") == "indexed"
        assert not client.goaways


@pytest.mark.parametrize("increments", [[0], [WINDOW_MAX], [WINDOW_MAX - 65535, 1]], ids=["0", "too much", "one more"])
def test_rfc9113_6_9_window_of_a_lane(h2_site, increments):
    """An error of the lane. The other lanes go on."""
    target = h2_site.upstream.on(silent)
    with h2_site.http2() as client:
        id = client.request(head("GET", target, "proxied"))
        link = h2_site.upstream.request(target).link
        for increment in increments:
            client.send_frame(WINDOW_UPDATE, 0, id, struct.pack(">I", increment))
        assert client.reset_of(id) == (Code.FLOW_CONTROL_ERROR if increments[0] else Code.PROTOCOL_ERROR)
        h2_site.upstream.journal.until(lambda: link.closed, "end of the connection to the upstream")
        assert_serves(client)


def test_rfc9113_6_9_1_more_than_the_window(own):
    """A client that sends more than the window of a lane, before the worker could give any back."""
    server, _ = own(lambda link: link.to_end(3600))
    with connect(server) as client:
        client.ping()
        id, data = client.prepare(head("POST", "/", "x"), end=False)
        client.lanes[id].disturbed = True
        with standing(server):
            client.send(data + frame(DATA, 0, id, bytes(16384)) * 3 + frame(DATA, 0, id, b"x"))
        assert client.error(id)[1] == Code.FLOW_CONTROL_ERROR


def test_rfc9113_6_9_1_padding_counts(own):
    """6.1: the whole payload counts against the window, and is given back."""
    server, _ = own()
    with connect(server) as client:
        id = client.request(head("POST", "/", "x"), end=False)
        for _ in range(1000):
            client.wait(lambda: min(client.send_window, client.lanes[id].send_window) >= 256, "window")
            client.send_frame(DATA, PADDED, id, bytes([255]) + bytes(255))
            client.send_window -= 256
            client.lanes[id].send_window -= 256
        client.data(id, b"", end=True)
        assert client.response(id).body == b"hello"


# --- windows of the client


@pytest.mark.parametrize("host", ["x", "files", "memory"])
def test_window_of_nothing(own, tmp_path, host):
    """The head comes. Each octet of window gets one octet of the body."""
    (tmp_path / "file").write_bytes(b"0123456789")
    server, _ = own(
        lambda link: (link.request(), link.send(message("HTTP/1.1 200 OK", "Content-Length: 10", body=b"0123456789")))
    )
    with connect(server, settings={Setting.INITIAL_WINDOW_SIZE: 0}, auto_window=False) as client:
        id = client.request(head("GET", "/file", host))
        lane = client.started(id)
        for count in range(1, 11):
            client.ping()
            assert lane.count == count - 1
            client.give(id, 1)
            client.wait(lambda count=count: lane.count == count, "one octet")
        assert client.response(id).body == b"0123456789"
        empty = client.request(head("HEAD", "/file", "files"))
        assert client.response(empty).head_ended


@pytest.mark.parametrize("host", ["x", "files", "memory"])
@TLS
def test_a_lane_that_is_not_read_stops_no_other(own, tmp_path, host, tls):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(LARGE)
    server, up = own(tls=tls, limits={"memory_file_bytes": LARGE, "memory_bytes": 2 * LARGE})
    up.on(send_large, "/large")
    with connect(server, tls, connection_window=1 << 24) as client:
        held = [client.request(head("GET", "/large", host)) for _ in range(20)]
        client.held.update(held)
        for id in held:
            client.wait(lambda id=id: client.lanes[id].count == 65535, "the window")
        for _ in range(20):
            assert_serves(client)
            assert client.get("/", host="x").body == b"hello"
        for id in held:
            client.cancel(id)
        assert_serves(client)


def test_an_upload_that_is_not_taken_stops_no_other(own):
    """The upstream of one lane reads nothing. Its lane's window closes, and the connection's does not."""
    server, up = own(limits={"request_body_bytes": 0})
    stop = []

    def serve(link, request):
        link.upstream.journal.until(lambda: stop, "end of the test", 60)
        link.close()

    stuck = up.on(serve)
    with connect(server) as client:
        ids = [client.request(head("POST", stuck, "x"), end=False) for _ in range(3)]
        blocked = set()
        while len(blocked) < len(ids):  # the kernel of the upstream takes some megabytes
            for id in ids:
                lane = client.lanes[id]
                assert client.send_window > 0, "the window of the connection is closed"
                if lane.send_window <= 0:
                    client.poll(0.3)
                if lane.send_window <= 0:
                    blocked.add(id)
                else:
                    blocked.discard(id)
                    client.data(id, bytes(min(16384, lane.send_window, client.send_window)))
        for _ in range(5):
            assert client.response(client.request(head("POST", "/", "x"), b"x" * 60_000)).body == b"hello"
            assert_serves(client)
        for id in ids:
            client.cancel(id)
        with up.journal:
            stop.append(True)
            up.journal.notify_all()
        assert_serves(client)


def test_window_of_the_connection(own, tmp_path):
    """All lanes share it, and go on when it is given back."""
    with open(tmp_path / "large", "wb") as file:
        file.truncate(200_000)
    server, _ = own()
    with connect(server, auto_window=False) as client:
        ids = [client.request(head("GET", "/large", "files")) for _ in range(10)]
        client.wait(lambda: client.receive_window == 0, "the window of the connection")
        client.ping()
        for id in ids:
            client.give(id, 200_000)
        client.give(0, 2_000_000)
        for id in ids:
            assert client.response(id).count == 200_000


# --- limits


def test_rfc9113_5_1_2_too_many_lanes(own):
    """REFUSED_STREAM. The refused block is decoded, and there is room again when a lane has ended."""
    more = []

    def serve(link):
        while True:
            request = link.request(3600)
            if request.target == "/wait":
                link.upstream.journal.until(lambda: more, "permission to answer")
            link.send(OK)

    server, up = own(serve, limits={"streams": 3})
    with connect(server) as client:
        assert client.peer[Setting.MAX_CONCURRENT_STREAMS] == 3
        ids = [client.request(head("GET", "/wait", "x")) for _ in range(3)]
        for _ in range(3):
            refused = client.request(head("GET", "/refused", "x", ("x-indexed", "by a refused one")))
            assert client.reset_of(refused) == Code.REFUSED_STREAM
        open_one = client.request(head("POST", "/refused", "x"), end=False)
        assert client.reset_of(open_one) == Code.REFUSED_STREAM
        client.lanes[open_one].disturbed = True
        client.send(frame(DATA, END_STREAM, open_one, b"x" * 100))
        with up.journal:
            more.append(True)
            up.journal.notify_all()
        for id in ids:
            assert client.response(id).status == 200
        assert client.get("/later", ("x-indexed", "by a refused one"), host="x").status == 200
    assert up.request("/later").one("x-indexed") == "by a refused one"
    assert not up.requests_for("/refused")


def test_requests_per_connection(own):
    """GOAWAY after so many. Those that were accepted are answered."""
    server, _ = own(limits={"requests_per_connection": 5})
    with connect(server) as client:
        ids = [client.request(head("GET", "/t", "files")) for _ in range(5)]
        for id in ids:
            assert client.response(id).body == b"t\n"
        assert client.goaway() == Code.NO_ERROR
        assert client.goaways[-1][0] == ids[-1]


# --- the client's end


def test_rfc9113_6_8_goaway_of_the_client(own):
    """Its lanes are finished."""
    server, up = own()
    more = []

    def serve(link, request):
        link.upstream.journal.until(lambda: more, "permission to answer")
        link.send(OK)

    target = up.on(serve)
    with connect(server) as client:
        id = client.request(head("GET", target, "x"))
        up.request(target)
        client.send(frame(GOAWAY, 0, 0, bytes(8) + b"bye"))
        client.ping()
        with up.journal:
            more.append(True)
            up.journal.notify_all()
        assert client.response(id).body == b"ok"


@pytest.mark.parametrize("part", [1, 5, 9, 12, 30])
@TLS
def test_end_within_a_frame(h2_site, part, tls):
    with h2_site.http2(tls) as client:
        _, data = client.prepare(head("GET", "/mark-that-is-cut", "proxied", ("x", "y" * 100)))
        client.send(data[:part])
        client.close()
    h2_site.assert_not_forwarded("mark-that-is-cut")


# --- timeouts


@TLS
def test_idle(own, tls):
    """GOAWAY(NO_ERROR) and the end. PING is no activity."""
    server, _ = own(tls=tls, timeouts={"keepalive": SHORT})
    with connect(server, tls) as client:
        assert_serves(client)
        while not client.goaways and not client.ended:
            client._pings.append(b"still on")
            client.try_send(frame(PING, payload=b"still on"))
            client.poll(0.05)
            threading.Event().wait(0.05)  # more would be a flood
        assert client.goaway() == Code.NO_ERROR


def test_busy_is_not_idle(own):
    """A lane without progress is not the business of `keepalive`."""
    server, up = own(timeouts={"keepalive": SHORT})
    more = []

    def serve(link, request):
        link.upstream.journal.until(lambda: more, "permission to answer")
        link.send(OK)

    target = up.on(serve)
    with connect(server) as idle, connect(server) as busy:
        id = busy.request(head("GET", target, "x"))
        up.request(target)
        assert_serves(idle)
        assert idle.goaway() == Code.NO_ERROR
        with up.journal:
            more.append(True)
            up.journal.notify_all()
        assert busy.response(id).body == b"ok"


@pytest.mark.parametrize("part", ["frame", "block", "octets"])
def test_head_that_stops(own, part):
    """A field block from its first frame to its last, however steadily it arrives: the connection ends, because its
    table is not known any more."""
    server, up = own(timeouts={"head": SHORT})
    with connect(server) as client:
        _, data = client.prepare(head("GET", "/mark", "x", ("x", "y" * 3000)), size=500)
        if part == "octets":
            for at in range(len(data)):
                if client.ended or not client.try_send(data[at : at + 1]):
                    break
                client.poll()
        else:
            client.send(data[: 509 if part == "block" else 400])
        client.assert_ended()
    assert not up.links


@pytest.mark.parametrize("begun", [b"", b"x" * 500], ids=["nothing", "some"])
@pytest.mark.parametrize("length", [[], [("content-length", "100000")]], ids=["chunked", "length"])
def test_body_that_stops(own, begun, length):
    """408 on its lane, and the upstream sees no normal end. The other lanes go on."""
    server, up = own(timeouts={"body": SHORT})
    got = []
    target = up.on(lambda link, request: (got.append(link.to_end(3600)), link.close()))
    with connect(server) as client:
        id = client.request(head("POST", target, "x", *length), end=False)
        client.data(id, begun)
        response = client.response(id)
        assert (response.status, response.reason) == (408, "client_body_timeout")
        assert client.reset_of(id) in (Code.NO_ERROR, Code.CANCEL)
        link = up.request(target).link
        up.journal.until(lambda: link.closed, "end of the connection to the upstream")
        assert_serves(client)
    assert server.record(target)["reason"] == "client_body_timeout"
    assert b"\r\n0\r\n" not in got[0]


def test_body_while_another_lane_is_busy(own):
    """Progress of one lane is none of another one's."""
    server, up = own(timeouts={"body": SHORT})
    target = up.on(silent)
    with connect(server) as client:
        id = client.request(head("POST", target, "x"), b"x", end=False)
        other = client.request(head("POST", up.on(silent), "x"), end=False)
        while not client.lanes[id].done:
            client.data(other, b"y" * 2000)
            client.poll()
        assert client.lanes[id].reason == "client_body_timeout"
        assert not client.lanes[other].done
        client.cancel(other)


@pytest.mark.parametrize("host", ["x", "files", "memory"])
@pytest.mark.parametrize("trickle", [False, True], ids=["nothing", "updates"])
def test_lane_that_is_not_read(own, tmp_path, host, trickle):
    """`write`: RST_STREAM(CANCEL), and the connection goes on. Windows of single octets are no progress."""
    with open(tmp_path / "large", "wb") as file:
        file.truncate(LARGE)
    limits = {"memory_file_bytes": LARGE, "memory_bytes": 2 * LARGE}
    server, up = own(timeouts={"write": SHORT}, limits=limits)
    up.on(send_large, "/large")
    with connect(server, connection_window=1 << 20) as client:
        id = client.request(head("GET", "/large", host))
        client.held.add(id)
        lane = client.started(id)
        while trickle and not lane.done:
            client.give(id, 1)
            client.poll(0.05)
        assert client.reset_of(id) == Code.CANCEL
        assert_serves(client)
        if host == "x":
            link = up.request("/large").link
            up.journal.until(lambda: link.closed, "end of the connection to the upstream")
    assert server.record("/large")["reason"] == "client_write_timeout"


@TLS
def test_connection_that_is_not_read(own, tmp_path, tls):
    """All windows are open, and the kernel accepts nothing more."""
    with open(tmp_path / "large", "wb") as file:
        file.truncate(LARGE)
    server, _ = own(tls=tls, timeouts={"write": SHORT})
    wide = {Setting.INITIAL_WINDOW_SIZE: WINDOW_MAX}
    with connect(server, tls, settings=wide, connection_window=WINDOW_MAX, window=4096) as client:
        client.request(head("GET", "/large", "files"))
        assert server.record("/large")["reason"] in ("client_write_timeout", "client_closed")


def test_first_byte(own):
    """504 on its lane. The others go on."""
    server, up = own(timeouts={"first_byte": SHORT})
    target = up.on(silent)
    with connect(server) as client:
        response = client.get(target, host="x")
        assert (response.status, response.reason) == (504, "upstream_first_byte_timeout")
        assert_serves(client)


def test_upstream_that_stops(own):
    server, up = own(timeouts={"upstream": SHORT})

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", "Content-Length: 10", body=b"ab"))
        link.to_end(3600)
        link.close()

    target = up.on(serve)
    with connect(server) as client:
        id = client.request(head("GET", target, "x"))
        assert client.reset_of(id) == Code.INTERNAL_ERROR
        assert client.lanes[id].so_far == b"ab"
        assert_serves(client)
    assert server.record(target)["reason"] == "upstream_progress_timeout"


# --- the server's end


@TLS
def test_drain_finishes_lanes(own, tls):
    """6.8: GOAWAY(2^31-1), then GOAWAY(last id), then the end when the last lane has ended."""
    server, up = own(tls=tls, timeouts={"drain": 20})
    more = []

    def serve(link, request):
        link.upstream.journal.until(lambda: more, "permission to answer")
        link.send(message("HTTP/1.1 200 OK", "Content-Length: 100000", body=b"x" * 100_000))

    target = up.on(serve)
    upload = up.on(lambda link, request: (link.body(request), link.send(OK)))
    with connect(server, tls) as client, connect(server, tls) as idle:
        assert_serves(idle)
        id = client.request(head("GET", target, "x"))
        sending = client.request(head("POST", upload, "x"), b"some", end=False)
        up.request(target), up.request(upload)
        server.tell_to_end()
        client.wait(lambda: client.goaways, "GOAWAY")
        assert client.goaways[0][:2] == (ALL_LANES, Code.NO_ERROR)
        client.wait(lambda: client.goaways[-1][0] < ALL_LANES, "second GOAWAY")
        assert client.goaways[-1][:2] == (sending, Code.NO_ERROR)
        assert idle.goaway() == Code.NO_ERROR
        with up.journal:
            more.append(True)
            up.journal.notify_all()
        client.data(sending, b" more", end=True)
        assert client.response(id).count == 100_000
        assert client.response(sending).body == b"ok"
        assert client.goaway() == Code.NO_ERROR
        assert not client.broken
    server.stop()
    assert up.request(upload).body == b"some more"


def test_drain_serves_what_was_under_way(own):
    """A request that crosses the first GOAWAY is served, and one behind the second is not."""
    server, up = own(timeouts={"drain": 20})
    target = up.on(silent)
    with connect(server) as client:
        id = client.request(head("GET", target, "x"))
        up.request(target)
        crossing, data = client.prepare(head("GET", "/t", "files"))
        with standing(server, server.tell_to_end):
            client.send(data)
        assert client.response(crossing).body == b"t\n"
        client.wait(lambda: client.goaways and client.goaways[-1][0] < ALL_LANES, "second GOAWAY")
        late = client.request(head("GET", "/late", "x", ("x-a", "b")))
        client.ping()
        assert not client.lanes[late].status
        client.cancel(id)
        assert client.goaway() == Code.NO_ERROR
    server.stop()
    assert not up.requests_for("/late")


def test_drain_has_a_deadline(own):
    server, up = own(timeouts={"drain": SHORT})
    target = up.on(silent)
    with connect(server) as client:
        id = client.request(head("GET", target, "x"))
        up.request(target)
        server.tell_to_end()
        client.assert_ended(4 * DEADLINE)
        assert client.lanes[id].reset in (None, Code.CANCEL)
        assert not client.lanes[id].ended
        server.stop()


def test_reload_that_removes_the_listener(own, tmp_path):
    server, up = own()
    target = up.on(silent)
    with connect(server) as client:
        id = client.request(head("GET", target, "x"))
        up.request(target)
        routes = {"*": {"type": "File", "path": tmp_path}}
        server.reload({"server": {"listen": f"unix:{tmp_path}/other.sock", "h2c": True}, "host_routes": routes})
        client.wait(lambda: client.goaways and client.goaways[-1][0] == id, "GOAWAY")
        client.cancel(id)
        assert client.goaway() == Code.NO_ERROR


def test_reload_applies_to_new_lanes(own, upstream):
    """A lane begins under the newest configuration."""
    server, _ = own()
    other = upstream(lambda link: [link.send(OK) for _ in iter(lambda: link.request(3600), None)])
    with connect(server) as client:
        assert client.get("/", host="x").body == b"hello"
        routes = {"*": {"type": "Proxy", "url": other.url}}
        server.reload({"server": {"http2": True, "h2c": True}, "host_routes": routes})
        assert client.get("/", host="x").body == b"ok"


# --- others


def test_unix_socket(ringway, tmp_path):
    (tmp_path / "t").write_text("t\n")
    path = str(tmp_path / "sock")
    ringway(
        {"server": {"listen": f"unix:{path}", "h2c": True}, "host_routes": {"*": {"type": "File", "path": tmp_path}}}
    )
    with Http2(path) as client:
        assert_serves(client)
    with Client(path) as client:
        assert client.get("/t").body == b"t\n"
