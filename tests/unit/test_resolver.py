"""Names to addresses: warnings once, changes logged, last addresses kept."""

import queue
import threading

import pytest

from ringway.control.logs import logs
from ringway.control.sockets import resolver
from ringway.control.sockets.resolver import Addresses, Resolver


class Names:
    """A name service of a test: answers are put in one by one, the last one stays."""

    def __init__(self, *answers: Addresses | OSError) -> None:
        self.answers = list(answers)
        self.asked = threading.Semaphore(0)

    def find(self, host: str, port: int) -> Addresses:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.asked.release()
        if isinstance(answer, OSError):
            raise answer
        return answer


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> "queue.SimpleQueue[str]":
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    monkeypatch.setattr(logs, "_write", lambda level, message: lines.put(f"{level} {message}"))
    return lines


UNKNOWN = OSError(-2, "Name or service not known")
ONE: Addresses = [("10.0.0.1", 80)]
TWO: Addresses = [("10.0.0.2", 80), ("10.0.0.1", 80)]


def test_literal_addresses_are_there_at_once() -> None:
    written: dict[int, Addresses] = {}
    found = Resolver([("10.0.0.1", 80), ("::1", 81)], written.__setitem__, 30)
    found.start()
    found.wait()
    assert written == {0: [("10.0.0.1", 80)], 1: [("::1", 81)]}


def test_names_are_there_when_it_has_waited() -> None:
    written: dict[int, Addresses] = {}
    found = Resolver([("h", 80), ("10.0.0.9", 1), ("h", 81)], written.__setitem__, 3600, Names(ONE).find)
    found.start()
    found.wait()
    found.stop()
    assert written == {0: ONE, 1: [("10.0.0.9", 1)], 2: ONE}


def test_a_name_that_does_not_resolve_warns_once_and_is_found_later(log: "queue.SimpleQueue[str]") -> None:
    names = Names(UNKNOWN, UNKNOWN, ONE)
    written: queue.SimpleQueue[Addresses] = queue.SimpleQueue()
    found = Resolver([("h", 80)], lambda index, addresses: written.put(addresses), 0.001, names.find)
    found.start()
    found.wait()
    assert written.get(timeout=10) == ONE
    found.stop()
    warning = (
        "warning upstream h:80 does not resolve (Name or service not known), Ringway answers its requests with 503"
    )
    assert log.get(timeout=10) == warning
    assert log.get(timeout=10) == "info upstream h:80 is now at 10.0.0.1"
    assert log.empty()


def test_changes_are_written_and_lost_names_keep_their_addresses(log: "queue.SimpleQueue[str]") -> None:
    names = Names(ONE, ONE, list(reversed(TWO)), TWO, UNKNOWN)
    written: queue.SimpleQueue[Addresses] = queue.SimpleQueue()
    found = Resolver([("h", 80)], lambda index, addresses: written.put(addresses), 0.001, names.find)
    found.start()
    found.wait()
    assert written.get(timeout=10) == ONE
    assert written.get(timeout=10) == list(reversed(TWO))
    assert log.get(timeout=10) == "info upstream h:80 is now at 10.0.0.1, 10.0.0.2"
    assert log.get(timeout=10).endswith(
        "does not resolve (Name or service not known), Ringway keeps its last addresses"
    )
    found.stop()
    assert written.empty()  # another order is no change


def test_a_lookup_that_hangs_does_not_hold_up_the_start(
    monkeypatch: pytest.MonkeyPatch, log: "queue.SimpleQueue[str]"
) -> None:
    monkeypatch.setattr(resolver, "FIRST_WAIT", 0.01)
    release = threading.Event()

    def find(host: str, port: int) -> Addresses:
        release.wait(10)
        return ONE

    written: queue.SimpleQueue[Addresses] = queue.SimpleQueue()
    found = Resolver([("h", 80)], lambda index, addresses: written.put(addresses), 3600, find)
    found.start()
    found.wait()
    assert log.get(timeout=10) == "warning upstream h:80 is not resolved yet, Ringway answers its requests with 503"
    release.set()
    assert written.get(timeout=10) == ONE
    found.stop()


def test_it_tells_once_when_every_name_was_answered() -> None:
    first, told = threading.Event(), threading.Semaphore(0)

    def find(host: str, port: int) -> Addresses:
        if host == "slow":
            assert first.wait(10)
            raise UNKNOWN
        return ONE

    written: queue.SimpleQueue[int] = queue.SimpleQueue()
    found = Resolver([("h", 80), ("slow", 80)], lambda index, _: written.put(index), 0.001, find, told.release)
    found.start()
    assert written.get(timeout=10) == 0
    assert not found.resolved
    first.set()
    assert told.acquire(timeout=10)
    assert found.resolved
    found.stop()
    assert not told.acquire(timeout=0.1)


def test_this_machine_knows_itself() -> None:
    assert {ip for ip, _ in resolver.lookup("localhost", 80)} <= {"127.0.0.1", "::1"}
