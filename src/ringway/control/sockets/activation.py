"""Sockets that a service manager opens and passes to Ringway, by the protocol of sd_listen_fds(3).

They are descriptors from 3 on. LISTEN_FDS has their number, LISTEN_PID the process they are for, and LISTEN_FDNAMES
their names. The manager keeps them open: while Ringway restarts, connections wait in them.
"""

import os
import socket
from collections.abc import Sequence

from ringway.config.values import Address
from ringway.errors import RingwayError, reason_of

_FIRST = 3
"""SD_LISTEN_FDS_START."""
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def copy_of(sock: socket.socket) -> socket.socket:
    """Returns another descriptor of a socket that workers may already use. `socket.dup()` would clear O_NONBLOCK for
    all of them, and a worker with the epoll driver would then block in accept4(2)."""
    return socket.socket(fileno=os.dup(sock.fileno()))


class Passed:
    """The passed sockets by address. Several sockets of the same address are for several workers. systemd makes them
    from a unit with ReusePort= and several ListenStream= lines."""

    def __init__(self, sockets: Sequence[tuple[str, socket.socket]] = ()) -> None:
        """`sockets`: each with its name. Raises RingwayError if one is not a listening TCP socket."""
        self._sockets: dict[Address, list[socket.socket]] = {}
        self._names: dict[Address, str] = {}
        for name, sock in sockets:
            address = _address(name, sock)
            self._names[address] = name
            self._sockets.setdefault(address, []).append(sock)

    def refuse_unnamed(self, wanted: Sequence[Address]) -> None:
        """Raises RingwayError if no key names the address of a passed socket. Connections to it would wait forever."""
        for address, name in self._names.items():
            refuse_unnamed(address, name, wanted)

    def name_of(self, address: Address) -> str:
        """Returns the name of the passed socket for this address. "": there is none."""
        return self._names.get(address, "")

    def take(self, address: Address, workers: int) -> list[socket.socket]:
        """Returns a socket for each worker, in worker order. If there are fewer, several workers share one. Empty: none
        was passed for this address."""
        sockets = self._sockets.get(address, [])
        if len(sockets) > workers:
            raise RingwayError(
                f"{self._said(address)} {len(sockets)} times, more often than there are workers ({workers}); set "
                f"[server] threads = {len(sockets)}, or pass fewer"
            )
        return [copy_of(sockets[index % len(sockets)]) for index in range(workers)] if sockets else []

    def takes_ipv4_of(self, address: Address) -> str:
        """Returns an error if a passed IPv6 socket also accepts the connections of this IPv4 address. "": none does."""
        other = Address("::", address.port)
        for sock in self._sockets.get(other, []) if not address.ipv6 else []:
            if not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
                return (
                    f"{self._said(other)}, which takes IPv4 too; set BindIPv6Only=ipv6-only in the socket unit and "
                    f"pass {address} as well, or remove {address} from [server]"
                )
        return ""

    def close(self) -> None:
        """Closes these descriptors. Those from take(), and those of the manager, stay open."""
        for sockets in self._sockets.values():
            for sock in sockets:
                sock.close()
        self._sockets = {}

    def _said(self, address: Address) -> str:
        return _said(address, self._names[address])


def refuse_unnamed(address: Address, name: str, wanted: Sequence[Address]) -> None:
    """Raises RingwayError if the configuration does not name this address, for which a socket was passed."""
    if address not in wanted:
        raise RingwayError(
            f"{_said(address, name)}, but no key names this address; add it to [server] listen or plain_listen, "
            "or remove it from the socket unit"
        )


def _said(address: Address, name: str) -> str:
    return f"the service manager passes a socket for {address} ({name})"


def take_passed() -> Passed:
    """Returns the sockets that were passed to this process. Removes the variables from the environment, because they
    are not for child processes. Raises RingwayError if one is not a listening TCP socket."""
    mine = os.environ.get("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.get("LISTEN_FDS", "0")
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    for name in _VARIABLES:
        os.environ.pop(name, None)
    if not mine or not count.isascii() or not count.isdigit():
        return Passed()
    sockets = []
    for index in range(int(count)):
        name = names[index] if index < len(names) and names[index] else f"number {index}"
        try:
            os.set_inheritable(_FIRST + index, False)
            sockets.append((name, socket.socket(fileno=_FIRST + index)))
        except OSError as error:
            raise RingwayError(
                f"LISTEN_FDS={count}, but descriptor {_FIRST + index} ({name}) is not a socket ({reason_of(error)}); "
                "pass only sockets (ListenStream= of the socket unit)"
            ) from None
    return Passed(sockets)


def _address(name: str, sock: socket.socket) -> Address:
    listens = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
    if not listens or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise RingwayError(
            f"the service manager passes {name}, which is not a listening TCP socket; write ListenStream= with an "
            "address and a port, and Accept=no, in the socket unit"
        )
    ip, port, *more = sock.getsockname()
    zone = f"%{socket.if_indextoname(more[1])}" if more and more[1] else ""
    return Address(f"{ip}{zone}", port)
