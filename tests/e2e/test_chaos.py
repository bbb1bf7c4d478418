"""Clients and an upstream do anything at any moment. Afterwards Ringway works and has left nothing open.

The responses are not checked here; other tests do that. These tests are about the order of events: resets with bytes in
flight, ends inside heads and bodies, readers that stop, upstreams that close, send out of turn or answer too early,
over plain TCP and TLS. Seeds are fixed, the kernel's timing is not.
"""

import asyncio
import contextlib
import random
import ssl
import struct

import pytest
from harness.waiting import PATIENCE

CONNECTIONS = 400
AT_ONCE = 60
SECONDS = 60.0 * PATIENCE
_LINGER_RESET = struct.pack("ii", 1, 0)


def broken_off(writer: asyncio.StreamWriter) -> None:
    """Closes with a reset."""
    import socket

    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    writer.transport.abort()


class ChaoticUpstream:
    """Answers most requests correctly, and the others in every wrong way."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.serving: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self.serving.add(task)
        try:
            while await self.one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()
            self.serving.discard(task)

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        dice = self.random.randrange(24)
        head = await reader.readuntil(b"\r\n\r\n")
        if dice == 0:
            return False
        if dice == 1:
            broken_off(writer)
            return False
        if dice == 2:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
            await writer.drain()
            return False
        if b"chunked" in head:
            while size := int((await reader.readline()).split(b";")[0], 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        elif b"Content-Length: " in head:
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        size = self.random.choice([0, 1, 100, 5000, 70_000, 700_000])
        if dice == 3:
            writer.write(b"nonsense\r\n\r\n")
        elif dice == 4:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (size + 10) + b"x" * size)
            await writer.drain()
            return False
        elif dice == 5:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nz\r\n")
        elif dice == 6:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n")
        elif dice == 7:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * size)
            await writer.drain()
            return False
        elif dice < 14:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(self.random.randrange(4)):
                writer.write(b"%x\r\n" % (size + 1) + b"z" * (size + 1) + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        await writer.drain()
        return True


class ChaoticClient:
    """One connection: some requests, then one of many ways to end."""

    def __init__(self, seed: int, address: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        self.random = random.Random(seed)
        self.address = address
        self.tls = tls

    def request(self) -> bytes:
        body = b"b" * self.random.choice([0, 1, 3000, 50_000, 300_000])
        path = self.random.choice(["/", "/small", "/large", "/memory/small", "/memory/large", "/missing", "/api/x"])
        if path == "/api/x":
            if self.random.random() < 0.3:
                chunks = b"%x\r\n%b\r\n" % (len(body) + 1, body + b"c")
                return b"POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
            if self.random.random() < 0.5:
                return b"PUT /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        method = self.random.choice(["GET", "GET", "HEAD"])
        extra = self.random.choice(
            ["", "", "Range: bytes=0-10,100-200\r\n", "Connection: close\r\n", "If-Match: *\r\n"]
        )
        return f"{method} {path} HTTP/1.1\r\nHost: h\r\n{extra}\r\n".encode()

    async def run(self) -> None:
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(*self.address, ssl=self.tls, limit=1024)
            try:
                await asyncio.wait_for(self.talk(reader, writer), 4)
            finally:
                writer.transport.abort()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(self.random.randrange(1, 5)):
            data = b"".join(self.request() for _ in range(self.random.choice([1, 1, 1, 3])))
            dice = self.random.randrange(12)
            if dice == 0:
                writer.write(data[: self.random.randrange(len(data))])  # send a part, then end
                await asyncio.sleep(self.random.random() / 100)
                return
            if dice == 1:
                writer.write(data)
                broken_off(writer)
                return
            if dice == 2:
                for at in range(0, min(len(data), 400), 7):
                    writer.write(data[at : at + 7])
                    await asyncio.sleep(0)
                writer.write(data[400:])
            elif dice == 3:
                writer.write(b"\x16\x03nonsense \x00\r\n\r\n")
            else:
                writer.write(data)
            if dice == 4 and self.tls is None:
                writer.write_eof()
                await self.read_some(reader)
                return
            if dice == 5:
                await reader.read(100)  # read no more
                await asyncio.sleep(self.random.random() / 10)
                return
            await self.read_some(reader)

    async def read_some(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05 + self.random.random() / 5):
                while await reader.read(self.random.choice([1, 1000, 65536])):
                    pass


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_anything_at_any_moment(ringway, certificate, tmp_path, seed, tls):
    """The server still answers afterwards, and (the fixture checks this) has left nothing open at its end."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/small").write_bytes(b"s" * 1000)
    (tmp_path / "site/large").write_bytes(b"l" * 3_000_000)
    (tmp_path / "site/index.html").write_bytes(b"index")
    asyncio.run(asyncio.wait_for(chaos(ringway, certificate, tmp_path / "site", seed, tls), SECONDS))


async def chaos(ringway, certificate, site, seed, tls):
    upstream = ChaoticUpstream(seed)
    origin = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, limit=1 << 20)
    port = origin.sockets[0].getsockname()[1]
    config = {
        "host_routes": {"*": {"type": "File", "path": str(site)}},
        "path_routes": {
            "*": {
                "/memory/": {"type": "File", "path": str(site), "mode": "memory"},
                "/api/": {"type": "Proxy", "url": f"http://127.0.0.1:{port}"},
            }
        },
        "limits": {"memory_file_bytes": 4_000_000, "open_files": 16, "upstream_idle": 3},
        "timeouts": {"head": 1.0, "body": 1.0, "keepalive": 0.5, "upstream_idle": 0.5, "drain": 8.0},
    }
    if tls:
        config["tls"] = certificate
    server = await asyncio.to_thread(ringway, config)
    listener = server.listeners[0]
    context = None
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            await ChaoticClient(seed * 10_000 + number, listener.address, context).run()

    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))
    reader, writer = await asyncio.open_connection(*listener.address, ssl=context)
    writer.write(b"GET /memory/small HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"s" * 1000)
    writer.close()
    origin.close()
    while tasks := [task for task in upstream.serving if task]:
        await asyncio.wait(tasks)  # Ringway closes idle connections after half a second
