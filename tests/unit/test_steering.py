"""The steering program, measured where connections arrive."""

import selectors
import socket

import pytest

from ringway.config.values import Address
from ringway.control.logs import logs
from ringway.control.sockets import listeners, steering
from ringway.control.sockets.listeners import Wanted

LISTENERS = 4
CLIENTS = 64
CONNECTIONS = 5


def predicted(ip: str, count: int) -> int:
    """The same arithmetic as the program's, in 32 bits."""
    spread = int.from_bytes(socket.inet_aton(ip)) * 0x9E3779B1 & 0xFFFFFFFF
    return (spread >> 16) % count


def arrivals(group: listeners.Group) -> dict[str, set[int]]:
    """Several connections of each client; client -> indices of the listeners that got them."""
    found: dict[str, set[int]] = {}
    with selectors.DefaultSelector() as selector:
        for index, sock in enumerate(group.sockets):
            selector.register(sock, selectors.EVENT_READ, index)
        for number in range(1, CLIENTS + 1):
            for _ in range(CONNECTIONS):
                client = socket.create_connection(
                    (group.address.ip, group.address.port), source_address=(f"127.0.0.{number}", 0)
                )
                ((key, _),) = selector.select(timeout=10)
                accepted, (ip, _) = group.sockets[key.data].accept()
                found.setdefault(ip, set()).add(key.data)
                client.close()
                accepted.close()
    return found


def test_each_client_always_meets_the_same_worker() -> None:
    (group,) = listeners.open_all([Wanted(Address("127.0.0.1", 0), False)], LISTENERS)
    try:
        assert steering.attach_all([group.sockets])
        found = arrivals(group)
    finally:
        listeners.close_all([group])
    assert len(found) == CLIENTS
    assert all(len(indices) == 1 for indices in found.values())
    for ip, indices in found.items():
        assert indices == {predicted(ip, LISTENERS)}
    loads = [sum(index in indices for indices in found.values()) for index in range(LISTENERS)]
    assert sum(loads) == CLIENTS
    assert min(loads) >= CLIENTS // LISTENERS // 2, loads


def test_one_listener_needs_no_program() -> None:
    (group,) = listeners.open_all([Wanted(Address("127.0.0.1", 0), False)], 1)
    assert steering.attach_all([group.sockets])
    listeners.close_all([group])


def test_where_the_kernel_refuses_its_own_balancing_stays_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refused(listener: socket.socket, count: int) -> None:
        raise OSError(92, "Protocol not available")

    monkeypatch.setattr(steering, "attach", refused)
    (group,) = listeners.open_all([Wanted(Address("127.0.0.1", 0), False)], 2)
    assert not steering.attach_all([group.sockets, group.sockets])
    listeners.close_all([group])
    logs.flush()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert (
        'warning reuseport_balancing = "cbpf" is not available (Protocol not available), the kernel balances'
        in lines[0]
    )
