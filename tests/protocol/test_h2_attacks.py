"""Attacks over HTTP/2 (research/http2.md 5.2): what a client can make the server do and keep stays bounded, other
clients are served meanwhile, and who goes on gets GOAWAY(ENHANCE_YOUR_CALM)."""

import contextlib
import itertools

import pytest
from harness.h2 import (
    CONTINUATION,
    DATA,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_UPDATE,
    SETTINGS,
    WINDOW_MAX,
    Code,
    Setting,
    block_frames,
    connect,
    frame,
    head,
    reset_frame,
    settings_frame,
    window_frame,
)
from harness.memory import resident, total, wait_for_total
from harness.raw import Ended, message
from harness.waiting import DEADLINE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
SHORT = 0.3
LARGE = 40_000_000
LANES = 100
CALM = 200
"""The budget of a connection. Each fault costs one or more."""
MEMORY = 80 << 20
"""Octets by which a worker's memory may grow: the copy of a large file, and buffers, which stay in the pool."""


class Target:
    """A Ringway with one worker, whose gauges are compared with their values at the beginning."""

    def __init__(self, server, up, tls):
        self.server, self.up, self.tls = server, up, tls
        (self.pid,) = server.workers.values() or (0,)
        with server.connect(tls=tls) as client:
            assert client.get("/t", host="files").body == b"t\n"
        wait_for_total(server, "clients", lambda count: count == 0)
        self.before = resident(self.pid) if self.pid else 0

    def connect(self, **options):
        return connect(self.server, self.tls, **options)

    def assert_bounded(self, buffers=3 * LANES, upstreams=LANES):
        """Also asserts that others are served."""
        self.assert_serves_others()
        assert total(self.server, "buffers") <= buffers
        assert total(self.server, "exchanges") <= LANES + 4
        assert total(self.server, "upstreams") <= upstreams + 4
        if self.pid:
            assert resident(self.pid) - self.before < MEMORY

    def assert_serves_others(self):
        with self.server.connect(tls=self.tls) as other:
            assert other.get("/t", host="files").body == b"t\n"
            assert other.get("/other", host="x").body == b"hello"
        with self.connect() as other:
            assert other.get("/t", host="files").body == b"t\n"
            assert other.get("/other", host="x").body == b"hello"

    def assert_released(self):
        """Nothing is left of the client, whether it is still there or not."""
        for gauge in ("clients", "exchanges", "buffers"):
            wait_for_total(self.server, gauge, lambda count: count == 0)
        idle = total(self.server, "upstreams_idle")
        wait_for_total(self.server, "upstreams", lambda count: count <= idle + 4)


@pytest.fixture
def target(ringway, upstream, tmp_path, certificate):
    """Starts Ringway. Host `files` is a folder, all others go to the upstream."""

    def start(tls=False, serve=None, **sections):
        (tmp_path / "t").write_text("t\n")
        with open(tmp_path / "large", "wb") as file:
            file.truncate(LARGE)
        up = upstream(serve)
        sections["limits"] = {"memory_file_bytes": LARGE, "memory_bytes": 2 * LARGE, **sections.get("limits", {})}
        config = {
            "server": {"http2": True, "h2c": True},
            "host_routes": {
                "*": {"type": "Proxy", "url": up.url},
                "files": {"type": "File", "path": tmp_path},
                "memory": {"type": "File", "path": tmp_path, "mode": "memory"},
            },
            **sections,
        }
        return Target(ringway({**config, "tls": certificate} if tls else config), up, tls)

    return start


def silent(link, request):
    link.to_end(3600)
    link.close()


def go_on(client, step, times):
    """Sends the octets of each `step(number)` until the server ends the connection. Returns how many there were. The
    client reads nothing but GOAWAY, and that only between the steps."""
    for number in range(times):
        if client.ended or not client.try_send(step(number)):
            return number
        if number % 10 == 9:
            client.poll(0.001)
    return times


def is_behind_goaway(client, lane):
    """Whether the server has said that it will not handle this lane."""
    return any(last < lane.id for last, _, _ in client.goaways)


def assert_calmed(client):
    """The server has ended the connection because of the client's manners."""
    assert client.goaway() == Code.ENHANCE_YOUR_CALM


# --- resets


