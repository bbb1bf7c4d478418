"""Listening sockets: all or none, in worker order, and a port that somebody else has is never shared silently."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringway.config.values import Address
from ringway.control.sockets import listeners
from ringway.control.sockets.listeners import Wanted
from ringway.errors import RingwayError

HERE = Address("127.0.0.1", 0)


@contextlib.contextmanager
def opened(*wanted: Wanted, workers: int = 3) -> Iterator[list[listeners.Group]]:
    groups = listeners.open_all(wanted, workers)
    try:
        yield groups
    finally:
        listeners.close_all(groups)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_port_0_takes_one_free_port_for_all_workers() -> None:
    with opened(Wanted(HERE, True)) as (group,):
        ports = {sock.getsockname()[1] for sock in group.sockets}
        assert ports == {group.address.port}
        assert group.address.port != 0
        assert len(group.sockets) == 3
        assert group.url == f"https://127.0.0.1:{group.address.port}"


def test_what_is_set_on_each() -> None:
    with opened(Wanted(HERE, False)) as (group,):
        for sock in group.sockets:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            assert not sock.get_inheritable()


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_ipv6_any_is_ipv6_alone() -> None:
    with opened(Wanted(Address("0.0.0.0", 0), False)) as (four,):
        wanted = Address("::", four.address.port)
        with opened(Wanted(wanted, False)) as (six,):
            assert six.sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
            assert six.url == f"http://[::]:{four.address.port}"


PAIRS = [("0.0.0.0", "::"), ("127.0.0.1", "::1")]


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
@pytest.mark.parametrize("pair", PAIRS)
def test_port_0_of_both_families_is_one_port(pair: tuple[str, str]) -> None:
    wanted = [Wanted(Address(ip, 0), tls) for tls in (True, False) for ip in pair]
    with opened(*wanted) as groups:
        four, six, other, its_six = [group.address.port for group in groups]
        assert (six, its_six) == (four, other)
        assert four != other
        for group in groups:
            assert {sock.getsockname()[1] for sock in group.sockets} == {group.address.port}


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
@pytest.mark.parametrize("shares", [False, True])
def test_a_port_that_is_taken_in_the_other_family(monkeypatch: pytest.MonkeyPatch, shares: bool) -> None:
    """Then it is another one for both."""
    bind = listeners._bound
    others: list[socket.socket] = []

    def take_first(address: Address) -> socket.socket:
        sock = bind(address)
        if len(others) < 2 and address == Address("0.0.0.0", 0):
            others.append(socket.socket(socket.AF_INET6))
            others[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shares))
            others[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            others[-1].bind(("::", sock.getsockname()[1]))
            others[-1].listen()
        return sock

    monkeypatch.setattr(listeners, "_bound", take_first)
    before = open_descriptors()
    with opened(Wanted(Address("0.0.0.0", 0), False), Wanted(Address("::", 0), False), workers=2) as (four, six):
        assert len(others) == 2
        assert four.address.port == six.address.port
        assert four.address.port not in [other.getsockname()[1] for other in others]
        assert open_descriptors() == before + 2 + 4
    for other in others:
        other.close()
    assert open_descriptors() == before


@pytest.mark.parametrize("shares", [False, True])
def test_a_port_of_somebody_else_is_refused_even_if_he_would_share_it(shares: bool) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shares))
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        before = open_descriptors()
        with pytest.raises(
            RingwayError, match=rf"^cannot listen on 127.0.0.1:{port}: the port is in use; find .*ss -ltnp"
        ):
            listeners.open_all([Wanted(HERE, False), Wanted(Address("127.0.0.1", port), False)], 2)
        assert open_descriptors() == before


def test_connections_in_time_wait_are_no_owner() -> None:
    with opened(Wanted(HERE, False), workers=1) as (group,):
        address = group.address
        with socket.create_connection((address.ip, address.port)) as client:
            accepted, _ = group.sockets[0].accept()
            accepted.close()  # first: this side is in TIME_WAIT then
            assert client.recv(1) == b""
    with opened(Wanted(address, False)) as (group,):
        assert group.address == address


def test_a_unix_socket_is_one_for_all_workers(tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    with opened(Wanted(Address("", 0, str(path)), False)) as (group,):
        assert [list(group.of([worker], 3).values()) for worker in range(3)] == [[group.sockets[0]]] * 3
        assert group.url == f"http://unix:{path}"
        with pytest.raises(RingwayError, match=f"^cannot listen on unix:{path}: another process listens there"):
            listeners.open_all([Wanted(group.address, False)], 1)
        assert path.is_socket()
    assert not path.exists()


def test_a_unix_socket_goes_when_another_listener_fails(tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    before = open_descriptors()
    with pytest.raises(RingwayError, match="this machine has no address"):
        listeners.open_all([Wanted(Address("", 0, str(path)), False), Wanted(Address("192.0.2.1", 0), False)], 1)
    assert not path.exists()
    assert open_descriptors() == before


def test_closed_twice_it_leaves_its_successor(tmp_path: Path) -> None:
    wanted = Wanted(Address("", 0, str(tmp_path / "r.sock")), False)
    first = listeners.open_all([wanted], 1)
    listeners.close_all(first)
    with opened(wanted):
        listeners.close_all(first)
        assert (tmp_path / "r.sock").is_socket()


def test_an_address_of_another_machine() -> None:
    with pytest.raises(RingwayError, match=r"cannot listen on 192\.0\.2\.1:8443: this machine has no address"):
        listeners.open_all([Wanted(Address("192.0.2.1", 8443), False)], 1)


def test_a_port_for_root_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", forbidden)
    with pytest.raises(
        RingwayError, match=r"port 443 is reserved for root; allow it with .*ip_unprivileged_port_start=443"
    ):
        listeners.open_all([Wanted(Address("0.0.0.0", 443), True)], 1)
