"""Listening sockets: opened once, by the supervisor, one per worker and address, in worker order.

Of a Unix socket there is one for all workers, since several cannot share its path.

The supervisor keeps them for its life. A worker that dies takes no listener along, and the order of the group, which
the steering program counts on, never changes.
"""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ringway.config.values import Address
from ringway.errors import RingwayError

_BACKLOG = 4096


class Wanted(NamedTuple):
    """One address, and what is spoken there."""

    address: Address
    tls: bool
    proxied: bool = False
    """Connections begin with the PROXY protocol's header."""


@dataclass(frozen=True)
class Group:
    """The listeners of one address: `sockets[i]` belongs to worker i. Of a Unix socket all are the same one."""

    address: Address
    """With the real port where 0 was asked for."""
    tls: bool
    sockets: list[socket.socket]
    proxied: bool = False
    inode: int = 0
    """Of a Unix socket's file, by which it is known as ours."""

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}"


def open_all(wanted: Sequence[Wanted], workers: int) -> list[Group]:
    """Opens the listeners of every address, or none: raises RingwayError with one sentence, and whatever was
    open is closed. All are bound before the first listens, and they listen in worker order."""
    groups: list[Group] = []
    with contextlib.ExitStack() as opened:
        for one in wanted:
            if one.address.port:
                _refuse_foreign(one.address)
        for one in wanted:
            groups.append((_bind_unix if one.address.path else _bind_group)(one, workers, opened))
        for group in groups:
            for sock in group.sockets:
                with _explained(group.address):
                    sock.listen(_backlog())
        opened.pop_all()
    return groups


def close_all(groups: Sequence[Group]) -> None:
    """Nobody is accepted any more, once the workers have closed theirs too."""
    for group in groups:
        if group.address.path and group.sockets[0].fileno() >= 0:
            _remove(group)
        for sock in group.sockets:
            sock.close()


def _bind_group(wanted: Wanted, workers: int, opened: contextlib.ExitStack) -> Group:
    address = wanted.address
    sockets: list[socket.socket] = []
    for _ in range(workers):
        with _explained(address):
            sock = opened.enter_context(_socket(address))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Accepted connections inherit it.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.bind((address.ip, address.port))
        sockets.append(sock)
        address = Address(address.ip, sock.getsockname()[1])
    return Group(address, wanted.tls, sockets, wanted.proxied)


def _bind_unix(wanted: Wanted, workers: int, opened: contextlib.ExitStack) -> Group:
    path = wanted.address.path
    with _explained(wanted.address):
        sock = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC))
        if _is_stale(path):
            os.unlink(path)
        sock.bind(path)
        opened.callback(os.unlink, path)
        inode = os.lstat(path).st_ino
    return Group(wanted.address, wanted.tls, [sock] * workers, wanted.proxied, inode)


def _remove(group: Group) -> None:
    """The file of a Unix socket, unless another one has taken its place."""
    with contextlib.suppress(OSError):
        if os.lstat(group.address.path).st_ino == group.inode:
            os.unlink(group.address.path)


def _is_stale(path: str) -> bool:
    """A socket that nobody listens on any more: whoever did was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return stat.S_ISSOCK(os.lstat(path).st_mode)
        except OSError:
            return False
    return False


def _refuse_foreign(address: Address) -> None:
    """Another process of the same user that sets SO_REUSEPORT would share the port without a word, and take some of
    the connections: a socket without SO_REUSEPORT finds it."""
    with _explained(address), _socket(address) as probe:
        probe.bind((address.ip, address.port))


def _socket(address: Address) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if address.ipv6 else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # Connections of an earlier run that are in TIME_WAIT do not count as an owner of the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.ipv6:
            # "[::]" is IPv6 alone, so that "0.0.0.0" can stand beside it whatever net.ipv6.bindv6only says.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    except OSError:
        sock.close()
        raise
    return sock


def _backlog() -> int:
    """At least 4096; more where the administrator allows more. The kernel cuts it to net.core.somaxconn."""
    try:
        with open("/proc/sys/net/core/somaxconn", encoding="ascii") as stream:
            return max(_BACKLOG, int(stream.read()))
    except (OSError, ValueError):
        return _BACKLOG


@contextlib.contextmanager
def _explained(address: Address) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RingwayError(f"cannot listen on {address}: {_explanation(address, error)}") from None


def _explanation(address: Address, error: OSError) -> str:
    if address.path and error.errno == errno.EADDRINUSE:
        return "somebody listens there already, or it is no socket; end it, or choose another path in [server] listen"
    if address.path:
        return f"{os.strerror(error.errno or 0)}; correct the folder, or choose another path in [server] listen"
    if error.errno == errno.EADDRINUSE:
        return (
            f"the port is in use; find its owner with `ss -ltnp 'sport = :{address.port}'`, or choose another port "
            "in [server] listen"
        )
    if error.errno == errno.EACCES:
        return (
            f"port {address.port} is reserved for root; allow it with `sysctl -w "
            f"net.ipv4.ip_unprivileged_port_start={address.port}`, give the capability with `setcap "
            "cap_net_bind_service=+ep` to a copy of the Python interpreter or AmbientCapabilities=CAP_NET_BIND_SERVICE "
            "in the systemd unit, or choose a port from 1024 on"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        any_address = "[::]" if address.ipv6 else "0.0.0.0"
        return f"this machine has no address {address.ip}; see `ip address`, or use {any_address}"
    if error.errno == errno.EAFNOSUPPORT:
        return "this kernel has no IPv6; remove the address from [server] listen"
    return os.strerror(error.errno or 0)
