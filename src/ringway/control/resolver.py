"""Names of upstreams to addresses: at start and again and again, beside everything else.

A lookup may hang for many seconds, so it runs in daemon threads, never in the supervisor's loop. A name that does not
resolve is no reason not to start: the engine answers 503 until it does. A name that stops resolving keeps its last
addresses, which most likely still work.
"""

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence

from ringway.control import logs

Addresses = list[tuple[str, int]]
_THREADS = 4
_FIRST_WAIT = 5.0
"""Seconds that the start waits for the first answers."""


def lookup(host: str, port: int) -> Addresses:
    """The addresses of a name in the system's order, each once. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(entry[4][0]), port) for entry in found if "%" not in str(entry[4][0])))


class Resolver:
    """Keeps the addresses of all upstreams. `write(index, addresses)` puts them where the workers read."""

    def __init__(
        self,
        upstreams: Sequence[tuple[str, int]],
        write: Callable[[int, Addresses], None],
        refresh: float,
        find: Callable[[str, int], Addresses] = lookup,
    ) -> None:
        """`upstreams`: host and port, in the order of the plan; `refresh` in seconds."""
        self._upstreams = list(upstreams)
        self._write = write
        self._refresh = refresh
        self._find = find
        self._known: dict[int, Addresses] = {}
        self._failing: set[int] = set()
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)
        self._stop = threading.Event()
        self._queue: queue.SimpleQueue[tuple[float, int]] = queue.SimpleQueue()

    def start(self) -> None:
        """Returns when every name was answered once, or the slowest had five seconds."""
        names = []
        for index, (host, port) in enumerate(self._upstreams):
            if host.startswith("/"):
                continue  # a Unix socket
            if _is_literal(host):
                self._write(index, [(host, port)])
            else:
                names.append(index)
        if not names:
            return
        for index in names:
            self._queue.put((0.0, index))
        for _ in range(min(_THREADS, len(names))):
            threading.Thread(target=self._work, name="resolver", daemon=True).start()
        with self._answered:
            self._answered.wait_for(lambda: self._answers() >= len(names), _FIRST_WAIT)
            for index in names:
                if index not in self._known and index not in self._failing:
                    self._failing.add(index)
                    logs.warning(f"{self._name(index)} is not resolved yet, its requests are answered with 503")

    def stop(self) -> None:
        """No more lookups; one that hangs dies with the process."""
        self._stop.set()

    def _answers(self) -> int:
        return len(self._known.keys() | self._failing)

    def _name(self, index: int) -> str:
        host, port = self._upstreams[index]
        return f"upstream {host}:{port}"

    def _work(self) -> None:
        """Looks a name up when it is due, then puts it back into the queue for its next turn."""
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
            self._not_found(index, error.strerror or str(error))
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
            self._answered.notify_all()

    def _not_found(self, index: int, reason: str) -> None:
        with self._answered:
            if index not in self._failing:
                kept = index in self._known
                effect = "its last addresses are kept" if kept else "its requests are answered with 503"
                logs.warning(f"{self._name(index)} does not resolve ({reason}), {effect}")
            self._failing.add(index)
            self._answered.notify_all()


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
