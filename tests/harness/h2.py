"""A strict HTTP/2 client (RFC 9113) over a raw socket: it can send any frame, and checks every frame that it gets.

    with connect(server) as client:                              # preface, SETTINGS, and the server's SETTINGS
        id = client.request(head("POST", "/x", "proxied"), b"body")
        assert client.response(id).status == 200                 # a Lane: status, fields, body, trailers, interim

*Lane* is a stream of RFC 9113, as everywhere in this project. Only functions that wait, and `send()` while the kernel
accepts nothing, read from the socket. So a client that the test asks for nothing does not read. Windows are given back
when a frame is handled, so that the server may be held to its windows exactly only with `auto_window=False`.

What it checks without being asked: the server's first frame is SETTINGS; only frames, flags and sizes of the RFC; no
DATA beyond the windows; no frame on a lane that the server has ended or that was never opened; heads without forbidden
fields, upper case or white space; 1xx without END_STREAM; trailers with it; Content-Length equals DATA; window updates
without overflow; acknowledgements only of what was sent; ids of GOAWAY that only decrease.
"""

import enum
import re
import select
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType

import hpack
from hyperframe import frame as frames_of

from harness.raw import Client, Ended, Fields, Message, any_certificate, own_reason
from harness.server import Server
from harness.waiting import DEADLINE, Found

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32
WINDOW = 65535
WINDOW_MAX = (1 << 31) - 1
FRAME_BYTES = 16384
ALL_LANES = WINDOW_MAX
"""The last id in a GOAWAY that only announces the end."""

_FLAGS = {DATA: END_STREAM | PADDED, HEADERS: END_STREAM | END_HEADERS | PADDED | WITH_PRIORITY}
_FLAGS |= {RST_STREAM: 0, SETTINGS: ACK, PING: ACK, GOAWAY: 0, WINDOW_UPDATE: 0, CONTINUATION: END_HEADERS}
_FORBIDDEN = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "http2-settings"}

Head = Iterable[tuple[str | bytes, str | bytes]]


class Code(enum.IntEnum):
    """RFC 9113 7"""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(enum.IntEnum):
    """RFC 9113 6.5.2, RFC 8441 3, RFC 9218 2.1"""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6
    ENABLE_CONNECT_PROTOCOL = 8
    NO_RFC7540_PRIORITIES = 9


