"""The order of the engine's levels and the headers of its folders: kept, and noticed when they are not."""

from collections.abc import Callable
from pathlib import Path

import check_engine
import pytest

MESON = """
engine = {
  # memory
  'base': {'one': [], 'uno': []},
  'http': {
    'two': [],
  },
  'kernel': {'three': [uring]},
}
"""
FILES = ("base/one.py", "base/uno.py", "http/two.py", "kernel/three.py")
Look = Callable[[dict[str, str]], list[str]]


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    def make(files: dict[str, str]) -> Path:
        for name, text in (dict.fromkeys(FILES, "") | files).items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return make


@pytest.fixture
def levels(tree: Callable[[dict[str, str]], Path]) -> Look:
    """Problems of an engine of these files, with its levels."""
    return lambda files: [problem.text for problem in check_engine.check_levels(tree(files), MESON)]


@pytest.fixture
def headers(tree: Callable[[dict[str, str]], Path]) -> Look:
    return lambda files: [problem.text for problem in check_engine.check_headers(tree(files), MESON)]


def test_the_engine_keeps_its_order() -> None:
    engine = check_engine.ROOT / "src/ringway/engine"
    meson = (check_engine.ROOT / "src/ringway/meson.build").read_text(encoding="utf-8")
    assert [str(problem) for problem in check_engine.check_levels(engine, meson)] == []
    assert [str(problem) for problem in check_engine.check_headers(engine, meson)] == []


def test_the_list_is_read() -> None:
    assert check_engine.levels(MESON) == {"base": ["one", "uno"], "http": ["two"], "kernel": ["three"]}


@pytest.mark.parametrize(
    "files",
    [
        {"http/two.py": "from cython.cimports.ringway.engine.base import *\n"},
        {"http/two.pxd": "from ringway.engine.base.uno cimport a\n"},
        {"base/uno.py": "from cython.cimports.ringway.engine.base.one import *\n"},
        {"base/one.py": "from cython.cimports.ringway.engine.native.linux import close\n"},
        {"http/two.py": "from cython.cimports.libc.string import memcpy\nimport os\n"},
        {"kernel/state.pxd": "from ringway.engine.kernel.driver cimport Driver\n", "kernel/driver.pxd": ""},
        {"kernel/three.py": "from cython.cimports.ringway.engine.kernel.state import *\n", "kernel/state.pxd": ""},
    ],
)
def test_downwards_and_backwards_is_allowed(levels: Look, files: dict[str, str]) -> None:
    assert levels(files) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"base/one.py": "from cython.cimports.ringway.engine.http import *\n"},
            "base/one imports http, a higher folder",
        ),
        ({"base/one.pxd": "from ringway.engine.kernel.three cimport a\n"}, "base/one imports kernel, a higher folder"),
        ({"base/one.py": "from ringway.engine.kernel import three\n"}, "base/one imports kernel, a higher folder"),
        ({"base/one.py": "import ringway.engine.http.two as t\n"}, "base/one imports http, a higher folder"),
        (
            {"base/one.py": "from cython.cimports.ringway.engine.base.uno import *\n"},
            "one imports uno, which comes after it in base",
        ),
        (
            {"base/uno.py": "from cython.cimports.ringway.engine.base import *\n"},
            "base/uno imports the header of its own folder",
        ),
        ({"http/four.py": ""}, "four has no place in src/ringway/meson.build"),
        ({"other/five.py": ""}, "the folder other has no level in src/ringway/meson.build"),
    ],
)
def test_upwards_is_not(levels: Look, files: dict[str, str], said: str) -> None:
    assert levels(files) == [said]


def test_a_header_has_every_module_and_no_name_twice(headers: Look) -> None:
    one = "cdef enum:\n    SIZE = 1\ncdef int go() noexcept nogil\n"
    both = "from ringway.engine.base.one cimport *\nfrom ringway.engine.base.uno cimport *\n"
    assert headers({"base/one.pxd": one, "base/uno.pxd": "", "base/__init__.pxd": both}) == []
    assert headers({"base/one.pxd": one, "base/uno.pxd": "", "base/__init__.pxd": both[:39]}) == [
        "uno is missing in the header of base"
    ]
    for again in ("cdef void go() noexcept nogil\n", "cdef enum Sizes:\n    SIZE = 2\n"):
        problems = headers({"base/one.pxd": one, "base/uno.pxd": again, "base/__init__.pxd": both})
        assert len(problems) == 1
        assert "is also declared in base/one" in problems[0]
