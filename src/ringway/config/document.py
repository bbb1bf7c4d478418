"""Reads the files into one document: parses TOML, replaces variables, makes paths absolute, merges included files.

It does not check the values. `config.load` does that.
"""

import glob
import json
import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic.fields import FieldInfo

from ringway.config import model
from ringway.config.environment import expand_all, expanded
from ringway.config.places import places_of
from ringway.config.sections import kinds
from ringway.config.syntax import syntax_problem
from ringway.config.values import Flaw, form_of_shells
from ringway.errors import ConfigError, Problem, reason_of

Path = tuple[str | int, ...]
Place = tuple[str, int]
"""A file and a line."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_NESTED_MOST = 8
"""Levels of includes. More are most likely a mistake."""
_NO_LOGS = {
    **dict.fromkeys(("stderr", "-"), 'write "stdout"; stderr has the events'),
    **dict.fromkeys(("off", "none", "false", "no"), "remove this key: without it there is no access log"),
}
"""Values of `access_log.path` in other servers, each with a remedy. They must not become the name of a file."""
_LAST_STEP = re.compile(r"""(\[\d+\]|\.?("(?:[^"\\]|\\.)*"|[A-Za-z0-9_-]+))$""")


@dataclass
class Document:
    """The content of all files together."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    """The place of each key, by its key path as key_path() writes it."""
    files: list[str] = field(default_factory=list)
    """All files, the main one first."""
    known: set[str] = field(default_factory=set)
    """The same files, with symbolic links resolved."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def place(self, key: str) -> Place:
        """Returns the place of a key, or of the table in which it is missing. Line 0: unknown."""
        while key:
            if key in self.places:
                return self.places[key]
            key = _LAST_STEP.sub("", key) if _LAST_STEP.search(key) else ""
        return self.file, 0

    def placed(self, problems: Iterable[Problem]) -> list[Problem]:
        """Adds file and line to the problems and sorts them by file and line."""
        found = [problem if problem.line else problem.at(*self.place(problem.key)) for problem in problems]
        order = {file: number for number, file in enumerate(self.files)}
        return sorted(found, key=lambda problem: (order.get(problem.file, 0), problem.line or 1 << 30))


def read_document(file: str) -> Document:
    """Raises ConfigError if a file cannot be read or is not TOML."""
    document = Document(file)
    _read(document, file, ())
    return document


def included(patterns: Sequence[str], main: str) -> list[str]:
    """Returns the files that match the absolute patterns, each once, without the main file."""
    found = [path for pattern in patterns for path in sorted(glob.glob(pattern))]
    return [path for path in dict.fromkeys(found) if os.path.realpath(path) != os.path.realpath(main)]


def _read(document: Document, file: str, chain: tuple[str, ...]) -> None:
    """Adds a file, and then the files that it includes. `chain`: the files that lead to it."""
    document.files.append(file)
    document.known.add(os.path.realpath(file))
    data, lines = _read_one(document, file)
    include = data.pop("include", [])
    merge = _Merge(document, file, lines)
    merge.into(document.data, data, ())
    merge.include(include)
    for number, pattern in enumerate(include if isinstance(include, list) else [include]):
        line = _line(lines, ("include", number))
        paths = _matching(pattern, file) if isinstance(pattern, str) else []
        if isinstance(pattern, str) and not paths:
            document.warnings.append(Problem("include", f'no file matches "{pattern}"').at(file, line))
        for path in paths:
            problem = path if isinstance(path, Problem) else _out_of_order([*chain, file, path])
            if problem is not None:
                document.problems.append(problem.at(file, line))
            elif os.path.realpath(path) not in document.known:
                _read(document, path, (*chain, file))


def _matching(pattern: str, file: str) -> list[Any]:
    """Returns the files that match, or a Problem. A pattern can match the file that contains it."""
    if not glob.has_magic(pattern) and not os.path.exists(pattern):
        return [Problem("include", f'"{pattern}" does not exist', "correct the path")]
    if os.path.isdir(pattern):
        return [Problem("include", f'"{pattern}" is a folder', f'write "{os.path.join(pattern, "*.toml")}"')]
    return included([pattern], file) if glob.has_magic(pattern) else [pattern]


def _out_of_order(chain: list[str]) -> Problem | None:
    """Returns a problem if the last file of this chain of includes cannot be included."""
    *files, path = chain
    way = f"{files[0]} includes {', which includes '.join(chain[1:])}"
    if os.path.realpath(path) in map(os.path.realpath, files):
        return Problem("include", f"files include each other in a loop: {way}", "remove one of these includes")
    if len(files) > _NESTED_MOST:
        sentence = f"files are included more than {_NESTED_MOST} levels deep: {way}"
        return Problem("include", sentence, "include them from a file further up")
    return None


