"""Prints requirements from pyproject.toml for pip. `requirements.py run test` prints those of the project itself
("run") and those of its extra `test`."""

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def requirements(names: list[str]) -> list[str]:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    lists = {"run": project["dependencies"], **project["optional-dependencies"]}
    return [entry.replace(" ", "") for name in names for entry in lists[name]]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
