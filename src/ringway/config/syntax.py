"""Explains TOML syntax errors: recognizes common mistakes and suggests a remedy."""

import re

from ringway.config.places import defined_twice
from ringway.errors import Problem

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_FORM = "see https://toml.io for the form"
_BARE_KEY = re.compile(r"\s*([^\s\"'=\[\]{}#,][^\"'=\[\]{}#,]*?)\s*=(.*)")
_HEADER = re.compile(r"\s*\[+\s*([^\"'\[\]#]+?)\s*\]+\s*(#.*)?")
_DOTTED = re.compile(r"[A-Za-z0-9_-]+(\s*\.\s*[A-Za-z0-9_-]+)*")
_NGINX = re.compile(r"\s*(server|location|http|upstream|events)\b[^=]*\{|.*[^\s{},\"'];\s*(#.*)?$")
_COMMENT = re.compile(r"(//|/\*|;|--(?!-))\s*(\S.*?)?(\s*\*/)?$")
"""Comments of other languages."""
_WORDS = {"yes": "true", "on": "true", "True": "true", "no": "false", "off": "false", "False": "false"}


def syntax_problem(text: str, message: str) -> Problem:
    """Makes a Problem from an error message of tomllib about this text."""
    lines = text.split("\n")
    place = _PLACE.search(message)
    said = message[: place.start()] if place else message
    if place is None or place[1] is None:
        number, column = len(text.rstrip().split("\n")), 0
    else:
        # The error can be at the end of the text.
        number, column = min(int(place[1]), len(lines)), int(place[2])
    if said.startswith(("Cannot declare", "Cannot overwrite")) and (twice := _twice(lines, number)):
        return twice
    if found := _open_table(lines, number) or _open_list(lines, number):
        return found
    sentence, remedy = _slip(lines[number - 1], said, column)
    return Problem("", f"not TOML: {sentence}" + (f" (column {column})" if column else ""), remedy, line=number)


def _twice(lines: list[str], number: int) -> Problem | None:
    """Names both lines of a key or a table that the line `number` defines again."""
    found = defined_twice("\n".join(lines[:number]))
    if found is None:
        return None
    path, first = found
    steps = [f"[{step}]" if isinstance(step, int) else _as_key(step) for step in path]
    name = ".".join(steps).replace(".[", "[")
    if lines[number - 1].lstrip().startswith("["):
        sentence, remedy = f"[{name}] is defined twice", "put all of its keys below one of them"
    else:
        sentence, remedy = f"{name} is defined twice", "keep one of them"
    return Problem("", f"not TOML: {sentence}, first in line {first}", remedy, line=number)


def _as_key(step: str) -> str:
    return step if _DOTTED.fullmatch(step) and "." not in step else f'"{step}"'


def _slip(line: str, said: str, column: int) -> tuple[str, str]:
    """Returns a sentence and a remedy."""
    return (
        _of_marks(line, said, column)
        or _of_another_language(line, said)
        or _of_structure(line, said, column)
        or _value_at(line, column)
        or _of_pair(line, said)
    )


def _of_marks(line: str, said: str, column: int) -> tuple[str, str] | None:
    """Explains quotes, comments and marks at the end of the line."""
    if said.startswith("Illegal character '\\n'"):
        return "a string is not closed", "add a quote at its end"
    if found := re.match(r"Duplicate inline table key '(.*)'", said):
        return f"{found[1]} is twice in this table", "keep one of them"
    if comment := _comment(line, said, column):
        return f"a comment begins with #, not with {comment[1]}", f"write # {comment[2] or ''}".rstrip()
    if said.startswith(("Unescaped", "Invalid hex")):
        return "a \\ within double quotes", "write \\\\, or single quotes"
    if any(mark in line for mark in "\u201c\u201d\u201e\u2018\u2019"):
        return "typographic quotes", "write plain ones: \" or '"
    if re.match(r".*}\s*;\s*(#.*)?$", line) and "=" in line:
        return "a ; at the end of the line", "remove it"
    return None


def _of_another_language(line: str, said: str) -> tuple[str, str] | None:
    if _NGINX.match(line):
        return f"this looks like nginx's configuration: {said}", "see docs/from-nginx.md"
    if line.lstrip().startswith("{"):
        return "this looks like JSON", "write [server] and below it listen = 443, see docs/configuration.md"
    if line.strip() == "---":
        return "this looks like YAML", "write TOML, see docs/configuration.md"
    if found := re.fullmatch(r"\s*([A-Za-z_]+):\s*", line):
        return "this looks like YAML", f"write [{found[1]}], and below it keys like listen = 443"
    return None


def _of_structure(line: str, said: str, column: int) -> tuple[str, str] | None:
    """Explains headers, and missing or superfluous marks."""
    if (header := _HEADER.fullmatch(line)) and not _DOTTED.fullmatch(header[1]):
        section, dot, name = header[1].partition(".")
        if dot:
            return f"{name} needs quotes", f'write [{section}."{name}"]'
        return f"{header[1]} is not the name of a section", _FORM
    if "Expected '='" in said:
        return "there is no = after the key", "write key = value" + (", not key: value" if ":" in line else "")
    if said.startswith("Expected ']'"):
        return "the name of the section has no ] at its end", "add it"
    if re.search(r",\s*}", line):
        return "a comma before }", "remove it"
    if said.startswith("Unclosed inline table"):
        if ";" in line:
            return "a ; in an inline table", "write commas between the keys, and none behind the last one"
        if re.search(r"[^\s,{]\s+[\w.-]+\s*=", line.partition("{")[2]):
            return "there is no comma between two keys", "write one"
    if said.startswith("Unclosed array") and re.fullmatch(r"(.*\s)?[\"'0-9]", line[: max(column, 1)]):
        return "there is no comma between two entries of a list", "write one"
    return None


