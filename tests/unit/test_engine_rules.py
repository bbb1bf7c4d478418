"""The rules of the engine: kept by the engine, and noticed when they are not."""

from pathlib import Path
from textwrap import dedent

import check_engine
import pytest

MESON = """
engine = {
  'under': {'low': [], 'lower': []},
  'over': {
    'high': [ssl],
  },
}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small engine that keeps all rules."""
    engine = tmp_path / "src/ringway/engine"
    for folder in ("native", "under", "over"):
        (engine / folder).mkdir(parents=True)
    (tmp_path / "src/ringway/meson.build").write_text(MESON)
    write(engine / "under/low.pxd", "cdef int step(int a,\n             int b) noexcept nogil   # does it\n")
    write(
        engine / "under/low.py",
        "def step(a, b):\n    return a + b\n\n\ndef shown(a: int) -> int:\n    raise ValueError\n",
    )
    write(engine / "under/lower.pxd", "cdef inline bint is(int a) noexcept nogil:\n    return a > 0\n")
    write(engine / "under/lower.py", "from cython.cimports.ringway.engine.under.low import step\n")
    write(engine / "over/high.pxd", "from ringway.engine.under.low cimport step\n\ncdef void go() noexcept nogil\n")
    write(
        engine / "over/high.py", "from cython.cimports.ringway.engine.under import *\n\n\ndef go():\n    step(1, 2)\n"
    )
    write(engine / "under/__init__.pxd", headers("under", "low", "lower"))
    write(engine / "over/__init__.pxd", headers("over", "high"))
    return tmp_path


def headers(folder: str, *modules: str) -> str:
    return "".join(f"from ringway.engine.{folder}.{module} cimport *\n" for module in modules)


def write(path: Path, text: str) -> None:
    path.write_text(dedent(text))


def broken(tree: Path, build: Path | None = None) -> list[str]:
    return [problem.text for problem in check_engine.check(tree, build)[0]]


def test_the_engine_keeps_its_rules() -> None:
    problems, _ = check_engine.check(check_engine.ROOT, None)
    assert not problems, "\n".join(map(str, problems))


def test_a_sound_tree_has_no_problem(tree: Path) -> None:
    assert broken(tree) == []


@pytest.mark.parametrize(
    "declaration",
    [
        "cdef int step(int a, int b) nogil",
        "cdef int step(int a, int b)",
        "cdef int step(int a, int b) except -1 nogil",
        "cdef inline int step(int a, int b) nogil:\n    return 0",
        "cdef int step(int a, # noexcept nogil\n     int b) nogil",
    ],
)
def test_a_function_must_be_noexcept_nogil(tree: Path, declaration: str) -> None:
    write(tree / "src/ringway/engine/under/low.pxd", declaration)
    assert broken(tree) == ["step() is not `noexcept nogil`"]


@pytest.mark.parametrize(
    "declaration",
    ["ctypedef int (*event_t)(int a) nogil", "cdef struct Table:\n    void (*event)(int a,\n        int b) nogil"],
)
def test_a_function_pointer_must_be_noexcept_nogil(tree: Path, declaration: str) -> None:
    write(tree / "src/ringway/engine/under/lower.pxd", declaration)
    assert len(broken(tree)) == 1
    assert "function pointer" in broken(tree)[0]


def test_functions_of_c_headers_are_as_the_header_says(tree: Path) -> None:
    write(tree / "src/ringway/engine/native/linux.pxd", 'cdef extern from "x.h" nogil:\n    int close(int fd)\n')
    assert broken(tree) == []


@pytest.mark.parametrize(
    "body", ["raise ValueError", "assert a", "with cython.gil:\n        a()", "with gil:\n        a()"]
)
def test_no_python_error_and_no_gil_in_a_function_without_gil(tree: Path, body: str) -> None:
    write(tree / "src/ringway/engine/under/low.py", f"def step(a, b):\n    {body}\n")
    assert len(broken(tree)) == 1
    assert "step()" in broken(tree)[0]


