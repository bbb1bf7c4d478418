"""Explains TOML syntax errors: recognizes common mistakes and suggests a remedy."""

import re

from ringway.errors import Problem

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_FORM = "see https://toml.io for the form"
_BARE_KEY = re.compile(r"\s*([^\s\"'=\[\]{}#,][^\"'=\[\]{}#,]*?)\s*=(.*)")
_HEADER = re.compile(r"\s*\[+\s*([^\"'\[\]#]+?)\s*\]+\s*(#.*)?")
_DOTTED = re.compile(r"[A-Za-z0-9_-]+(\s*\.\s*[A-Za-z0-9_-]+)*")
_NGINX = re.compile(r"\s*(server|location|http|upstream|events)\b[^=]*\{|.*[^\s{},\"'];\s*(#.*)?$")
_WORDS = {"yes": "true", "on": "true", "True": "true", "no": "false", "off": "false", "False": "false"}


def syntax_problem(text: str, message: str) -> Problem:
    """Makes a Problem from an error message of tomllib about this text."""
    lines = text.split("\n")
    place = _PLACE.search(message)
    said = message[: place.start()] if place else message
    if place is None or place[1] is None:
        number, column = len(text.rstrip().split("\n")), ""
    else:
        number, column = int(place[1]), f" (column {place[2]})"
        # The error can be at the end of the text.
        number = min(number, len(lines))
    start = _open_table(lines, number)
    if start:
        key = lines[start - 1].partition("=")[0].strip()
        return Problem(
            "",
            "not TOML: an inline table, from { to }, must stand on one line",
            f"write it on one line, or put its keys below a section header for {key}",
            line=start,
        )
    sentence, remedy = _slip(lines[number - 1], said)
    return Problem("", f"not TOML: {sentence}{column}", remedy, line=number)


def _slip(line: str, said: str) -> tuple[str, str]:
    if said.startswith("Illegal character '\\n'"):
        return "a string is not closed", "add a quote at its end"
    if found := re.match(r"Cannot declare \((.*)\) twice", said):
        name = found[1].replace("'", "").rstrip(",").replace(", ", ".")
        return f"[{name}] is defined twice", "put all of its keys below one of them"
    if said.startswith("Cannot overwrite a value"):
        return "this key is defined twice", "keep one of them"
    if said.startswith(("Unescaped", "Invalid hex")):
        return "a \\ within double quotes", "write \\\\, or single quotes"
    if any(mark in line for mark in "\u201c\u201d\u201e\u2018\u2019"):
        return "typographic quotes", "write plain ones: \" or '"
    if _NGINX.match(line):
        return f"this looks like nginx's configuration: {said}", "see docs/from-nginx.md"
    if (header := _HEADER.fullmatch(line)) and not _DOTTED.fullmatch(header[1]):
        section, dot, name = header[1].partition(".")
        if dot:
            return f"{name} needs quotes", f'write [{section}."{name}"]'
        return f"{header[1]} is not the name of a section", _FORM
    if line.lstrip().startswith("{"):
        return "this looks like JSON", "write [server] and below it listen = 443, see docs/configuration.md"
    if found := re.fullmatch(r"\s*([A-Za-z_]+):\s*", line):
        return "this looks like YAML", f"write [{found[1]}], and below it keys like listen = 443"
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
    pair = _BARE_KEY.fullmatch(line)
    if pair is None and re.search(r"=\s*(#.*)?$", line):
        return "there is no value after the =", "write one, or remove the line"
    if pair is None:
        return said, _FORM
    key, value = pair[1], pair[2].strip()
    if not _DOTTED.fullmatch(key):
        return f"the key {key} needs quotes", f'write "{key}" = ...'
    word = value.partition("#")[0].strip()
    if word in _WORDS:
        return f"{word} is not a value", f"write {key} = {_WORDS[word]}"
    if word and word[0] not in "\"'[{":
        return f"{word} needs quotes", f'write {key} = "{word}"'
    if not word:
        return f"{key} has no value", _FORM
    return said, _FORM


def _open_table(lines: list[str], number: int) -> int:
    """Looks in the first `number` lines for an inline table that does not end on the line on which it begins. Returns
    that line, or 0."""
    depth, start = 0, 0
    for count, line in enumerate(lines[:number], 1):
        bare = re.sub(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*', "", line)
        for mark in bare:
            if mark == "{":
                start = start if depth else count
                depth += 1
            elif mark == "}":
                depth = max(0, depth - 1)
        if depth and _NGINX.match(lines[start - 1]):
            return 0
        if depth and "=" in lines[start - 1].partition("{")[0]:
            return start
    return 0