@TLS
@pytest.mark.parametrize("where", ["upstream", "file", "large file", "404"])
def test_rapid_reset(target, where, tls):
    """CVE-2023-44487: requests that are cancelled at once. The upstream does not get more than the budget of them."""
    it = target(tls)
    silently = it.up.on(silent, "/silent")
    path, host = {
        "upstream": (silently, "x"),
        "file": ("/t", "files"),
        "large file": ("/large", "files"),
        "404": ("/missing", "files"),
    }[where]
    with it.connect() as client:

        def step(_):
            id, data = client.prepare(head("GET", path, host))
            client.lanes[id].sent_reset = True
            return data + reset_frame(id)

        count = go_on(client, step, 20 * CALM)
        if where in ("upstream", "large file"):
            # Those that are answered before their reset cost nothing.
            assert count < 20 * CALM, "the client may go on for ever"
            assert_calmed(client)
        it.assert_bounded()
        assert len(it.up.requests_for(silently)) <= 3 * CALM
    it.assert_released()


def test_rapid_reset_in_one_segment(target):
    it = target()
    silently = it.up.on(silent, "/silent")
    with it.connect() as client:
        data = b""
        for _ in range(10 * CALM):
            id, part = client.prepare(head("GET", silently, "x"))
            client.lanes[id].sent_reset = True
            data += part + reset_frame(id)
        client.try_send(data)
        assert_calmed(client)
        it.assert_bounded()
        assert len(it.up.requests_for(silently)) <= 3 * CALM
    it.assert_released()


def made_window_of_nothing(client, id):
    return window_frame(id, 0)


def made_window_too_large(client, id):
    return window_frame(id, WINDOW_MAX)


def made_data_behind_the_end(client, id):
    return frame(DATA, 0, id, b"x")


def made_second_head(client, id):
    return block_frames(id, client.block([("x-a", "b")]))


def made_priority_of_another_length(client, id):
    return frame(PRIORITY, 0, id, b"\0\0\0\0")


@pytest.mark.parametrize(
    "fault",
    [
        made_window_of_nothing,
        made_window_too_large,
        made_data_behind_the_end,
        made_second_head,
        made_priority_of_another_length,
    ],
)
def test_made_you_reset(target, fault):
    """CVE-2025-8671: the client makes the server reset its lanes."""
    it = target()
    silently = it.up.on(silent, "/silent")
    with it.connect() as client:

        def step(_):
            id, data = client.prepare(head("GET", silently, "x"))
            client.lanes[id].disturbed = True
            return data + fault(client, id)

        assert go_on(client, step, 20 * CALM) < 20 * CALM, "the client may go on for ever"
        # An error of the connection is right for some of these, and then the attack ends at once.
        assert client.goaway() in (Code.ENHANCE_YOUR_CALM, Code.STREAM_CLOSED)
        it.assert_bounded()
        assert len(it.up.requests_for(silently)) <= 3 * CALM
    it.assert_released()


def test_refused_lanes(target):
    """More than `streams`, again and again."""
    it = target(limits={"streams": 2})
    silently = it.up.on(silent, "/silent")
    with it.connect() as client:
        for _ in range(2):
            client.request(head("GET", silently, "x"))
        assert go_on(client, lambda _: client.prepare(head("GET", "/refused", "x"))[1], 20 * CALM) < 20 * CALM
        assert_calmed(client)
        it.assert_bounded()
    it.assert_released()
    assert not it.up.requests_for("/refused")


@pytest.mark.parametrize("fields", [[("Upper", "x")], [("x", "a\r\nb")], [("connection", "close")]])
def test_malformed_requests(target, fields):
    """Each is answered, and costs all the same."""
    it = target()
    with it.connect() as client:
        step = lambda _: client.prepare(head("GET", "/mark", "x", *fields))[1]  # noqa: E731
        assert go_on(client, step, 50 * CALM) < 50 * CALM
        assert_calmed(client)
        it.assert_bounded()
    it.assert_released()
    assert not it.up.requests_for("/mark")


def test_requests_in_one_segment(target):
    """Many times as many as may be open: each one is answered, refused, or behind the end."""
    it = target()
    with it.connect() as client:
        prepared = [client.prepare(head("GET", "/t", "files")) for _ in range(10 * LANES)]
        client.try_send(b"".join(data for _, data in prepared))
        with contextlib.suppress(Ended):
            for id, _ in prepared:
                lane = client.lanes[id]
                client.wait(lambda lane=lane: lane.done or is_behind_goaway(client, lane), f"end of lane {lane.id}")
                assert lane.reset in (None, Code.REFUSED_STREAM)
                assert not lane.ended or lane.body == b"t\n"
        it.assert_bounded()
        assert {code for _, code, _ in client.goaways} <= {Code.NO_ERROR, Code.ENHANCE_YOUR_CALM}
        if not client.ended:
            assert sum(lane.ended for lane in client.lanes.values()) >= LANES
    it.assert_released()


