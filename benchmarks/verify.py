"""Sends one request of each workload to each server before the benchmark, to check that they do the same work."""

import http.client
import socket
import ssl

from benchmarks.processes import BenchError
from benchmarks.servers import HOST, Server, Target
from benchmarks.workloads import Workload


def verify(server: Server, workload: Workload) -> tuple[str, ...]:
    """Fails unless the response is correct. Returns TLS version, cipher, and the kind of a second handshake. Returns an
    empty tuple for plain HTTP."""
    target = server.targets[workload.name]
    what = f"{server.name}, {workload.name}"
    connection = _connection(workload, target)
    try:
        connection.request("GET", workload.path, headers={"Connection": "close"} if workload.close else {})
        agreed = connection.sock.cipher() if isinstance(connection.sock, ssl.SSLSocket) else None
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{what}: {type(error).__name__}: {error}\n{target.process.said()}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise BenchError(f"{what}: status {response.status} instead of 200: {body[:200]!r}")
    if body != b"x" * workload.body_bytes:
        raise BenchError(f"{what}: the body is wrong: {len(body)} bytes instead of {workload.body_bytes}")
    if response.will_close != workload.close:
        raise BenchError(f"{what}: the server should {'' if workload.close else 'not '}close the connection")
    return (agreed[1], agreed[0], _second_handshake(workload, target)) if agreed else ()


def _second_handshake(workload: Workload, target: Target) -> str:
    """Returns "resumed" or "full". wrk offers its last session, and a resumed session makes a new connection much
    cheaper."""
    context = _context()
    request = f"GET {workload.path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    session = None
    resumed = False
    for _ in range(2):
        with (
            socket.create_connection((HOST, target.port), timeout=10) as plain,
            context.wrap_socket(plain, session=session) as secured,
        ):
            secured.sendall(request)
            secured.recv(65536)  # in TLS 1.3 tickets arrive before the response
            session, resumed = secured.session, bool(secured.session_reused)
    return "resumed" if resumed else "full"


def verify_all(servers: list[Server], workloads: list[Workload]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Verifies all servers. Returns the negotiated TLS parameters by workload and server. Fails if servers differ."""
    agreed: dict[str, dict[str, tuple[str, ...]]] = {}
    for workload in workloads:
        found = {server.name: verify(server, workload) for server in servers if workload.name in server.targets}
        if len(set(found.values())) > 1:
            raise BenchError(f"{workload.name}: the servers negotiate different TLS parameters: {found}")
        if workload.tls:
            agreed[workload.name] = found
    return agreed


def _connection(workload: Workload, target: Target) -> http.client.HTTPConnection:
    if not workload.tls:
        return http.client.HTTPConnection(HOST, target.port, timeout=10)
    return http.client.HTTPSConnection(HOST, target.port, timeout=10, context=_context())


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