def frame(kind: int, flags: int = 0, id: int = 0, payload: bytes = b"") -> bytes:
    """Returns the bytes of a frame, valid or not."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, id) + payload


def settings_frame(values: Mapping[int, int] | Sequence[tuple[int, int]] = ()) -> bytes:
    pairs = values.items() if isinstance(values, Mapping) else values
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_frame(id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, id, struct.pack(">I", increment))


def reset_frame(id: int, code: int = Code.CANCEL) -> bytes:
    return frame(RST_STREAM, 0, id, struct.pack(">I", code))


def block_frames(id: int, block: bytes, end: bool = True, size: int = FRAME_BYTES) -> bytes:
    """Returns HEADERS, and CONTINUATION for what exceeds `size`."""
    parts = [block[at : at + size] for at in range(0, len(block), size)] or [b""]
    out = []
    for number, part in enumerate(parts):
        flags = END_HEADERS if number == len(parts) - 1 else 0
        kind = CONTINUATION if number else HEADERS
        out.append(frame(kind, flags | (END_STREAM if end and not number else 0), id, part))
    return b"".join(out)


def head(
    method: str = "GET", path: str = "/", host: str = "proxied", *fields: tuple[str, str], scheme: str = "http"
) -> list[tuple[str | bytes, str | bytes]]:
    """Returns the head of a valid request."""
    return [(":method", method), (":scheme", scheme), (":authority", host), (":path", path), *fields]


class Lane(Message):
    """One request and what the server has sent for it so far."""

    def __init__(self, id: int, method: str, receive_window: int, send_window: int) -> None:
        self.id = id
        self.method = method
        self.status = 0
        """0: there is no final head yet."""
        self.fields: Fields = []
        self.body = b""
        """Set when the lane is done. Before that see `so_far`."""
        self.trailers: Fields = []
        self.interim: list[tuple[int, Fields]] = []
        self.pieces: list[bytes] = []
        self.count = 0
        """Octets of the body so far."""
        self.ended = False
        """Whether END_STREAM came."""
        self.head_ended = False
        """Whether END_STREAM was on the head, so that there was not even an empty DATA."""
        self.reset: int | None = None
        """The code of the server's RST_STREAM."""
        self.sent_end = False
        self.sent_reset = False
        self.at_once = False
        """The whole request was in its HEADERS."""
        self.disturbed = False
        """The test has sent frames of its own making on this lane."""
        self.receive_window = receive_window
        self.send_window = send_window
        self.due = 0
        """Octets received for which no WINDOW_UPDATE was sent."""

    def __repr__(self) -> str:
        return (
            f"Lane {self.id}: status {self.status} {self.fields}, {self.count} octets {self.so_far[:200]!r}, "
            f"trailers {self.trailers}, ended {self.ended}, reset {self.reset}"
        )

    @property
    def so_far(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def done(self) -> bool:
        return self.ended or self.reset is not None

    @property
    def reason(self) -> str:
        """The reason in the body of Ringway's own response."""
        return own_reason(self.status, self.so_far)


class Http2:
    """A connection. See the module's text."""

    def __init__(
        self,
        address: tuple[str, int] | str,
        tls: bool = False,
        settings: Mapping[int, int] | None = None,
        hello: bool = True,
        auto_window: bool = True,
        connection_window: int = WINDOW,
        window: int | None = None,
        source: str | None = None,
        context: ssl.SSLContext | None = None,
        host: str = "localhost",
    ) -> None:
        """`hello`: send preface and SETTINGS, and wait for the server's SETTINGS and its acknowledgement.
        `auto_window`: give back the windows of DATA that was read. `connection_window`: raise the connection's window
        to this at once. `window`: size of the socket's receive buffer."""
        self.raw = Client(address, tls=tls, window=window, source=source, context=context or offering("h2"), host=host)
        self.sock = self.raw.sock
        if tls:
            assert isinstance(self.sock, ssl.SSLSocket)
            assert self.sock.selected_alpn_protocol() == "h2", "the server did not agree on h2"
        self.sock.setblocking(False)
        self.auto_window = auto_window
        self.floods = False
        """The test sends PING and SETTINGS of its own making: acknowledgements are not counted."""
        self.held: set[int] = set()
        """Lanes whose window is not given back, though `auto_window` is set."""
        self.lanes: dict[int, Lane] = {}
        self.goaways: list[tuple[int, int, bytes]] = []
        """Last id, code and debug data of each GOAWAY."""
        self.ended = False
        """The server has ended the connection."""
        self.broken = False
        """... with RST, or TLS without close_notify."""
        self.peer: dict[int, int] = {}
        """The server's settings."""
        self.settings_seen = 0
        """SETTINGS of the server so far."""
        self.acks = 0
        """Acknowledgements of our SETTINGS so far."""
        self.pongs: list[bytes] = []
        self.send_window = WINDOW
        """What this client may still send on the whole connection."""
        self.receive_window = WINDOW
        self.granted: dict[int, int] = {}
        """Octets that WINDOW_UPDATEs of the server have granted, by lane; 0: the connection."""
        self.encoder = hpack.Encoder()
        self._decoder = hpack.Decoder(max_header_list_size=1 << 24)
        self._frames: list[frames_of.Frame] = []
        self._in = bytearray()
        self._block: tuple[Lane, bytearray, bool] | None = None
        self._own: dict[int, int] = {}
        self._unacked: list[dict[int, int]] = []
        self._pings: list[bytes] = []
        self._due = 0
        self._next = 1
        try:
            if hello:
                self.hello(settings, connection_window)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Http2":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._process()
        self.close()

    def close(self) -> None:
        self.raw.close()

    def abort(self) -> None:
        """Closes the connection with RST."""
        self.raw.reset()

    # Sending

    def hello(self, settings: Mapping[int, int] | None = None, connection_window: int = WINDOW) -> None:
        first = self.own_settings({Setting.ENABLE_PUSH: 0, **(settings or {})})
        if connection_window > WINDOW:
            first += window_frame(0, connection_window - WINDOW)
            self.receive_window = connection_window
        self.send(PREFACE + first)
        self.wait(lambda: self.settings_seen and self.acks, "SETTINGS of the server and its acknowledgement of ours")

    def own_settings(self, values: Mapping[int, int]) -> bytes:
        """Returns a SETTINGS frame, which the test sends. From now on the server may use larger windows; smaller ones
        count from its acknowledgement."""
        values = {int(name): value for name, value in values.items()}
        self._unacked.append(values)
        new = values.get(Setting.INITIAL_WINDOW_SIZE)
        if new is not None and new > self._initial_window:
            self._change_window(new)
        if Setting.HEADER_TABLE_SIZE in values:
            size = values[Setting.HEADER_TABLE_SIZE]
            self._decoder.max_allowed_table_size = max(size, self._decoder.max_allowed_table_size)
        return settings_frame(values)

    def settings(self, values: Mapping[int, int], wait: bool = True) -> None:
        acks = self.acks
        self.send(self.own_settings(values))
        if wait:
            self.wait(lambda: self.acks > acks, "acknowledgement of SETTINGS")

    def send(self, data: bytes, seconds: float = DEADLINE) -> None:
        """Sends bytes. Reads (and keeps for later) what the server sends while the kernel accepts nothing."""
        end = time.monotonic() + seconds
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view[:65536]) :]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._pull(end, sending=True)

    def try_send(self, data: bytes) -> bool:
        """Sends bytes. False: the server has closed the connection."""
        try:
            self.send(data)
        except (OSError, ssl.SSLError):
            return False
        return True

    def send_pieces(self, data: bytes, size: int = 1) -> None:
        """Sends each piece in its own segment, as far as the kernel allows."""
        for at in range(0, len(data), size):
            self.send(data[at : at + size])

    def flood(self, data: bytes, times: int, quiet: float = 0.5) -> int:
        """Sends data again and again and reads nothing, until the server has closed the connection or accepts nothing
        for `quiet` seconds. Returns how many octets it took."""
        sent = 0
        for _ in range(times):
            view = memoryview(data)
            while view:
                if not select.select([], [self.sock], [], quiet)[1]:
                    return sent
                try:
                    count = self.sock.send(view)
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    continue
                except (OSError, ssl.SSLError):
                    return sent
                view = view[count:]
                sent += count
        return sent

    def send_frame(self, kind: int, flags: int = 0, id: int = 0, payload: bytes = b"") -> None:
        """Sends any frame. The client takes no account of its meaning, except that HEADERS open a lane."""
        if kind == HEADERS and id not in self.lanes:
            self._open(id, "?")
        if id in self.lanes:
            self.lanes[id].disturbed = True
        self.send(frame(kind, flags, id, payload))

    def block(self, fields: Head) -> bytes:
        """Returns the field block. It must be sent, because it changes the table."""
        return bytes(self.encoder.encode([(_octets(name), _octets(value)) for name, value in fields]))

    def prepare(self, fields: Head, end: bool = True, size: int = FRAME_BYTES) -> tuple[int, bytes]:
        """Opens a lane. Returns its id and the frames of its head, which the test sends."""
        fields = list(fields)
        method = next((value for name, value in fields if _octets(name) == b":method"), "?")
        lane = self._open(self._next, _octets(method).decode("latin-1"))
        self._next += 2
        lane.sent_end = lane.at_once = end
        return lane.id, block_frames(lane.id, self.block(fields), end, size)

    def request(self, fields: Head, body: bytes = b"", end: bool = True, trailers: Head | None = None) -> int:
        """Sends a request and returns the id of its lane. `end`: False leaves it open for `data()` and `trail()`."""
        id, data = self.prepare(fields, end and not body and trailers is None)
        self.send(data)
        if body:
            self.data(id, body, end and trailers is None)
        if trailers is not None:
            self.trail(id, trailers)
        return id

    def get(self, path: str = "/", *fields: tuple[str, str], host: str = "proxied", method: str = "GET") -> Lane:
        """Sends a request without a body and returns its response."""
        return self.response(self.request(head(method, path, host, *fields)))

    def data(self, id: int, data: bytes, end: bool = False, size: int = FRAME_BYTES) -> bool:
        """Sends a part of a body, as the windows allow. False: the lane ended before all of it was sent."""
        lane = self.lanes[id]
        view = memoryview(data)
        while view or end:
            if view and min(self.send_window, lane.send_window) <= 0:
                self.wait(lambda: lane.done or min(self.send_window, lane.send_window) > 0, f"window for lane {id}")
            if lane.done:
                return False
            part = view[: min(size, self.send_window, lane.send_window)] if view else view
            view = view[len(part) :]
            last = end and not view
            self.send_window -= len(part)
            lane.send_window -= len(part)
            lane.sent_end |= last
            self.send(frame(DATA, END_STREAM if last else 0, id, bytes(part)))
            if last:
                break
        return True

    def data_regardless(self, id: int, data: bytes) -> None:
        """Sends a frame on a lane that has ended, as far as the connection's window allows."""
        self.lanes[id].disturbed = True
        self.wait(lambda: self.send_window >= len(data), "window of the connection")
        self.send_window -= len(data)
        self.send(frame(DATA, 0, id, data))

    def trail(self, id: int, fields: Head) -> None:
        """Sends trailers, which end the request."""
        self.lanes[id].sent_end = True
        self.send(block_frames(id, self.block(fields)))

    def cancel(self, id: int, code: int = Code.CANCEL) -> None:
        self.lanes[id].sent_reset = True
        self.send(reset_frame(id, code))

    def give(self, id: int, increment: int) -> None:
        """Sends WINDOW_UPDATE for a lane, or for the connection (0)."""
        if id:
            self.lanes[id].receive_window += increment
        else:
            self.receive_window += increment
        self.send(window_frame(id, increment))

    def ping(self, payload: bytes = b"12345678") -> None:
        """Sends PING and waits for its acknowledgement: the server has then handled all frames before it."""
        seen = len(self.pongs)
        self._pings.append(payload)
        self.send(frame(PING, payload=payload))
        self.wait(lambda: len(self.pongs) > seen, "acknowledgement of PING")

    # Waiting

    def wait(self, look: Callable[[], Found], what: str, seconds: float = DEADLINE) -> Found:
        """Reads until `look` returns a true result, and returns that. Raises Ended if the connection ends before."""
        end = time.monotonic() + seconds
        while True:
            self._process()
            if found := look():
                return found
            if self.ended:
                raise Ended(f"the connection ended, and there was no {what}; GOAWAYs: {self.goaways}; {self._last()}")
            if time.monotonic() >= end:
                raise AssertionError(f"within {seconds:g} s there was no {what}; {self._last()}")
            self._pull(end)

    def poll(self, seconds: float = 0.02) -> None:
        """Waits this long for something from the server at most, and handles what there is."""
        readable = self.ended or select.select([self.sock], [], [], seconds)[0]
        if readable or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
            self._pull(time.monotonic() + DEADLINE)
        self._process()

    def started(self, id: int, seconds: float = DEADLINE) -> Lane:
        """Waits for the final head."""
        lane = self.lanes[id]
        self.wait(lambda: lane.status or lane.done, f"head on lane {id}", seconds)
        assert lane.status, f"no response, but RST_STREAM: {lane}"
        return lane

    def done(self, id: int, seconds: float = DEADLINE) -> Lane:
        """Waits for END_STREAM or RST_STREAM."""
        lane = self.lanes[id]
        self.wait(lambda: lane.done, f"end of lane {id}", seconds)
        return lane

    def response(self, id: int, seconds: float = DEADLINE) -> Lane:
        """Waits for the whole response."""
        lane = self.done(id, seconds)
        assert lane.ended, f"the response was cut: {lane}"
        return lane

    def reset_of(self, id: int, seconds: float = DEADLINE) -> Code:
        """Waits for RST_STREAM and returns its code."""
        lane = self.lanes[id]
        self.wait(lambda: lane.reset is not None, f"RST_STREAM of lane {id}", seconds)
        assert lane.reset is not None
        return Code(lane.reset)

    def goaway(self, seconds: float = DEADLINE) -> Code:
        """Waits until the server ends the connection. Returns the code of its last GOAWAY; there must be one."""
        self.assert_ended(seconds)
        assert self.goaways, f"the connection ended without GOAWAY; {self._last()}"
        return Code(self.goaways[-1][1])

    def error(self, id: int = 0, seconds: float = DEADLINE) -> tuple[str, Code]:
        """Waits for an error. Returns ("lane", code) for RST_STREAM of this lane, or ("connection", code)."""
        lane = self.lanes.get(id)

        def look() -> bool:
            failed = any(code for _, code, _ in self.goaways)
            return self.ended or failed or (lane is not None and lane.reset is not None)

        self.wait(look, f"error, on lane {id}", seconds)
        if lane is not None and lane.reset is not None and not any(code for _, code, _ in self.goaways):
            return "lane", Code(lane.reset)
        return "connection", self.goaway(seconds)

    def assert_ended(self, seconds: float = DEADLINE) -> None:
        """Waits until the server ends the connection."""
        self.wait(lambda: self.ended, "end of the connection", seconds)

    def frames(self, kind: int | None = None, id: int | None = None) -> list[frames_of.Frame]:
        """Returns the frames that were read so far, of this type and lane."""
        self._process()
        return [f for f in self._frames if kind in (None, f.type) and id in (None, f.stream_id)]

    # Receiving

    @property
    def _initial_window(self) -> int:
        return self._own.get(Setting.INITIAL_WINDOW_SIZE, WINDOW)

    def _last(self) -> str:
        return f"the last frames: {self._frames[-5:]}, unread: {bytes(self._in[:100])!r}"

    def _open(self, id: int, method: str) -> Lane:
        initial = self.peer.get(Setting.INITIAL_WINDOW_SIZE, WINDOW)
        lane = self.lanes[id] = Lane(id, method, self._initial_window, initial)
        return lane

    def _pull(self, end: float, sending: bool = False) -> None:
        """Waits until the socket is readable (or writable, if `sending`), and keeps what it has received."""
        left = end - time.monotonic()
        if left <= 0:
            raise AssertionError(f"the server accepted and sent nothing in time; {self._last()}")
        pending = isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()
        if not pending:
            select.select([] if self.ended else [self.sock], [self.sock] if sending else [], [], left)
        if self.ended:
            return
        try:
            data = self.sock.recv(1 << 18)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except ssl.SSLZeroReturnError:
            data = b""
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
            self.broken = True
        self._in += data
        self.ended = not data

    def _process(self) -> None:
        at = 0
        while len(self._in) - at >= 9:
            length = int.from_bytes(self._in[at : at + 3], "big")
            assert length <= FRAME_BYTES, f"6.5.2: a frame of {length} octets; {self._last()}"
            if len(self._in) - at < 9 + length:
                break
            header, payload = bytes(self._in[at : at + 9]), bytes(self._in[at + 9 : at + 9 + length])
            at += 9 + length
            self._take(header, payload)
        del self._in[:at]
        if self.ended and not self.broken:
            assert not self._in, f"the connection ended within a frame: {bytes(self._in[:100])!r}"

    def _take(self, header: bytes, payload: bytes) -> None:
        kind, flags, reserved = header[3], header[4], header[5] >> 7
        assert kind in _FLAGS, f"a client gets no frame of type {kind}: {header!r} {payload[:100]!r}"
        assert not flags & ~_FLAGS[kind], f"unknown flags: {header!r}"
        assert not reserved, f"4.1: the reserved bit is set: {header!r}"
        got, _ = frames_of.Frame.parse_frame_header(memoryview(header), strict=True)
        got.parse_body(memoryview(payload))
        assert self._frames or (kind == SETTINGS and not flags), f"3.4: the first frame is not SETTINGS: {got}"
        self._frames.append(got)
        id = got.stream_id
        if self._block is not None:
            assert (kind, id) == (CONTINUATION, self._block[0].id), f"6.10: {got} within a field block"
        lane = None
        if id:
            lane = self.lanes.get(id)
            assert lane is not None, f"5.1: a frame on a lane that was not opened: {got}"
            assert lane.reset is None, f"5.1: a frame behind the server's RST_STREAM: {got}"
            if lane.ended:
                assert kind in (RST_STREAM, WINDOW_UPDATE), f"5.1: a frame behind END_STREAM: {got}"
                clean = lane.at_once and not lane.disturbed and not lane.sent_reset
                assert not clean, f"5.1: a frame on a closed lane: {got}"
            if self.goaways and kind in (HEADERS, DATA):
                assert id <= self.goaways[-1][0], f"6.8: {got} behind GOAWAY {self.goaways}"
        self._on_connection(got, payload) if lane is None else self._on_lane(lane, got, payload)

    def _on_connection(self, got: frames_of.Frame, payload: bytes) -> None:
        if isinstance(got, frames_of.SettingsFrame):
            self._take_settings(got, payload)
        elif isinstance(got, frames_of.PingFrame):
            assert len(payload) == 8
            if "ACK" in got.flags:
                if self.floods:
                    return
                assert payload in self._pings, f"6.7: acknowledges what was not sent: {got}"
                self._pings.remove(payload)
                self.pongs.append(payload)
            else:
                self.try_send(frame(PING, ACK, 0, payload))
        elif isinstance(got, frames_of.GoAwayFrame):
            if self.goaways:
                assert got.last_stream_id <= self.goaways[-1][0], f"6.8: the last id increases: {got} {self.goaways}"
            self.goaways.append((got.last_stream_id, got.error_code, got.additional_data))
        elif isinstance(got, frames_of.WindowUpdateFrame):
            self.send_window += self._increment(0, got, self.send_window)
        else:
            raise AssertionError(f"a frame that belongs on a lane: {got}")

    def _take_settings(self, got: frames_of.SettingsFrame, payload: bytes) -> None:
        if "ACK" in got.flags:
            assert not payload
            if self.floods:
                return
            assert self._unacked, "6.5.3: acknowledges SETTINGS that were not sent"
            values = self._unacked.pop(0)
            new = values.get(Setting.INITIAL_WINDOW_SIZE, self._initial_window)
            if new != self._initial_window:
                self._change_window(new)
            if Setting.HEADER_TABLE_SIZE in values:
                self._decoder.max_allowed_table_size = values[Setting.HEADER_TABLE_SIZE]
            self.acks += 1
            return
        values = dict(struct.iter_unpack(">HI", payload))
        assert not values.get(Setting.ENABLE_PUSH), "6.5.2: a server does not enable push"
        assert values.get(Setting.INITIAL_WINDOW_SIZE, 0) <= WINDOW_MAX
        assert FRAME_BYTES <= values.get(Setting.MAX_FRAME_SIZE, FRAME_BYTES) < 1 << 24
        assert values.get(Setting.NO_RFC7540_PRIORITIES, 0) <= 1
        before = self.peer.get(Setting.INITIAL_WINDOW_SIZE, WINDOW)
        self.peer |= values
        change = self.peer.get(Setting.INITIAL_WINDOW_SIZE, WINDOW) - before
        for lane in self.lanes.values():
            lane.send_window += change  # 6.9.2: may become negative
        if Setting.HEADER_TABLE_SIZE in values:
            self.encoder.header_table_size = min(4096, values[Setting.HEADER_TABLE_SIZE])
        self.settings_seen += 1
        self.try_send(frame(SETTINGS, ACK))

    def _change_window(self, new: int) -> None:
        for lane in self.lanes.values():
            lane.receive_window += new - self._initial_window
        self._own[Setting.INITIAL_WINDOW_SIZE] = new

    def _increment(self, id: int, got: frames_of.WindowUpdateFrame, window: int) -> int:
        increment = int(got.window_increment)
        assert increment > 0, f"6.9: {got}"
        assert window + increment <= WINDOW_MAX, f"6.9.1: {got} for a window of {window}"
        self.granted[id] = self.granted.get(id, 0) + increment
        return increment

    def _on_lane(self, lane: Lane, got: frames_of.Frame, payload: bytes) -> None:
        if isinstance(got, frames_of.DataFrame):
            self._take_data(lane, got, payload)
        elif isinstance(got, frames_of.HeadersFrame):
            assert "PRIORITY" not in got.flags
            assert self._block is None
            self._take_block(lane, bytearray(got.data), "END_STREAM" in got.flags, "END_HEADERS" in got.flags)
        elif isinstance(got, frames_of.ContinuationFrame):
            assert self._block is not None, f"6.10: {got} without HEADERS"
            _, block, end = self._block
            self._take_block(lane, block + got.data, end, "END_HEADERS" in got.flags)
        elif isinstance(got, frames_of.RstStreamFrame):
            lane.reset = got.error_code
            lane.body = lane.so_far
        elif isinstance(got, frames_of.WindowUpdateFrame):
            lane.send_window += self._increment(lane.id, got, lane.send_window)
        else:
            raise AssertionError(f"a frame that belongs on no lane: {got}")

    def _take_data(self, lane: Lane, got: frames_of.DataFrame, payload: bytes) -> None:
        assert lane.status or lane.sent_reset, f"8.1: DATA without a head: {got}"
        assert not lane.trailers
        counted = len(payload)
        assert counted <= lane.receive_window, f"6.9: {counted} octets, but lane {lane.id} has {lane.receive_window}"
        assert counted <= self.receive_window, f"6.9: {counted} octets, but the connection has {self.receive_window}"
        lane.receive_window -= counted
        self.receive_window -= counted
        lane.pieces.append(bytes(got.data))
        lane.count += len(got.data)
        if "END_STREAM" in got.flags:
            self._end(lane)
        self._due += counted
        lane.due += counted
        if self.auto_window and lane.id not in self.held:
            self._give_back(lane)

    def _give_back(self, lane: Lane) -> None:
        """Sends window updates for half of a window or more."""
        updates = b""
        if lane.due * 2 >= self._initial_window and lane.due and not lane.ended and not lane.sent_reset:
            updates += window_frame(lane.id, lane.due)
            lane.receive_window += lane.due
            lane.due = 0
        if self._due * 2 >= self.receive_window:
            updates += window_frame(0, self._due)
            self.receive_window += self._due
            self._due = 0
        if updates:
            self.try_send(updates)

    def _take_block(self, lane: Lane, block: bytearray, end: bool, complete: bool) -> None:
        if not complete:
            self._block = lane, block, end
            return
        self._block = None
        fields = [
            (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
            for name, value in self._decoder.decode(bytes(block), raw=True)
        ]
        if lane.status:
            assert end, f"8.1: trailers without END_STREAM: {fields}"
            assert not any(name.startswith(":") for name, _ in fields), f"8.1: a pseudo field in trailers: {fields}"
            _check_fields(fields)
            lane.trailers = fields
            self._end(lane)
            return
        assert [name for name, _ in fields[:1]] == [":status"], f"8.3.2: no :status in front: {fields}"
        (_, text), *fields = fields
        assert re.fullmatch("[1-5][0-9][0-9]", text), f"8.3.2: :status is {text!r}"
        status = int(text)
        assert status != 101, "8.6: status 101"
        _check_fields(fields)
        if status < 200:
            assert not end, f"8.1: END_STREAM on {status}"
            assert "content-length" not in dict(fields)
            lane.interim.append((status, fields))
            return
        lane.status, lane.fields = status, fields
        if end:
            lane.head_ended = True
            self._end(lane)

    def _end(self, lane: Lane) -> None:
        assert not lane.ended, f"END_STREAM twice on lane {lane.id}"
        lane.ended = True
        lane.body = lane.so_far
        lengths = lane.all("content-length")
        assert len(lengths) <= 1, f"8.1.1: several lengths: {lane}"
        if lane.method == "HEAD" or lane.status in (204, 304):
            assert not lane.count, f"9110-6.4.1: a body: {lane}"
            assert lane.status != 204 or not lengths, f"9110-8.6: a length in 204: {lane}"
        elif lengths:
            assert int(lengths[0]) == lane.count, f"8.1.1: Content-Length differs from DATA: {lane}"


def _octets(text: str | bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else text


def _check_fields(fields: Fields) -> None:
    """RFC 9113 8.2"""
    for name, value in fields:
        assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", name), f"8.2, 8.3: name {name!r} in {fields}"
        assert value == value.strip(" \t"), f"8.2.1: white space around the value: {name!r} {value!r}"
        assert not any(c in "\0\r\n" for c in value), f"8.2.1: {name!r} {value!r}"
        assert name not in _FORBIDDEN, f"8.2.2: {name!r}: {value!r}"


def offering(*protocols: str) -> ssl.SSLContext:
    """Returns a context that accepts any certificate and offers these protocols."""
    context = any_certificate()
    context.set_alpn_protocols(list(protocols))
    return context


def connect(server: Server, tls: bool = False, **options: object) -> Http2:
    """Connects a client. See `Http2` for the options."""
    return Http2(server.listener(tls).address, tls=tls, **options)  # type: ignore[arg-type]
