"""The rules of the engine (docs/architecture.md) as a check: `python tools/check_engine.py [--build DIR]`.

Declarations   every function of a .pxd is `noexcept nogil`; a function that only its .py knows has the decorators
               that say the same
Bodies         no `raise`, `assert`, `try`, `with gil` in them: there they only print and go on, or take the GIL
Levels         a folder of the engine is a level: a module imports from lower folders, a .py by their headers
               (`from cython.cimports.ringway.engine.base import *`), and within its folder only from modules that
               are listed before it in src/ringway/meson.build, by their names
Headers        the header of a folder (`__init__.pxd`) has every module of it, and a name is declared once in the engine
Length         over 600 lines is told, over 1,000 refused
Generated C    nothing of CPython's interface in a function without the GIL (with --build, or where build/release is)

A line may break a rule with a comment `# rule: why` on it or directly above it. Exit status 1 if a rule is broken.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONG, TOO_LONG = 600, 1000

# Declarations of C, below all folders.
NATIVE = "native"

# Of CPython's and Cython's names these only help the C compiler.
HARMLESS = re.compile(r"__Pyx_(pretend_to_initialize|ssize_strlen|div_\w+|mod_\w+|pow_\w+|sizeof\w*)$|Py_ssize_t$")
_PYTHON = re.compile(r"\b(?:_?Py[A-Z_]\w*|__Pyx_\w+|__pyx_mstate\w*|__PYX_\w+)")
_FUNCTION = re.compile(r"^static [^\n;=]*?\b__pyx_f_7ringway_6engine_(\w+)\([^\n;]*\) \{\n(.*?)^\}", re.M | re.S)
_DECORATED = {"cython.cfunc", "cython.nogil", "cython.exceptval(check=False)"}


@dataclass(frozen=True)
class Problem:
    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Declaration:
    line: int
    name: str
    signature: str
    """In one line, from `cdef` to the end."""


# ------------------------------------------------------------------------------------------------- declarations


def statements(source: str) -> Iterator[tuple[int, str]]:
    """Lines without their comments, each joined with those that its open parentheses reach over."""
    lines = source.splitlines()
    number = 0
    while number < len(lines):
        first, code = number + 1, lines[number].split("#")[0].rstrip()
        number += 1
        while code.count("(") > code.count(")") and number < len(lines):
            code += " " + lines[number].split("#")[0].strip()
            number += 1
        yield first, code


def declarations(source: str) -> list[Declaration]:
    """The functions that a .pxd declares, inline ones too; not function pointers, not those of C headers."""
    found: list[Declaration] = []
    for number, code in statements(source):
        # Those of a C header stand indented below `cdef extern`.
        if re.match(r"cdef extern", code) or "(*" in code.replace(" ", ""):
            continue
        if match := re.match(r"(?:cdef|cpdef)\s[^()]*?(\w+)\s*\(", code):
            found.append(Declaration(number, match[1], code))
    return found


def check_declarations(path: Path) -> Iterator[Problem]:
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    for declared in declarations(source):
        if not re.search(r"\)\s*noexcept nogil\s*(:|$)", declared.signature) and not _excused(lines, declared.line):
            yield Problem(path, declared.line, f"{declared.name}() is not `noexcept nogil`")
    for number, code in statements(source):
        pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", code)
        if pointer and not code.endswith("noexcept nogil") and not _excused(lines, number):
            yield Problem(path, number, f"the function pointer {pointer[1]} is not `noexcept nogil`")


# ------------------------------------------------------------------------------------------------------- bodies


def decorators(function: ast.FunctionDef) -> set[str]:
    return {ast.unparse(entry) for entry in function.decorator_list}


def functions_without_gil(path: Path) -> Iterator[ast.FunctionDef]:
    """Those that the .pxd beside it declares, and those whose decorators say it."""
    header = path.with_suffix(".pxd")
    names = {d.name for d in declarations(header.read_text(encoding="utf-8"))} if header.exists() else set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and (node.name in names or "cython.nogil" in decorators(node)):
            yield node


def check_bodies(path: Path) -> Iterator[Problem]:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = path.with_suffix(".pxd")
    declared = {d.name for d in declarations(header.read_text(encoding="utf-8"))} if header.exists() else set()
    defined: set[str] = set()
    for function in functions_without_gil(path):
        defined.add(function.name)
        for node in ast.walk(function):
            what = _forbidden(node)
            if what and not _excused(lines, node.lineno):
                yield Problem(path, node.lineno, f"{what} in {function.name}(), which runs without the GIL")
    for top in ast.parse("\n".join(lines)).body:
        if not isinstance(top, ast.FunctionDef):
            continue
        said = decorators(top)
        if "cython.nogil" in said and top.name not in declared and not said >= _DECORATED:
            missing = ", ".join(sorted(_DECORATED - said))
            yield Problem(path, top.lineno, f"{top.name}() is nogil, but lacks {missing}")
    for declaration in declarations(header.read_text(encoding="utf-8")) if header.exists() else []:
        if declaration.name not in defined and "inline" not in declaration.signature:
            yield Problem(header, declaration.line, f"{declaration.name}() is declared, but {path.name} has none")


def _forbidden(node: ast.AST) -> str:
    if isinstance(node, ast.Raise | ast.Assert | ast.Try):
        return f"`{type(node).__name__.lower()}`"
    if isinstance(node, ast.With) and any("gil" in ast.unparse(item.context_expr) for item in node.items):
        return f"`with {ast.unparse(node.items[0].context_expr)}`"
    return ""


# ------------------------------------------------------------------------------------------------------- levels


def levels(meson: str) -> dict[str, list[str]]:
    """From src/ringway/meson.build: folder -> its modules, both in the order of their levels."""
    text = meson[meson.index("engine = {") : meson.index("\n}", meson.index("engine = {"))]
    found: dict[str, list[str]] = {}
    folder = ""
    for line in text.splitlines()[1:]:
        code = line.split("#")[0]
        if match := re.match(r"  '(\w+)': \{", code):
            folder = match[1]
            found[folder] = []
            code = code[match.end() :]
        if folder:
            found[folder] += re.findall(r"'(\w+)'\s*:", code)
    return found


def imports(path: Path) -> Iterator[tuple[int, str, str]]:
    """What a .py or .pxd imports of the engine: (line, folder, module); of a folder's header the module is ""."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".pxd":
        for number, line in enumerate(source.splitlines(), 1):
            if match := re.match(r"\s*(?:from|cimport)\s+ringway\.engine\.(\w+)(?:\.(\w+))?", line):
                yield number, match[1], match[2] or ""
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{entry.name}" for entry in node.names]
        elif isinstance(node, ast.Import):
            names = [entry.name for entry in node.names]
        else:
            continue
        found = set()
        for name in names:
            if match := re.match(r"(?:cython\.cimports\.)?ringway\.engine\.(\w+)(?:\.(\w+))?", name):
                found.add((match[1], match[2] or ""))
        for folder, module in sorted(found):
            yield node.lineno, folder, module


