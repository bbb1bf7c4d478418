"""The log of events on stderr: one line an event, `2026-11-23T20:15:03.123Z level message`."""

import contextlib
import datetime
import os
import sys
import time


def info(message: str) -> None:
    """Something that went as it should."""
    _write("info", message)


def warning(message: str) -> None:
    """Ringway goes on, but somebody should look."""
    _write("warning", message)


def error(message: str) -> None:
    """Something failed."""
    _write("error", message)


def _write(level: str, message: str) -> None:
    line = f"{timestamp(time.time_ns())} {level} {printable(message)}\n"
    # A closed stderr: nobody is left to tell.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        # One write: lines of several threads and processes do not mix.
        os.write(sys.stderr.fileno(), line.encode("utf-8", "backslashreplace"))


def timestamp(time_ns: int) -> str:
    """UTC with milliseconds, ISO 8601."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def printable(text: str) -> str:
    """On one line and harmless to a terminal: control characters as \\xNN."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