def _of_pair(line: str, said: str) -> tuple[str, str]:
    """Explains a key and its value. Returns what tomllib said if there is no better explanation."""
    pair = _BARE_KEY.fullmatch(line)
    if pair is None and re.search(r"=\s*(#.*)?$", line):
        return "there is no value after the =", "write one, or remove the line"
    if pair is None:
        return said, _FORM
    key, value = pair[1], pair[2].strip()
    if not _DOTTED.fullmatch(key):
        return f"the key {key} needs quotes", f'write "{key}" = ...'
    word = value.partition("#")[0].strip()
    if word and word[0] not in "\"'[{":
        return _unquoted(f"{key} = ", word)
    if not word:
        return f"{key} has no value", _FORM
    return said, _FORM


def _comment(line: str, said: str, column: int) -> re.Match[str] | None:
    """Finds a comment of another language, at the column of the error or as the whole line."""
    found = _COMMENT.match(line[max(column - 1, 0) :].strip()) or _COMMENT.match(line.strip())
    if found and found[1] == ";" and (not found[2] or found[2][0] == "#" or said.startswith("Unclosed inline")):
        return None
    return found


def _value_at(line: str, column: int) -> tuple[str, str] | None:
    """Explains a value within a list or an inline table, at this column of the line."""
    before = re.search(r"[\[{,=]\s*[^\s,={}\[\]\"']*$", line[: max(column - 1, 0)])
    if before is None or not re.search(r"[\[{]", line[: column - 1].partition("=")[2]):
        return None
    word = re.match(r"[^\s,={}\[\]\"'#]*", rest := line[before.start() + 1 :].lstrip())
    if word is None or not word[0] or re.match(r"\s*=", rest[word.end() :]):
        return None
    key = re.search(r"([\w-]+|\"[^\"]*\")\s*=$", line[: before.start() + 1])
    return _unquoted(f"{key[1]} = " if key else "", word[0])


def _unquoted(key: str, word: str) -> tuple[str, str]:
    """Explains a value that is neither a number nor a string. `key`: "" or `name = `."""
    if word in _WORDS:
        return f"{word} is not a value", f"write {key}{_WORDS[word]}"
    if found := re.fullmatch(r"([+-]?)0+([1-9][0-9]*(\.[0-9]+)?)", word):
        return f"{word} begins with a 0", f"write {key}{found[1]}{found[2]}"
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+", word) and "listen" not in key:
        return f"{word} is not a number", f"write {key}{word.replace(',', '')}"
    if re.fullmatch(r"[0-9]+(\s*,\s*[0-9]+)+", word):
        return f"{word} is more than one value", f"write {key}[{word}]"
    return f"{word} needs quotes", f'write {key}"{word}"'


def _open_table(lines: list[str], number: int) -> Problem | None:
    """Finds an inline table that begins in the first `number` lines and does not end on its line."""
    start = _opened(lines[:number], "{}")
    if not start or _NGINX.match(lines[start - 1]) or "=" not in lines[start - 1].partition("{")[0]:
        return None
    key = lines[start - 1].partition("=")[0].strip()
    following = next((n for n, line in enumerate(lines) if n >= start and _HEADER.fullmatch(line)), len(lines))
    if _depth(lines[start - 1 : following], "{}") > 0:
        return Problem("", f"not TOML: the table of {key} has no }} at its end", "add it", line=start)
    return Problem(
        "",
        "not TOML: an inline table, from { to }, must stand on one line",
        f"write it on one line, or put its keys below a section header for {key}",
        line=start,
    )


def _open_list(lines: list[str], number: int) -> Problem | None:
    """Finds a list that is still open where the line `number` begins a section or a key."""
    here = lines[number - 1]
    start = _opened(lines[: number - 1], "[]")
    if not start or not (_HEADER.fullmatch(here) or re.match(r"\s*([\w.-]+|\"[^\"]*\")\s*=", here)):
        return None
    key = lines[start - 1].partition("=")[0].strip()
    return Problem("", f"not TOML: the list of {key} has no ] at its end", "add it", line=start)


def _opened(lines: list[str], marks: str) -> int:
    """Returns the line on which the first of these marks opens what is still open after a line, or 0."""
    depth, start = 0, 0
    for count, line in enumerate(lines, 1):
        for mark in _bare(line):
            if mark == marks[0]:
                start = start if depth else count
                depth += 1
            elif mark == marks[1]:
                depth = max(0, depth - 1)
        if depth and (marks == "{}" or count == len(lines)):
            return start
    return 0


def _depth(lines: list[str], marks: str) -> int:
    """Returns how many of the marks are open after these lines, or 0 if none is after one of them."""
    depth = 0
    for line in lines:
        bare = _bare(line)
        depth += bare.count(marks[0]) - bare.count(marks[1])
        if depth <= 0:
            return 0
    return depth


def _bare(line: str) -> str:
    """Returns a line without its strings and its comment."""
    return re.sub(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*', "", line)