def check_levels(engine: Path, meson: str) -> Iterator[Problem]:
    order = levels(meson)
    folders = list(order)
    for path in sorted([*engine.glob("*/*.py"), *engine.glob("*/*.pxd")]):
        folder, name = path.parent.name, path.stem
        if folder == NATIVE or name == "__init__":
            continue
        if folder not in order:
            yield Problem(path, 1, f"the folder {folder} has no level in src/ringway/meson.build")
            continue
        # A header without code (a .pxd alone) stands before the modules of its folder.
        if name not in order[folder] and path.with_suffix(".py").exists():
            yield Problem(path, 1, f"{name} has no place in src/ringway/meson.build")
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, other_folder, other in imports(path):
            if (other_folder, other) == (folder, name) or other_folder == NATIVE or _excused(lines, number):
                continue
            if other_folder not in order:
                yield Problem(path, number, f"the folder {other_folder} has no level in src/ringway/meson.build")
            elif folders.index(other_folder) > folders.index(folder):
                yield Problem(path, number, f"{folder}/{name} imports {other_folder}, a higher folder")
            elif other_folder == folder and not other:
                yield Problem(path, number, f"{folder}/{name} imports the header of its own folder")
            elif other_folder == folder and _place(order[folder], other) > _place(order[folder], name) >= 0:
                yield Problem(path, number, f"{name} imports {other}, which stands behind it in {folder}")


def _place(modules: list[str], name: str) -> int:
    return modules.index(name) if name in modules else -1


def check_headers(engine: Path, meson: str) -> Iterator[Problem]:
    """Star imports need it: every module in its folder's header, and no name twice."""
    owner: dict[str, Path] = {}
    for folder in levels(meson):
        header = engine / folder / "__init__.pxd"
        listed = {module for _, _, module in imports(header)} if header.exists() else set()
        for path in sorted((engine / folder).glob("*.pxd")):
            if path.stem == "__init__":
                continue
            if path.stem not in listed:
                yield Problem(header, 1, f"{path.stem} is missing in the header of {folder}")
            for line, name in _declared_names(path.read_text(encoding="utf-8")):
                if name in owner and owner[name] != path:
                    other = f"{owner[name].parent.name}/{owner[name].stem}"
                    yield Problem(path, line, f"{name} is declared in {other} too")
                owner.setdefault(name, path)


