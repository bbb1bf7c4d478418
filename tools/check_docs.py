"""Checks the documents. Exits with status 1 if

- docs/configuration.md or docs/config.schema.json differ from what src/ringway/config/model.py and `sections`
  generate (`make docs`),
- a link to a file of this repository, or to a heading in it, has no target, or
- docs/architecture.md does not list every module of the engine.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import check_engine

from ringway.config import docs

ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")


def stale() -> Iterator[str]:
    for name, text in (("configuration.md", docs.markdown()), ("config.schema.json", docs.json_schema())):
        if (ROOT / "docs" / name).read_text(encoding="utf-8") != text:
            yield f"docs/{name} is not up to date: run `make docs`"


def anchors(text: str) -> set[str]:
    """Returns the anchors of all headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(root: Path) -> Iterator[str]:
    for path in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("*/README.md")]):
        text = path.read_text(encoding="utf-8")
        # Ignore code.
        for link in _LINK.findall(re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)):
            if re.match(r"[a-z]+:", link):
                continue
            place, _, anchor = link.partition("#")
            target = path.parent / place if place else path
            if not target.exists():
                yield f"{path.relative_to(root)}: the target of {link} does not exist"
            elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
                yield f"{path.relative_to(root)}: no heading for {link}"


def unknown_modules() -> Iterator[str]:
    """Checks the table of levels, which is written by hand: it must list every module, in its folder."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = text[text.index("## Levels of the engine") : text.index("## The loop")]
    folder = ""
    told: dict[str, str] = {}
    for row in re.findall(r"^\| (?:`(\w+)`)? ?\| (`.*?) \|", table, re.M):
        folder = row[0] or folder
        told |= dict.fromkeys(re.findall(r"`(\w+)`", row[1]), folder)
    meson = (ROOT / "src/ringway/meson.build").read_text(encoding="utf-8")
    for folder, modules in check_engine.levels(meson).items():
        for name in modules:
            if told.get(name) != folder:
                yield f"docs/architecture.md does not list the module {name} in the folder {folder}"


def main() -> int:
    problems = [*stale(), *broken_links(ROOT), *unknown_modules()]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
