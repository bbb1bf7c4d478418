"""Parses sizes and times with units: `"50M"`, `"10MiB"`, `"60s"`, `"1h30m"`."""

import re
from fractions import Fraction
from typing import Any

from ringway.config.values import Flaw

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)")
_BINARY = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600), "d": Fraction(86400)}

# For the JSON Schema: the strings that size() and seconds() accept.
SIZE_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtT]([iI]?[bB]?)|[bB])?\s*$"
TIME_PATTERN = r"^\s*([0-9]+(\.[0-9]+)?\s*([mM][sS]|[sSmMhHdD])\s*)+$"


def size(value: Any) -> Any:
    """Converts a string to bytes. K, M, G, T, with or without iB, are powers of 1024; KB, MB, GB, TB are powers of
    1000. Returns a value that is not a string unchanged."""
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value.strip())
    unit = found[2].lower() if found else "?"
    decimal = len(unit) == 2 and unit[1] == "b"
    letter = unit.removesuffix("b").removesuffix("i") if unit not in ("i", "ib") else "?"
    if found is None or letter not in _BINARY:
        raise Flaw(f'"{value}" is not a size', 'write a number of bytes, or a string like "50M" or "10MiB"')
    amount = Fraction(found[1]) * (1000 if decimal else 1024) ** _BINARY[letter]
    if amount.denominator != 1:
        raise Flaw(f'"{value}" is not a whole number of bytes', f"write {round(amount)}")
    return int(amount)


def seconds(value: Any) -> Any:
    """Converts a string with ms, s, m, h and d to seconds. Returns a value that is not a string unchanged."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if not text or _TIME.sub("", text).strip():
        remedy = 'write a number of seconds, or a string like "500ms", "60s", "5m" or "1h30m"'
        raise Flaw(f'"{value}" is not a time', remedy)
    return float(sum(Fraction(amount) * _SECONDS[unit] for amount, unit in _TIME.findall(text)))