def _declared_names(source: str) -> Iterator[tuple[int, str]]:
    """Functions, structs, enums and their values, variables."""
    for declared in declarations(source):
        yield declared.line, declared.name
    in_enum = False
    for number, code in statements(source):
        if code and not code[0].isspace():
            in_enum = code.startswith("cdef enum")
            if match := re.match(r"(?:cdef|ctypedef) (?:struct|union|enum) (\w+)", code):
                yield number, match[1]
        elif in_enum and (match := re.match(r"\s+(\w+)", code)):
            yield number, match[1]


# ------------------------------------------------------------------------------------------- length, generated C


def check_length(path: Path) -> Iterator[Problem]:
    count = len(path.read_text(encoding="utf-8").splitlines())
    if count > TOO_LONG:
        yield Problem(path, count, f"{count} lines; none may have over {TOO_LONG}")


def long_files(paths: list[Path]) -> list[str]:
    counts = [(len(path.read_text(encoding="utf-8").splitlines()), path) for path in paths]
    return [f"{path.name} has {count} lines; over {LONG} needs a reason" for count, path in counts if count > LONG]


def check_generated(path: Path, names: set[str]) -> Iterator[Problem]:
    """`names`: those of the module's functions that run without the GIL."""
    source = path.read_text(encoding="utf-8")
    # In the C name the module is preceded by the length of its name.
    prefix = f"{len(path.stem)}{path.stem}_"
    folder = re.compile(r"^\d+[a-z]+\d*_(?=\d)")
    seen = set()
    for match in _FUNCTION.finditer(source):
        inside = folder.sub("", match[1])
        name = inside.removeprefix(prefix)
        if name == inside or name not in names:
            continue
        seen.add(name)
        # Comments hold the source line; strings hold anything.
        body = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\])*"', "", match[2], flags=re.S)
        used = {word for word in _PYTHON.findall(body) if not HARMLESS.match(word)}
        if used:
            line = source.count("\n", 0, match.start()) + 1
            yield Problem(path, line, f"{name}() runs without the GIL, but uses {', '.join(sorted(used))}")
    for name in sorted(names - seen):
        yield Problem(path, 1, f"{name}() was not found: does this check still know how Cython writes C?")


# ---------------------------------------------------------------------------------------------------------- all


def _excused(lines: list[str], number: int) -> bool:
    """Rule 0: a rule may be broken by a comment that says why."""
    near = lines[max(0, number - 2) : number]
    return any(re.search(r"#\s*rule:\s*\S", line) for line in near)


def check(root: Path, build: Path | None) -> tuple[list[Problem], list[str]]:
    """What breaks a rule, and what is only told."""
    engine = root / "src/ringway/engine"
    modules = sorted(path for path in engine.glob("*/*.py") if path.stem != "__init__")
    headers = sorted(engine.glob("*/*.pxd"))
    problems: list[Problem] = []
    told = long_files([*modules, *headers])
    for header in headers:
        problems += check_declarations(header)
    for module in modules:
        problems += check_bodies(module)
    for path in [*modules, *headers]:
        problems += check_length(path)
    meson = (root / "src/ringway/meson.build").read_text(encoding="utf-8")
    problems += check_levels(engine, meson)
    problems += check_headers(engine, meson)
    if build is not None:
        for module in modules:
            generated = sorted(build.glob(f"src/ringway/{module.stem}.*.so.p/{module.stem}.c"))
            if not generated:
                told.append(f"{module.stem}.c is not in {build}: its generated code was not looked at")
            for path in generated:
                problems += check_generated(path, {f.name for f in functions_without_gil(module)})
    return problems, told


def main() -> int:
    parser = argparse.ArgumentParser(description="The rules of the engine as a check.")
    parser.add_argument("--build", type=Path, help="build directory, for the generated C")
    build: Path | None = parser.parse_args().build
    if build is None and (ROOT / "build/release").exists():
        build = ROOT / "build/release"
    problems, told = check(ROOT, build)
    for text in told:
        print(f"note: {text}")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(
            f"{len(problems)} rules of the engine are broken (tools/check_engine.py says which there are)",
            file=sys.stderr,
        )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