def test_a_comment_that_says_why_may_break_a_rule(tree: Path) -> None:
    write(tree / "src/ringway/engine/under/low.py", "def step(a, b):\n    # rule: at the start only\n    assert a\n")
    assert broken(tree) == []


def test_decorators_must_say_all_of_it(tree: Path) -> None:
    source = "import cython\n\n\n@cython.cfunc\n@cython.nogil\ndef private(a):\n    return a\n"
    write(tree / "src/ringway/engine/under/lower.py", source)
    assert broken(tree) == ["private() is nogil, but lacks cython.exceptval(check=False)"]


def test_what_is_declared_must_exist(tree: Path) -> None:
    write(tree / "src/ringway/engine/under/lower.pxd", "cdef int nowhere() noexcept nogil\n")
    assert broken(tree) == ["nowhere() is declared, but lower.py has none"]


def recursions(tree: Path, low: str, high: str = "def go():\n    pass\n") -> list[str]:
    """`low` declares step() and again(), `high` go()."""
    engine = tree / "src/ringway/engine"
    write(engine / "under/low.pxd", "cdef int step(int a) noexcept nogil\ncdef int again(int a) noexcept nogil\n")
    write(engine / "under/low.py", low)
    write(engine / "over/high.py", f"from cython.cimports.ringway.engine.under import *\n\n\n{high}")
    return broken(tree)


AGAIN = "def again(a):\n    return a\n"


def test_a_function_that_calls_itself(tree: Path) -> None:
    found = recursions(tree, f"def step(a):\n    return step(a - 1)\n{AGAIN}")
    assert found == ["recursion: step() -> step(). What bounds its depth?"]


def test_functions_that_call_each_other(tree: Path) -> None:
    found = recursions(tree, "def step(a):\n    return again(a)\n\n\ndef again(a):\n    return step(a) if a else 0\n")
    assert found == ["recursion: again() -> step() -> again(). What bounds its depth?"]


@pytest.mark.parametrize("field", ["w.handlers.gone[KIND]", "w.handlers.gone"])
def test_a_call_up_through_a_pointer_closes_a_cycle(tree: Path, field: str) -> None:
    low = f"def step(a):\n    {field}(a)\n{AGAIN}"
    found = recursions(tree, low, f"def opened(w):\n    {field} = go\n\n\ndef go():\n    step(1)\n")
    assert found == ["recursion: go() -> step() -> go(). What bounds its depth?"]


def test_a_pointer_that_nobody_fills_in_hides_no_cycle(tree: Path) -> None:
    found = recursions(tree, f"def step(a):\n    w.handlers.gone(a)\n{AGAIN}")
    assert found == ["nobody assigns a function to `gone`, which is called"]


def test_what_openssl_calls_back_closes_a_cycle(tree: Path) -> None:
    low = "def step(a):\n    SSL_CTX_set_msg_callback(a, again)\n\n\ndef again(a):\n    SSL_read(a, b, 1)\n"
    assert recursions(tree, low) == ["recursion: again() -> again(). What bounds its depth?"]


def test_inline_functions_are_part_of_cycles(tree: Path) -> None:
    inline = "cdef inline int is(int a) noexcept nogil:\n    # a comment\n    if a:\n        return step(a)\n"
    write(tree / "src/ringway/engine/under/lower.pxd", inline)
    found = recursions(tree, f"def step(a):\n    return is_it(a)\n{AGAIN}".replace("is_it", "lower"))
    assert found == []
    write(tree / "src/ringway/engine/under/lower.pxd", inline.replace("is(", "lower("))
    found = recursions(tree, f"def step(a):\n    return lower(a)\n{AGAIN}")
    assert found == ["recursion: lower() -> step() -> lower(). What bounds its depth?"]


