"""Replaces `"${PORT}"` and `"${PORT:-8080}"` in the strings of a configuration with values of environment variables.

`$${` is a literal `${`. The value is a string and is never parsed as TOML, so it cannot add keys. If a key needs a
number or a boolean, `sections.section` converts the value.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from ringway.config.values import Flaw

_REFERENCE = re.compile(r"\$(?P<escaped>\$\{)|\$\{(?P<inside>[^}]*)(?P<end>\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Steps = tuple[str | int, ...]


class Expanded(str):
    """A string that contains a value from the environment."""

    written: str = ""
    """The string in the file."""


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """Replaces the variables in a text. Raises Flaw if a variable is not set or a reference is malformed."""
    if "${" not in text:
        return text
    result = _replaced(text, environment)
    result.written = text
    return result


def _replaced(text: str, environment: Mapping[str, str]) -> Expanded:
    def value(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "${"
        name, separator, default = found["inside"].partition(":-")
        if not found["end"] or not _NAME.fullmatch(name):
            remedy = 'write it like "${PORT}" or "${PORT:-8080}", or "$${" for a literal "${"'
            raise Flaw(f'"{text}" does not name an environment variable', remedy)
        # As in a shell: the default also replaces an empty value.
        given = environment.get(name)
        if separator and not given:
            return default
        if given is None:
            remedy = f'set it, or write a default: "${{{name}:-value}}"'
            raise Flaw(f"the environment variable {name} is not set", remedy)
        return given

    return Expanded(_REFERENCE.sub(value, text))


def expand_all(value: Any, environment: Mapping[str, str], wrong: Callable[[Steps, Flaw], None], at: Steps = ()) -> Any:
    """Expands every string of a document, including the keys of tables. Passes each error to `wrong` and leaves that
    string unchanged."""

    def expand(text: str, place: Steps) -> str:
        try:
            return expanded(text, environment)
        except Flaw as flaw:
            wrong(place, flaw)
            return text

    if isinstance(value, str):
        return expand(value, at)
    if isinstance(value, list):
        return [expand_all(entry, environment, wrong, (*at, number)) for number, entry in enumerate(value)]
    if isinstance(value, dict):
        result: dict[str, Any] = {}
        for key, entry in value.items():
            name = str(expand(key, (*at, key)))
            if name in result:
                wrong((*at, key), Flaw(f'this key expands to "{name}", which already exists', "keep one of them"))
            result[name] = expand_all(entry, environment, wrong, (*at, name))
        return result
    return value
