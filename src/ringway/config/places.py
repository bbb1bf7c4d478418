"""Finds the line of each key of a TOML file, for error messages.

tomllib does not keep line numbers, so this parses the same text a second time. It assumes that tomllib accepted the
text, and checks nothing. docs/decisions/0021-places-in-the-configuration.md explains why it does not use a library.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""
    (?P<string> \"""(?:\\.|[^\\])*?\"""\"{0,2} | '''.*?''''{0,2} | "(?:\\.|[^"\\])*" | '[^']*' )
    | (?P<newline> \n )
    | (?P<mark> [\[\]{}=,.] )
    | (?P<bare> [^\s"'\#\[\]{}=,.]+ )
    | (?P<nothing> \#[^\n]* | [^\S\n]+ )
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def places_of(text: str) -> dict[Path, int]:
    """Returns the line, from 1, of each key, table and element of a list. `text` must be valid TOML."""
    return _Walk(text).places


def defined_twice(text: str) -> tuple[Path, int] | None:
    """Returns the first key or table of the last line that the lines before it define too, and the line of its first
    definition. `text` must be valid TOML, except for that."""
    walk = _Walk(text)
    last = text.rstrip().count("\n") + 1
    for path, lines in walk.defined.items():
        if lines[-1] == last and (len(lines) > 1 or walk.places[path] < last):
            return path, lines[0] if lines[0] < last else walk.places[path]
    return None


class _Walk:
    def __init__(self, text: str) -> None:
        self.places: dict[Path, int] = {}
        self.defined: dict[Path, list[int]] = {}
        """The lines of each whole header and of each whole key, in the order of the file."""
        self._lists: dict[Path, int] = {}
        """The number of tables that each `[[list of tables]]` has so far."""
        self._tokens = _tokens(text)
        self._token = next(self._tokens)
        table: Path = ()
        while self._token.kind != "end":
            if self._token.kind == "newline":
                self._next()
            elif self._token.text == "[":
                table = self._header()
            else:
                self._pair(table)

    def _next(self) -> _Token:
        """Returns the current token and advances to the next one."""
        token = self._token
        self._token = next(self._tokens)
        return token

    def _note(self, path: Path, line: int) -> None:
        self.places.setdefault(path, line)

    def _header(self) -> Path:
        line = self._next().line
        listed = self._token.text == "["
        if listed:
            self._next()
        keys = self._keys("]")
        if listed:
            self._next()
        path: Path = ()
        for place, key in enumerate(keys):
            path = (*path, key)
            self._note(path, line)
            if listed and place == len(keys) - 1:
                self._lists[path] = self._lists.get(path, 0) + 1
            if path in self._lists:
                path = (*path, self._lists[path] - 1)
                self._note(path, line)
        self.defined.setdefault(path, []).append(line)
        return path

    def _keys(self, end: str) -> list[str]:
        """Reads a dotted key and the mark after it. Returns the steps of the key."""
        keys = []
        while self._token.kind != "end":
            token = self._next()
            if token.kind in ("string", "bare"):
                keys.append(_unquoted(token))
            elif token.text == end:
                break
        return keys

    def _pair(self, table: Path) -> None:
        line = self._token.line
        path = table
        for key in self._keys("="):
            path = (*path, key)
            self._note(path, line)
        self.defined.setdefault(path, []).append(line)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._token.text == "[" and self._token.kind == "mark":
            self._list(path)
        elif self._token.text == "{" and self._token.kind == "mark":
            self._inline_table(path)
        else:
            # A number or a date can be several tokens.
            while self._token.kind not in ("newline", "end") and not self._at(",]}"):
                self._next()

    def _at(self, marks: str) -> bool:
        return self._token.kind == "mark" and self._token.text in marks

    def _list(self, path: Path) -> None:
        self._next()
        number = 0
        while self._token.kind != "end":
            if self._token.kind == "newline" or self._at(","):
                self._next()
            elif self._at("]"):
                self._next()
                return
            else:
                self._note((*path, number), self._token.line)
                self._value((*path, number))
                number += 1

    def _inline_table(self, path: Path) -> None:
        self._next()
        while self._token.kind != "end":
            if self._token.kind == "newline" or self._at(","):
                self._next()
            elif self._at("}"):
                self._next()
                return
            else:
                self._pair(path)


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for found in _TOKEN.finditer(text):
        kind = str(found.lastgroup)
        if kind != "nothing":
            yield _Token(kind, found[0], line)
        line += found[0].count("\n")
    while True:
        yield _Token("end", "", line)


def _unquoted(token: _Token) -> str:
    if token.kind != "string":
        return token.text
    if "\\" not in token.text and not token.text.startswith(('"""', "'''")):
        return token.text[1:-1]
    return str(tomllib.loads(f"key = {token.text}")["key"])