def test_a_local_name_is_no_function(tree: Path) -> None:
    low = "def step(again):\n    w.table.at = again\n    w.table.at(1)\n\n\ndef again(a):\n    step(a)\n"
    assert recursions(tree, low) == ["nobody assigns a function to `at`, which is called"]


def test_a_cycle_may_say_what_bounds_its_depth(tree: Path) -> None:
    low = "def step(a):\n    return again(a)\n\n\ndef again(a):\n    return step(a)  # rule: once, a is 0 then\n"
    assert recursions(tree, low) == []
    # Another call of the same function has to say so too.
    found = recursions(tree, low + "    step(a)\n    return step(a)\n")
    assert found == ["recursion: again() -> step() -> again(). What bounds its depth?"]


def test_a_long_chain_of_calls_is_no_cycle(tree: Path) -> None:
    low = "def step(a):\n    again(a)\n    return again(a)\n\n\ndef again(a):\n    return puts(a)\n"
    assert recursions(tree, low, "def go():\n    step(1)\n    again(1)\n") == []


def test_an_exchange_uses_lanes(tree: Path) -> None:
    engine = tree / "src/ringway/engine"
    (engine / "exchange").mkdir()
    path = engine / "exchange/proxy.py"
    write(path, "# stream_send() would be wrong\nx.front = address(c.stream.lane)\nseen = c.stream.secure\n")
    assert list(check_engine.check_lanes(engine)) == []
    write(path, "stream_send(w, s, b)\nfd = c.stream.fd\nstream_send(w, c.stream, b)  # rule: a reason\n")
    said = [problem.text.split(" is ")[0] for problem in check_engine.check_lanes(engine)]
    assert said == ["stream_send", "fd"]
    write(path, "s: cython.pointer(Stream) = address(c.stream)\n")
    assert [p.text.split(" is ")[0] for p in check_engine.check_lanes(engine)] == ["Stream, the stream"]


def test_length(tree: Path) -> None:
    path = tree / "src/ringway/engine/under/lower.py"
    path.write_text("# .\n" * 601)
    assert check_engine.check(tree, None) == ([], ["lower.py has 601 lines; over 600 needs a reason"])
    path.write_text("# .\n" * 1001)
    assert broken(tree) == ["1001 lines; the maximum is 1000"]


# What Cython writes, shortened.
STEP = """
static int __pyx_f_7ringway_6engine_5under_3low_step(int, int); /*proto*/
static int __pyx_f_7ringway_6engine_5under_3low_step(int __pyx_v_a, int __pyx_v_b) {
  int __pyx_r;
  /* "low.py":2
 *     return a + b             # not PyErr_Occurred(), a comment
 */
  %s
  return __pyx_r;
}

static PyObject *__pyx_f_7ringway_6engine_5under_3low_with_gil(void) {
  return PyLong_FromLong(1);
}
"""
SOUND = '__pyx_r = puts("PyErr_Print()"); __Pyx_pretend_to_initialize(&__pyx_r);'


@pytest.mark.parametrize(
    ("code", "count"),
    [
        (SOUND, 0),
        ("PyGILState_STATE s = __Pyx_PyGILState_Ensure();", 1),
        ('__Pyx_WriteUnraisable("low.step", 0, 0, "low.py", 1, 1);', 1),
        ("__Pyx_RaiseUnboundLocalError();", 1),
        ("x = __pyx_mstate_global->__pyx_int_1;", 1),
    ],
)
def test_generated_code_without_gil_uses_nothing_of_python(tree: Path, code: str, count: int) -> None:
    folder = tree / "build/src/ringway/low.abi.so.p"
    folder.mkdir(parents=True)
    (folder / "low.c").write_text(STEP % code)
    assert len(broken(tree, tree / "build")) == count


def test_a_function_that_is_not_found_in_generated_code_is_told(tree: Path) -> None:
    folder = tree / "build/src/ringway/low.abi.so.p"
    folder.mkdir(parents=True)
    (folder / "low.c").write_text("")
    assert "was not found" in broken(tree, tree / "build")[0]
