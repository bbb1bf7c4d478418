"""What a worker says on its control socket, parsed strictly.

A worker reads what strangers send, so the supervisor does not trust it: a line that is not one of those below, out of
turn, or too long is a `BrokenWorker`, and the worker is replaced. docs/architecture.md has the lines.
"""

import json
from collections.abc import Callable
from typing import Any, NoReturn

LINE_MOST = 65536
"""Bytes of a line. The longest is `stopped`, with fifty sentences."""
_TEXT_MOST = 4096
_LIST_MOST = 64
_NUMBER_MOST = 1 << 63


class BrokenWorker(Exception):
    """It said what no worker says; the sentence says what."""


class Lines:
    """Cuts what comes from one worker into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[bytes]:
        """The lines that are whole now. Raises BrokenWorker for one that is too long."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if max(map(len, [*lines, self._rest])) > LINE_MOST:
            raise BrokenWorker(f"a line of more than {LINE_MOST} bytes")
        return lines


def parse(line: bytes) -> tuple[str, Any]:
    """The kind of message, and what it says. Raises BrokenWorker."""
    try:
        message = json.loads(line.decode("ascii"), parse_constant=_no_number, parse_float=_no_number)
    except (ValueError, RecursionError):
        raise BrokenWorker("a line that is not JSON") from None
    if not isinstance(message, dict) or len(message) != 1:
        raise BrokenWorker("a line that is not an object with one key")
    ((kind, told),) = message.items()
    if kind not in _KINDS:
        raise BrokenWorker(f"an unknown message {kind[:50]!r}")
    if not _KINDS[kind](told):
        raise BrokenWorker(f"a message `{kind}` with wrong contents")
    return kind, told


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT_MOST


def _is_number(value: Any) -> bool:
    return type(value) is int and -_NUMBER_MOST <= value < _NUMBER_MOST


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _LIST_MOST and all(map(_is_text, value))


def _are_gauges(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) > _LIST_MOST:
        return False
    return all(map(_is_text, value)) and all(map(_is_number, value.values()))


def _object(**members: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Exactly these members, each in its form."""

    def fits(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and value.keys() == members.keys()
            and all(check(value[name]) for name, check in members.items())
        )

    return fits


_KINDS: dict[str, Callable[[Any], bool]] = {
    "ready": _object(driver=_is_text, features=_are_texts, pinned=lambda value: isinstance(value, bool)),
    "renewed": _object(number=_is_number, error=_is_text),
    "failed": _is_text,
    "no_driver": _object(error=lambda value: _is_number(value) and 0 < value < 4096),
    "stopped": _object(gauges=_are_gauges, open=_are_texts),
}
