"""No two modules of the configuration and the control plane need each other, not even by an import within a function or
for types alone."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2] / "src"


def imports(path: Path, modules: set[str]) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found & modules


def test_no_circle() -> None:
    files = [file for part in ("config", "control") for file in (ROOT / "ringway" / part).rglob("*.py")]
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files if file.stem != "__init__"}
    needs = {name: imports(file, set(names)) - {name} for name, file in names.items()}
    while free := [name for name, others in needs.items() if not others & needs.keys()]:
        for name in free:
            del needs[name]
    assert not needs, f"each of these needs another one of them: {needs}"