def _read_one(document: Document, file: str) -> tuple[dict[str, Any], dict[Path, int]]:
    """Reads a file, replaces its variables and makes its paths absolute. Returns the data and the line of each key."""
    text = _text(file, document.file if file != document.file else "")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(document.file, [syntax_problem(text, str(error)).at(file)]) from None
    lines = places_of(text)
    wrong: list[tuple[Path, Flaw]] = []
    data = expand_all(data, os.environ, lambda path, flaw: wrong.append((path, flaw)))
    # In the document, a key that contains a variable has its expanded form.
    lines = {tuple(_expanded_step(step) for step in path): line for path, line in lines.items()}
    for path, flaw in wrong:
        problem = Problem(key_path(path), flaw.sentence, flaw.remedy)
        document.problems.append(problem.at(file, _line(lines, path)))
    log = data.get("access_log")
    if isinstance(log, dict) and (remedy := _NO_LOGS.get(str(log.get("path", "")).lower())):
        problem = Problem("access_log.path", f'"{log["path"]}" is not a file', remedy)
        document.problems.append(problem.at(file, _line(lines, ("access_log", "path"))))
    _make_absolute(data, os.path.dirname(os.path.abspath(file)))
    return data, lines


def _expanded_step(step: str | int) -> str | int:
    try:
        return expanded(step, os.environ) if isinstance(step, str) else step
    except Flaw:
        return step


def _line(lines: dict[Path, int], path: Path) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)


def _text(file: str, included_by: str) -> str:
    try:
        with open(file, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        remedy = "correct the include" if included_by else 'name one with "--config FILE", or try "ringway demo"'
        raise ConfigError(file, [Problem("", "there is no such file", remedy)]) from None
    except OSError as error:
        reason = reason_of(error)
        raise ConfigError(
            file, [Problem("", f"cannot be read ({reason})", "correct its name or its permissions")]
        ) from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(file, [Problem("", "the file is UTF-16", "save it as UTF-8")])
    try:
        # Some editors on Windows write a byte order mark (BOM) first, which has no meaning in UTF-8.
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        sentence = f"byte {error.start} is not UTF-8"
        raise ConfigError(file, [Problem("", sentence, "save the file as UTF-8").at(file, line)]) from None


class _Merge:
    """Merges the data and the places of one file into a document."""

    def __init__(self, document: Document, file: str, lines: dict[Path, int]) -> None:
        self._document = document
        self._file = file
        self._lines = lines

    def into(self, data: dict[str, Any], more: dict[str, Any], at: Path) -> None:
        """Merges tables, and appends to lists of tables. Any other key can be in one file only."""
        for key, value in more.items():
            path = (*at, key)
            known: Any = data.get(key)
            if key not in data:
                data[key] = value
                self.note(value, path, path)
            elif isinstance(known, dict) and isinstance(value, dict) and not ("type" in known and "type" in value):
                self.into(known, value, path)
            elif _tables(known) and _tables(value):
                for number, entry in enumerate(value):
                    self.note(entry, (*path, number), (*path, len(known) + number))
                data[key] = [*known, *value]
            else:
                other, line = self._document.place(key_path(path))
                problem = Problem(key_path(path), f"is already set at {other}:{line}", "keep one of them")
                self._document.problems.append(problem.at(self._file, _line(self._lines, path)))

    def include(self, patterns: Any) -> None:
        """Collects the patterns of all files in one list. `reload_on_change` watches the files that match."""
        data = self._document.data
        if "include" not in data:
            data |= {"include": patterns} if patterns != [] else {}
            self.note(patterns, ("include",), ("include",))
            return
        known = data["include"] if isinstance(data["include"], list) else [data["include"]]
        more = patterns if isinstance(patterns, list) else [patterns]
        for number, entry in enumerate(more):
            self.note(
                entry, ("include", number) if more is patterns else ("include",), ("include", len(known) + number)
            )
        data["include"] = [*known, *more]

    def note(self, value: Any, there: Path, here: Path) -> None:
        """Records the lines of a value and of everything in it. `there` is its path in the file, `here` in the
        document."""
        if there in self._lines:
            self._document.places.setdefault(key_path(here), (self._file, self._lines[there]))
        steps = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for step in steps:
            self.note(value[step], (*there, step), (*here, step))


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _path_keys() -> set[str]:
    """Returns the keys whose values are paths of files or folders, from the model."""

    def is_path(about: FieldInfo) -> bool:
        inner = (entry for kind in get_args(about.annotation) for entry in getattr(kind, "__metadata__", ()))
        return kinds.PATH in (*about.metadata, *inner)

    return {
        name
        for section in model.Section.__subclasses__()
        for name, about in section.model_fields.items()
        if is_path(about)
    }


_PATH_KEYS = _path_keys()


def _make_absolute(value: Any, folder: str) -> None:
    """Makes relative paths absolute. They start at the folder of the file that contains them."""

    def absolute(path: Any) -> Any:
        if not isinstance(path, str) or not path or path == model.STDOUT or "\0" in path or form_of_shells(path):
            return path
        return os.path.normpath(os.path.join(folder, path)) if not os.path.isabs(path) else path

    if isinstance(value, list):
        for entry in value:
            _make_absolute(entry, folder)
    elif isinstance(value, dict):
        for key, entry in value.items():
            if key in _PATH_KEYS and isinstance(entry, list):
                value[key] = [absolute(path) for path in entry]
            elif key in _PATH_KEYS and isinstance(entry, str):
                value[key] = absolute(entry)
            else:
                _make_absolute(entry, folder)


def key_path(path: Path) -> str:
    """Writes a path as a TOML key: `path_routes."example.com"."/api/".url`, `server.listen[1]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            written = step if _BARE_KEY.fullmatch(step) else json.dumps(step, ensure_ascii=False)
            text += f".{written}" if text else written
    return text
