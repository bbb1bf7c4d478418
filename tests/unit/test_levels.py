"""The order of the engine's levels: kept, and noticed when it is not."""

from collections.abc import Callable
from pathlib import Path

import check_engine
import pytest

MESON = """
engine_modules = {
  # level 1: memory
  'one': [], 'uno': [],
  # level 2: codecs
  'two': [],
  # level 3: the kernel
  'three': [uring],
}
"""


@pytest.fixture
def problems(tmp_path: Path) -> Callable[[dict[str, str]], list[str]]:
    """Problems of an engine of these files."""

    def look(files: dict[str, str]) -> list[str]:
        for name in ("one.py", "uno.py", "two.py", "three.py"):
            (tmp_path / name).touch()
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        return [problem.text for problem in check_engine.check_levels(tmp_path, MESON)]

    return look


def test_levels_of_the_engine() -> None:
    engine = check_engine.ROOT / "src/ringway/engine"
    meson = (check_engine.ROOT / "src/ringway/meson.build").read_text(encoding="utf-8")
    assert [str(problem) for problem in check_engine.check_levels(engine, meson)] == []


def test_the_list_is_read() -> None:
    assert check_engine.levels(MESON) == {"one": (1, 0), "uno": (1, 1), "two": (2, 2), "three": (3, 3)}


@pytest.mark.parametrize(
    "files",
    [
        {"two.py": "from cython.cimports.ringway.engine.one import a\n"},
        {"two.pxd": "from ringway.engine.uno cimport a\n"},
        {"uno.py": "from cython.cimports.ringway.engine.one import a\n"},
        {"two.py": "from cython.cimports.ringway.engine.native.linux import close\n"},
        {"two.py": "from cython.cimports.libc.string import memcpy\nimport os\n"},
        {"state.pxd": "from ringway.engine.driver cimport Driver\n", "driver.pxd": ""},
        {"three.py": "from cython.cimports.ringway.engine.state import Worker\n"},
    ],
)
def test_downwards_and_backwards_is_allowed(problems: Callable[..., list[str]], files: dict[str, str]) -> None:
    assert problems(files) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"one.py": "from cython.cimports.ringway.engine.two import a\n"},
            "one (level 1) imports two of level 2",
        ),
        ({"one.pxd": "from ringway.engine.three cimport a\n"}, "one (level 1) imports three of level 3"),
        ({"one.py": "from ringway.engine import three\n"}, "one (level 1) imports three of level 3"),
        ({"one.py": "import ringway.engine.two as t\n"}, "one (level 1) imports two of level 2"),
        (
            {"one.py": "from cython.cimports.ringway.engine.uno import a\n"},
            "one imports uno, which stands behind it in level 1",
        ),
        (
            {"two.py": "from cython.cimports.ringway.engine.state import Worker\n"},
            "two (level 2) imports state of level 3",
        ),
        ({"four.py": ""}, "four has no level in src/ringway/meson.build"),
    ],
)
def test_upwards_is_not(problems: Callable[..., list[str]], files: dict[str, str], said: str) -> None:
    assert problems(files) == [said]