def test_a_polite_client_is_never_told_to_calm_down(target):
    """Thousands of requests, with a cancelled one among twenty."""
    it = target(limits={"requests_per_connection": 100_000})
    silently = it.up.on(silent, "/silent")
    with it.connect() as client:
        for turn in range(100):
            ids = [client.request(head("GET", "/t", "files")) for _ in range(20)]
            cancelled = client.request(head("GET", silently, "x"))
            client.cancel(cancelled)
            for id in ids:
                assert client.response(id).body == b"t\n"
            if turn % 20 == 0:
                client.ping()
        assert not client.goaways
    it.assert_released()


# --- heads


@pytest.mark.parametrize("size", [0, 1, 100, 16384])
@TLS
def test_continuation_flood(target, size, tls):
    """CVE-2024-27316: a block without an end. At most eight frames, and at most four times `head_bytes`."""
    it = target(tls)
    literal = b"\x00\x01x\x7f\xff\xff\xff\xff\x00"  # a literal field whose value never ends
    with it.connect() as client:
        client.send_frame(HEADERS, END_STREAM, 1, b"\x82\x86\x84" + literal)
        count = go_on(client, lambda _: frame(CONTINUATION, 0, 1, b"x" * size), 10_000)
        assert count < 10_000, "the block may go on for ever"
        assert client.goaway() in (Code.ENHANCE_YOUR_CALM, Code.PROTOCOL_ERROR, Code.COMPRESSION_ERROR)
        it.assert_bounded()
    it.assert_released()


