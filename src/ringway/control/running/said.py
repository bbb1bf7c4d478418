"""Parses the messages of a worker on its control socket strictly.

The supervisor does not trust a worker, because a worker reads data from clients. A line that is unknown, unexpected or
too long raises `BrokenWorker`, and the supervisor replaces the worker. docs/architecture.md describes the lines.
"""

import json
from collections.abc import Callable
from typing import Any, NoReturn

LINE_MOST = 65536
"""Maximum bytes of a line. The longest message is `stopped`, with fifty sentences."""
_TEXT_MOST = 4096
_LIST_MOST = 64
_NUMBER_MOST = 1 << 63


class BrokenWorker(Exception):
    """The worker sent something that no correct worker sends. The text says what."""


class Lines:
    """Splits the data from one worker into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[bytes]:
        """Returns the lines that are complete now. Raises BrokenWorker if one is too long."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if max(map(len, [*lines, self._rest])) > LINE_MOST:
            raise BrokenWorker(f"a line of more than {LINE_MOST} bytes")
        return lines


def parse(line: bytes) -> tuple[str, Any]:
    """Returns kind and content of a message. Raises BrokenWorker."""
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
    """Returns a check for an object with exactly these members."""

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
