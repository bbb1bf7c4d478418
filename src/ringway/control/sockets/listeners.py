"""Listening sockets: the supervisor opens them once, one for each worker and address, in worker order.

A Unix socket is one socket for all workers, because sockets cannot share a path. The supervisor that created its file
removes it. After an upgrade the new supervisor does that (`own_files`).

Sockets from a service manager replace those that Ringway would open (`activation.py`). The supervisor keeps all sockets
open as long as it runs. So a worker that dies closes no listener, and the order of a group, which the steering program
relies on, never changes. While a worker is away (`control/running/seats.py`), another one accepts from its sockets.
"""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ringway.config.values import Address, socket_address
from ringway.control.sockets.activation import Passed, copy_of, refuse_unnamed
from ringway.errors import RingwayError, reason_of

_BACKLOG = 4096
_TWINS = {"0.0.0.0": "::", "127.0.0.1": "::1"}
"""The IPv4 address and the IPv6 address that mean the same."""
_PORTS_TRIED = 32
"""Tries to find a port that is free in both families."""


class Wanted(NamedTuple):
    """An address, and the protocols that clients use there."""

    address: Address
    tls: bool
    proxied: bool = False
    """Connections begin with the PROXY protocol's header."""


@dataclass(eq=False)
class Group:
    """The listeners of one address. Of `n` workers, worker i has the sockets i, i+n, i+2n and so on. There are more
    sockets than workers after a reload with fewer workers, because closing a socket would lose the connections that
    wait in it. A Unix socket is one socket, which every worker has."""

    address: Address
    """With the real port if the configuration has port 0."""
    tls: bool
    sockets: list[socket.socket]
    name: str
    """The address in the configuration, and the number of its occurrence there: `127.0.0.1:0/1`."""
    proxied: bool = False
    inode: int = 0
    """Inode of the file of a Unix socket that this supervisor must remove, else 0."""
    passed: str = ""
    """The name that the service manager gave the socket, or "". Ringway never gives up a passed socket."""

    def of(self, places: Sequence[int], workers: int) -> dict[str, socket.socket]:
        """Returns the sockets of the workers with these numbers, each once, by a unique name."""
        count = 1 if self.address.path else workers
        sockets = [sock for place in places for sock in self.sockets[place % count :: count]]
        return {f"socket {os.fstat(sock.fileno()).st_ino}": sock for sock in sockets}

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}"


def open_all(wanted: Sequence[Wanted], workers: int, passed: Passed | None = None) -> list[Group]:
    """Opens the listeners of every address. Binds all of them before the first one listens, and calls listen() in
    worker order. Raises RingwayError if one fails, and closes all of them."""
    passed = passed or Passed()
    passed.refuse_unnamed([one.address for one in wanted])
    groups: list[Group] = []
    with contextlib.ExitStack() as opened:
        given = [_passed_sockets(one.address, workers, passed, opened) for one in wanted]
        for one, sockets in zip(wanted, given, strict=True):
            if one.address.port and not sockets:
                _refuse_foreign(one.address)
        for one, sockets, name in zip(wanted, given, _names(wanted), strict=True):
            if sockets:
                groups.append(
                    Group(one.address, one.tls, sockets, name, one.proxied, passed=passed.name_of(one.address))
                )
            elif groups and _is_twin(wanted[len(groups) - 1], one) and not given[len(groups) - 1]:
                groups[-1:] = _bind_twins(groups[-1], one, name, workers, opened)
            else:
                groups.append((_bind_unix if one.address.path else _bind_group)(one, name, workers, opened))
        for group in groups:
            for sock in group.sockets:
                with _explained(group.address):
                    sock.listen(_backlog())
        opened.pop_all()
    return groups


def adopt(
    old: Sequence[Group], wanted: Sequence[Wanted], workers: int, passed: Passed | None = None
) -> tuple[list[Group], list[Group], list[socket.socket]]:
    """Opens the listeners for a reload or an upgrade. Returns the wanted groups, which reuse the open sockets of the
    same addresses; the groups that are no longer wanted; and the sockets that it opened, for discard() if the reload
    fails. Does not change the old groups. Raises RingwayError and closes what it opened if it fails."""
    for group in old:
        if group.passed:
            refuse_unnamed(group.address, group.passed, [one.address for one in wanted])
    known = {group.name: group for group in old}
    names = _names(wanted)
    missing = [(one, name) for one, name in zip(wanted, names, strict=True) if name not in known]
    fresh = open_all([one for one, _ in missing], workers, passed)
    for group, (_, name) in zip(fresh, missing, strict=True):
        group.name = name
    made = {group.name: group for group in fresh}
    opened = [sock for group in fresh for sock in group.sockets]
    groups = []
    try:
        for one, name in zip(wanted, names, strict=True):
            group = made.get(name) or known[name]
            sockets = list(group.sockets)
            with _explained(group.address):
                while len(sockets) < workers and not group.address.path:
                    sockets.append(_one_more(group, len(sockets)))
                    opened.append(sockets[-1])
                    sockets[-1].listen(_backlog())
            groups.append(Group(group.address, one.tls, sockets, name, one.proxied, group.inode, group.passed))
    except RingwayError:
        discard(opened)
        raise
    kept = {group.name for group in groups}
    return groups, [group for group in old if group.name not in kept], opened


def _one_more(group: Group, index: int) -> socket.socket:
    """Opens a socket for one more worker. If the sockets were passed, it shares one of them, as Passed.take() does,
    because a passed socket may not allow another one at the same address."""
    return copy_of(group.sockets[index % len(group.sockets)]) if group.passed else _bound(group.address)


