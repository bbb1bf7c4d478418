"""Resolves the names of upstreams, at the start and periodically.

A lookup can take many seconds, so it runs in daemon threads, never in the supervisor's loop. Ringway starts even if a
name does not resolve: the engine answers 503 until it does. A name that stops resolving keeps its last addresses, which
probably still work.
"""

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ringway.control.logs import logs
from ringway.errors import reason_of

Addresses = list[tuple[str, int]]
_THREADS = 4
FIRST_WAIT = 5.0
"""Seconds that a start or a reload waits for the first answers."""


def lookup(host: str, port: int) -> Addresses:
    """Returns the addresses of a name in the system's order, each once. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((_text(entry[4]), port) for entry in found))


def _text(address: Any) -> str:
    """Returns the IP address of a socket address. A link-local one has the number of its interface as zone."""
    return f"{address[0]}%{address[3]}" if len(address) == 4 and address[3] else str(address[0])


class Resolver:
    """Keeps the addresses of all upstreams. `write(index, addresses)` writes them to the memory that workers read."""

    def __init__(
        self,
        upstreams: Sequence[tuple[str, int]],
        write: Callable[[int, Addresses], None],
        refresh: float,
        find: Callable[[str, int], Addresses] = lookup,
        resolved: Callable[[], None] = lambda: None,
    ) -> None:
        """`upstreams`: host and port, in the order of the plan. `refresh`: in seconds. A thread of the resolver calls
        `resolved` when every name has a first result."""
        self._upstreams = list(upstreams)
        self._write = write
        self._refresh = refresh
        self._find = find
        self._tell_resolved = resolved
        self._names: list[int] = []
        """Indices of the upstreams whose host is a name."""
        self._known: dict[int, Addresses] = {}
        self._failing: set[int] = set()
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)
        self._stop = threading.Event()
        self._queue: queue.SimpleQueue[tuple[float, int]] = queue.SimpleQueue()

    def start(self) -> None:
        """Writes literal addresses at once, and starts to resolve names. See wait() and `resolved`."""
        for index, (host, port) in enumerate(self._upstreams):
            if host.startswith("/"):
                continue  # a Unix socket
            if _is_literal(host):
                self._write(index, [(host, port)])
            else:
                self._names.append(index)
        for index in self._names:
            self._queue.put((0.0, index))
        for _ in range(min(_THREADS, len(self._names))):
            threading.Thread(target=self._work, name="resolver", daemon=True).start()

    @property
    def resolved(self) -> bool:
        """Whether every name has a first result, or go_on_without() skipped it."""
        return len(self._known.keys() | self._failing) == len(self._names)

    def wait(self) -> None:
        """Waits until every name has a first result, but at most five seconds."""
        with self._answered:
            self._answered.wait_for(lambda: self.resolved, FIRST_WAIT)
        self.go_on_without()

    def go_on_without(self) -> None:
        """Skips names without a first result: they count as failed for now."""
        with self._answered:
            for index in self._names:
                if index not in self._known and index not in self._failing:
                    self._failing.add(index)
                    logs.warning(f"{self._name(index)} is not resolved yet, Ringway answers its requests with 503")

    def stop(self) -> None:
        """Starts no more lookups. A lookup that hangs ends with the process."""
        self._stop.set()

    def _name(self, index: int) -> str:
        host, port = self._upstreams[index]
        return f"upstream {host}:{port}"

    def _work(self) -> None:
        """Resolves each name when it is due, and puts it back into the queue."""
        while not self._stop.is_set():
            due, index = self._queue.get()
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self._resolve(index)
            self._queue.put((time.monotonic() + self._refresh, index))

    def _resolve(self, index: int) -> None:
        host, port = self._upstreams[index]
        try:
            self._found(index, self._find(host, port))
        except OSError as error:
            self._not_found(index, reason_of(error))
        except UnicodeError:
            self._not_found(index, "it is not a valid name")

    def _found(self, index: int, addresses: Addresses) -> None:
        with self._answered:
            before = self._known.get(index)
            if before is None or sorted(before) != sorted(addresses):
                self._write(index, addresses)
                self._known[index] = addresses
                if before is not None or index in self._failing:
                    logs.info(f"{self._name(index)} is now at {', '.join(ip for ip, _ in addresses)}")
            self._failing.discard(index)
            self._tell(first=before is None)

    def _not_found(self, index: int, reason: str) -> None:
        with self._answered:
            if index not in self._failing:
                kept = index in self._known
                effect = "Ringway keeps its last addresses" if kept else "Ringway answers its requests with 503"
                logs.warning(f"{self._name(index)} does not resolve ({reason}), {effect}")
            first = index not in self._known and index not in self._failing
            self._failing.add(index)
            self._tell(first)

    def _tell(self, first: bool) -> None:
        """`first`: whether this is the first result for a name."""
        self._answered.notify_all()
        if first and self.resolved:
            self._tell_resolved()


def _is_literal(host: str) -> bool:
    """Whether the host is an IP address without a zone. Ringway resolves one with a zone again and again, like a name,
    because an interface that is created again gets another number."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host