@pytest.mark.parametrize("size", [100, 16384])
def test_continuation_flood_of_fields(target, size):
    """Valid fields, without an end."""
    it = target()
    field = b"\x00\x01x\x5e" + b"y" * 94
    with it.connect() as client:
        client.send_frame(HEADERS, END_STREAM, 1, b"\x82\x86\x84")
        payload = (field * (size // len(field) + 1))[: size - size % len(field) or len(field)]
        assert go_on(client, lambda _: frame(CONTINUATION, 0, 1, payload), 10_000) < 10_000
        assert client.goaway() in (Code.ENHANCE_YOUR_CALM, Code.PROTOCOL_ERROR)
        it.assert_bounded()
    it.assert_released()


def test_blocks_without_an_end_on_many_connections(target):
    """What they hold stays bounded, and the deadline of the head ends them."""
    it = target(timeouts={"head": 2})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(it.connect()) for _ in range(50)]
        for client in clients:
            client.send_frame(HEADERS, 0, 1, b"\x82\x86\x84" + b"\x00\x01x\x01y" * 1000)
        it.assert_bounded(buffers=50 * 3)
        for client in clients:
            client.assert_ended()
    it.assert_released()


BOMBS = {
    "empty crumbs": (b"", b"\xa0", 8000),
    "indexed crumbs": (b"\x60\x01a", b"\xbe", 8000),
    "large indexed field": (b"\x40\x01x\x7f\xd1\x1d" + b"y" * 3920, b"\xbe", 8000),
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("window", [0, 65535])
def test_hpack_bomb(target, kind, window):
    """CVE-2026-49975: thousands of fields of one octet each, on many lanes, and answers that are not taken."""
    it = target()
    first, again, times = BOMBS[kind]
    with it.connect(settings={Setting.INITIAL_WINDOW_SIZE: window}, auto_window=False) as client:
        beginning = b"\x82\x86\x01\x01x\x04\x05/bomb"  # nothing of it is indexed
        data = beginning + first + again * times
        for id in range(1, 2 * LANES, 2):
            client._open(id, "GET").disturbed = True
            if client.ended or not client.try_send(block_frames(id, data)):
                break
            data = beginning + again * times
        with contextlib.suppress(Ended):
            client.ping()
        it.assert_bounded()
        assert {lane.status for lane in client.lanes.values()} <= {0, 400, 431}
        assert all(code in (Code.NO_ERROR, Code.ENHANCE_YOUR_CALM) for _, code, _ in client.goaways)
    it.assert_released()
    assert not it.up.requests_for("/bomb")


def test_tables_that_are_made_small_and_large(target):
    """Size updates at the beginning of each block: at most two are allowed, and they cost nothing but themselves."""
    it = target()
    with it.connect() as client:
        for _ in range(50):
            client.encoder.header_table_size = 0
            assert client.get("/t", ("x-a", "b"), host="files").body == b"t\n"
            client.encoder.header_table_size = 4096
            assert client.get("/t", ("x-a", "b"), host="files").body == b"t\n"
    it.assert_released()


# --- control frames


FLOODS = {
    "PING": frame(PING, payload=b"12345678"),
    "SETTINGS": settings_frame(),
    "SETTINGS with a value": settings_frame({Setting.MAX_CONCURRENT_STREAMS: 7}),
    "windows up and down": settings_frame({Setting.INITIAL_WINDOW_SIZE: 9}) + settings_frame({4: 65535}),
}


@pytest.mark.parametrize("kind", FLOODS)
@TLS
def test_flood_that_is_not_read(target, kind, tls):
    """CVE-2019-9512, -9515: frames that are acknowledged, by a client that reads nothing. No queue grows."""
    it = target(tls)
    with it.connect() as client:
        client.floods = True
        client.flood(FLOODS[kind] * 100, 5_000)
        it.assert_bounded(buffers=20)
        assert_calmed(client)
    it.assert_released()


@pytest.mark.parametrize("kind", FLOODS)
def test_flood_that_is_read(target, kind):
    it = target()
    with it.connect() as client:
        client.floods = True
        assert go_on(client, lambda _: FLOODS[kind], 20 * CALM) < 20 * CALM
        assert_calmed(client)
        it.assert_bounded(buffers=20)
    it.assert_released()


@pytest.mark.parametrize(
    "data",
    [
        frame(PRIORITY, 0, 1, b"\0\0\0\3\0"),
        frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"),
        frame(SETTINGS, 1),
        frame(PING, 1, 0, b"12345678"),
        frame(99, 0, 0, b""),
        frame(99, 0, 0, b"x" * 16384),
        reset_frame(1),
    ],
    ids=["PRIORITY", "PRIORITY_UPDATE", "SETTINGS ACK", "PING ACK", "unknown", "large unknown", "RST_STREAM"],
)
def test_flood_of_frames_without_an_answer(target, data):
    """CVE-2019-9513 and others: nothing is kept of them. Whether they end the connection is the server's choice."""
    it = target()
    with it.connect() as client:
        client.response(client.request(head("GET", "/t", "files")))
        client.lanes[1].disturbed = True
        for _ in range(20):
            if not client.try_send(data * (1 + 200_000 // len(data) // 20)):
                break
        it.assert_bounded(buffers=20)
    it.assert_released()


@pytest.mark.parametrize("id", [0, 1], ids=["connection", "lane"])
@pytest.mark.parametrize("window", [0, 65535])
def test_window_updates(target, id, window):
    """Window updates of one octet that follow no DATA."""
    it = target()
    silently = it.up.on(silent)
    with it.connect(settings={Setting.INITIAL_WINDOW_SIZE: window}) as client:
        client.request(head("GET", silently, "x"))
        assert go_on(client, lambda _: window_frame(id, 1) * 10, 10 * CALM) < 10 * CALM
        assert_calmed(client)
        it.assert_bounded(buffers=20)
    it.assert_released()


def test_response_in_single_octets(target):
    """A window of one octet at a time: each is followed by DATA, so the client may. `write` bounds how long."""
    it = target(timeouts={"write": SHORT})
    with it.connect(settings={Setting.INITIAL_WINDOW_SIZE: 1}, auto_window=False) as client:
        id = client.request(head("GET", "/large", "files"))
        lane = client.started(id)
        with contextlib.suppress(Ended):
            while not lane.done:
                count = lane.count
                client.give(id, 1)
                client.wait(lambda count=count: lane.done or lane.count > count, "an octet")
        assert not lane.ended
        assert lane.reset in (Code.CANCEL, None)
        it.assert_bounded(buffers=20)
    it.assert_released()


# --- bodies


TINY = {
    "empty": frame(DATA, 0, 1, b""),
    "an octet": frame(DATA, 0, 1, b"x"),
    "padding": frame(DATA, PADDED, 1, b"\0"),
    "an octet and padding": frame(DATA, PADDED, 1, b"\1x\0"),
}


@pytest.mark.parametrize("kind", TINY)
def test_tiny_frames(target, kind):
    """CVE-2019-9518, RUSTSEC-2026-0258. Windows are given back, so the flood could go on for ever."""
    it = target()
    target_path = it.up.on(silent)
    counted = len(TINY[kind]) - 9
    with it.connect() as client:
        client.request(head("POST", target_path, "x"), end=False)
        lane = client.lanes[1]
        lane.disturbed = True
        sent = 0
        with contextlib.suppress(Ended):
            for _ in range(1000):
                if counted:
                    client.wait(lambda: client.ended or lane.done or lane.send_window >= 100 * counted, "window")
                client.poll(0)
                if client.goaways or client.ended or lane.done or not client.try_send(TINY[kind] * 100):
                    break  # after GOAWAY the server discards what still comes, for a moment
                lane.send_window -= 100 * counted
                client.send_window -= 100 * counted
                sent += 100
        assert sent < 100_000, "the client may go on for ever"
        assert_calmed(client)
        it.assert_bounded()
    it.assert_released()


@pytest.mark.parametrize("host", ["x", "files", "memory"])
@TLS
def test_windows_of_nothing(target, host, tls):
    """CVE-2019-9517, and the second half of the bomb: a hundred responses that are never taken hold little memory."""
    it = target(tls)

    def serve(link, request):
        link.send(message("HTTP/1.1 200 OK", f"Content-Length: {LARGE}"))
        for _ in range(LARGE // 100_000):
            link.send(b"x" * 100_000)

    it.up.on(serve, "/large")
    with it.connect(settings={Setting.INITIAL_WINDOW_SIZE: 0}) as client:
        ids = [client.request(head("GET", "/large", host)) for _ in range(LANES)]
        for id in ids:
            client.started(id)
        client.ping()
        # A receive from an upstream brings up to 32 buffers before it can be paused.
        if host == "x":
            assert total(it.server, "buffers") <= 34 * LANES
        else:
            it.assert_bounded(buffers=2 * LANES + 20)
        assert not any(lane.count for lane in client.lanes.values())
        client.abort()
    it.assert_released()


def test_windows_of_nothing_end(target):
    """`write` releases everything, though PING and window updates keep coming."""
    it = target(timeouts={"write": SHORT})
    with it.connect(settings={Setting.INITIAL_WINDOW_SIZE: 0}) as client:
        ids = [client.request(head("GET", "/large", "files")) for _ in range(LANES)]
        with contextlib.suppress(Ended):
            for id in ids:
                assert client.reset_of(id) == Code.CANCEL
        wait_for_total(it.server, "exchanges", lambda count: count == 0)
        wait_for_total(it.server, "buffers", lambda count: count <= 4)
        it.assert_bounded()
    it.assert_released()


@TLS
def test_windows_of_nothing_on_many_connections(target, tls):
    """What all of them hold stays bounded by `buffer_bytes`; other clients are served."""
    it = target(tls, limits={"buffer_bytes": 16 << 20})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(it.connect(settings={Setting.INITIAL_WINDOW_SIZE: 0})) for _ in range(20)]
        for client in clients:
            ids = [client.request(head("GET", "/large", "files")) for _ in range(20)]
            with contextlib.suppress(Ended):
                client.started(ids[-1])
        it.assert_serves_others()
        if it.pid:
            assert resident(it.pid) - it.before < MEMORY
        for client in clients:
            client.abort()
    it.assert_released()


@TLS
def test_bodies_that_are_not_taken(target, tls):
    """A hundred uploads to an upstream that takes nothing: the windows bound what is kept."""
    it = target(tls, limits={"request_body_bytes": 0})
    stop = []

    def serve(link, request):
        link.upstream.journal.until(lambda: stop, "end of the test", 6 * DEADLINE)
        link.close()

    stuck = it.up.on(serve)
    with it.connect() as client:
        ids = [client.request(head("POST", stuck, "x"), end=False) for _ in range(LANES)]
        for id in itertools.islice(itertools.cycle(ids), 20 * LANES):
            lane = client.lanes[id]
            if min(lane.send_window, client.send_window) > 0:
                client.data(id, bytes(min(16384, lane.send_window, client.send_window)))
        with contextlib.suppress(Ended):
            client.ping()
        it.assert_bounded(buffers=5 * LANES)
        client.abort()
        with it.up.journal:
            stop.append(True)
            it.up.journal.notify_all()
    it.assert_released()


# --- after the end


@pytest.mark.parametrize("code", ["calm", "protocol"])
def test_nothing_is_handled_behind_the_end(target, code):
    """CVE-2026-27135: requests behind the fault, in the same segment."""
    it = target()
    with it.connect() as client:
        client.floods = True
        fault = window_frame(0, 0) if code == "protocol" else FLOODS["PING"] * 10_000
        client.try_send(fault + client.prepare(head("GET", "/behind", "x"))[1] * 1)
        assert client.goaway() == (Code.PROTOCOL_ERROR if code == "protocol" else Code.ENHANCE_YOUR_CALM)
        it.assert_bounded()
    it.assert_released()
    assert not it.up.requests_for("/behind")


def test_the_log_tells_who(target):
    """A connection that was ended for its manners is logged with its peer."""
    it = target()
    with it.connect() as client:
        client.floods = True
        client.flood(FLOODS["PING"] * 100, 1000)
        assert_calmed(client)
    it.server.wait_line(r"^(?!.*listening).*127\.0\.0\.1")