def _names(wanted: Sequence[Wanted]) -> list[str]:
    addresses = [one.address for one in wanted]
    return [f"{address}/{addresses[:place].count(address)}" for place, address in enumerate(addresses)]


def close_all(groups: Sequence[Group], files: bool = True) -> None:
    """Closes the sockets. Clients can no longer connect when the workers have closed theirs, too. `files`: also removes
    the files of Unix sockets, unless a new supervisor uses them."""
    for group in groups:
        if files and group.inode and group.sockets[0].fileno() >= 0 and _inode(group.address.path) == group.inode:
            with contextlib.suppress(OSError):
                os.unlink(group.address.path)
        for sock in group.sockets:
            sock.close()


def discard(opened: Sequence[socket.socket]) -> None:
    """Closes what adopt() opened, after a failed reload."""
    for sock in opened:
        if sock.family == socket.AF_UNIX and sock.fileno() >= 0:
            with contextlib.suppress(OSError):
                os.unlink(sock.getsockname())
        sock.close()


def own_files(groups: Sequence[Group]) -> None:
    """The old supervisor ends. From now on this process must remove the files of the Unix sockets."""
    for group in groups:
        if group.address.path:
            group.inode = _inode(group.address.path)


def _passed_sockets(
    address: Address, workers: int, passed: Passed, opened: contextlib.ExitStack
) -> list[socket.socket]:
    if why := passed.takes_ipv4_of(address):
        raise RingwayError(f"cannot listen on {address}: {why}")
    sockets = [opened.enter_context(sock) for sock in passed.take(address, workers)]
    for sock in sockets:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sockets


def _bind_group(wanted: Wanted, name: str, workers: int, opened: contextlib.ExitStack) -> Group:
    address = wanted.address
    sockets: list[socket.socket] = []
    for _ in range(workers):
        with _explained(address):
            sockets.append(opened.enter_context(_bound(address)))
        address = Address(address.ip, sockets[0].getsockname()[1])
    return Group(address, wanted.tls, sockets, name, wanted.proxied)


def _is_twin(four: Wanted, six: Wanted) -> bool:
    """Whether these are the two addresses of `":0"` or `"localhost:0"`, which share a port."""
    ports = (four.address.port, six.address.port)
    return ports == (0, 0) and not four.address.path and _TWINS.get(four.address.ip) == six.address.ip


def _bind_twins(four: Group, six: Wanted, name: str, workers: int, opened: contextlib.ExitStack) -> tuple[Group, Group]:
    """Binds `six` to the port of `four`. If that port is taken, binds both to another one."""
    for tried in range(_PORTS_TRIED):
        address = Address(six.address.ip, four.address.port)
        with contextlib.ExitStack() as bound:
            try:
                _refuse_foreign(address)
                group = _bind_group(six._replace(address=address), name, workers, bound)
            except RingwayError:
                if tried == _PORTS_TRIED - 1:
                    raise
            else:
                opened.push(bound.pop_all())
                return four, group
        for sock in four.sockets:
            sock.close()
        wanted = Wanted(Address(four.address.ip, 0), four.tls, four.proxied)
        four = _bind_group(wanted, four.name, workers, opened)
    raise AssertionError


def _bind_unix(wanted: Wanted, name: str, workers: int, opened: contextlib.ExitStack) -> Group:
    path = wanted.address.path
    with _explained(wanted.address):
        sock = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC))
        if _is_stale(path):
            os.unlink(path)
        sock.bind(path)
        opened.callback(os.unlink, path)
    return Group(wanted.address, wanted.tls, [sock], name, wanted.proxied, _inode(path))


def _inode(path: str) -> int:
    """Returns the inode of a file. 0: there is no such file."""
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0


def _is_stale(path: str) -> bool:
    """Whether this is the file of a socket that no process listens on, because its owner was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return stat.S_ISSOCK(os.lstat(path).st_mode)
        except OSError:
            return False
    return False


def _bound(address: Address) -> socket.socket:
    sock = _socket(address)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted connections inherit this option.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(socket_address(address.ip, address.port))
    except OSError:
        sock.close()
        raise
    return sock


def _refuse_foreign(address: Address) -> None:
    """Raises RingwayError if another process listens on the port. Another process of the same user with SO_REUSEPORT
    would otherwise share the port and get some of the connections. A socket without SO_REUSEPORT detects it."""
    with _explained(address), _socket(address) as probe:
        probe.bind(socket_address(address.ip, address.port))


def _socket(address: Address) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if address.ipv6 else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # Connections of an earlier run in TIME_WAIT must not keep the port in use.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.ipv6:
            # "[::]" is only IPv6, so that "0.0.0.0" can be open as well, whatever net.ipv6.bindv6only is.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    except OSError:
        sock.close()
        raise
    return sock


def _backlog() -> int:
    """Returns the backlog: 4096, or net.core.somaxconn if that is more. The kernel limits it to net.core.somaxconn."""
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
    if isinstance(error, socket.gaierror):
        return f"this machine has no interface {address.ip.partition('%')[2]}; see `ip link`"
    if address.path and error.errno == errno.EADDRINUSE:
        return (
            "another process listens there, or it is not a socket; remove it, or choose another path in [server] listen"
        )
    if address.path:
        return f"{reason_of(error)}; correct the folder, or choose another path in [server] listen"
    if error.errno == errno.EADDRINUSE:
        return (
            f"the port is in use; find its owner with `ss -ltnp 'sport = :{address.port}'`, or choose another port "
            "in [server] listen (of the demo: --listen)"
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
    return reason_of(error)
