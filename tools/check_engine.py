"""Checks the rules of the engine (docs/architecture.md): `python tools/check_engine.py [--build DIR]`.

Declarations   every function of a .pxd is `noexcept nogil`; a function that is only in a .py has the equivalent
               decorators
Bodies         such functions contain no `raise`, `assert`, `try` or `with gil`: without the GIL these would only print
               an error and continue, or take the GIL
Levels         a folder of the engine is a level: a module imports from lower folders, a .py by their headers
               (`from cython.cimports.ringway.engine.base import *`), and within its folder only modules that
               src/ringway/meson.build lists before it, by their names
Headers        the header of a folder (`__init__.pxd`) lists every module in it, and the engine declares a name only
               once
Recursion      no function of the engine calls itself, directly or through others: a peer could choose the depth of the
               stack. If a cycle must stay, a comment at one of its calls says what bounds its depth
Lanes          modules of `exchange` take and give bytes by lane.pxd alone: they call no function of a stream, and of a
               connection's stream they mention only its lane and facts (`secure`, `door` ...). So one exchange serves
               all carriers: HTTP/1, HTTP/2
Length         a note for over 600 lines, an error for over 1,000
Generated C    functions without the GIL use nothing of CPython's API (with --build, or if there is a build/release)

A comment `# rule: why` on a line, or directly above it, allows that line to break a rule. Exits with status 1 if a rule
is broken.
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

# Declarations of C. Every folder can import them.
NATIVE = "native"

# Names of CPython and Cython that are only hints to the C compiler.
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
    """On one line, from `cdef` to the end."""


# ------------------------------------------------------------------------------------------------- declarations


def statements(source: str) -> Iterator[tuple[int, str]]:
    """Yields lines without comments. Joins the lines of a statement in parentheses."""
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
    """Returns the functions that a .pxd declares, including inline ones, without function pointers and C functions."""
    found: list[Declaration] = []
    for number, code in statements(source):
        # The functions of a C header are indented below `cdef extern`.
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
    """Yields the functions that the .pxd of the module declares, and those with `cython.nogil`."""
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
    """Reads src/ringway/meson.build. Returns the modules by folder, both in the order of their levels."""
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
    """Yields the imports from the engine in a .py or .pxd: (line, folder, module). "": the header of the folder."""
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
        # A .pxd without a .py comes before the modules of its folder.
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
                yield Problem(path, number, f"{name} imports {other}, which comes after it in {folder}")


def _place(modules: list[str], name: str) -> int:
    return modules.index(name) if name in modules else -1


def check_headers(engine: Path, meson: str) -> Iterator[Problem]:
    """Checks what star imports need: the header of a folder lists all modules, and no name is declared twice."""
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
                    yield Problem(path, line, f"{name} is also declared in {other}")
                owner.setdefault(name, path)


def _declared_names(source: str) -> Iterator[tuple[int, str]]:
    """Yields functions, structs, unions, enums, and values of enums."""
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


# -------------------------------------------------------------------------------------------------------- lanes

_FACTS = {
    "door", "identity", "identity_length", "lane", "offload", "refused", "rules", "secure", "tls_cipher",
    "tls_cipher_length", "tls_version",
}  # fmt: skip
"""What an exchange may know of the connection that carries it."""


def check_lanes(engine: Path) -> Iterator[Problem]:
    for path in sorted((engine / "exchange").glob("*.p*")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            code = line.split("#")[0]
            said = {name for name in re.findall(r"\.stream\b(?:\.(\w+))?", code) if name not in _FACTS}
            said |= set(re.findall(r"\bstream_\w+(?=\()|\bStream\b", code))
            if said and not _excused(lines, number):
                names = ", ".join(sorted(name or "the stream" for name in said))
                yield Problem(path, number, f"{names} is the connection's; an exchange uses its lanes (lane.pxd)")


# ---------------------------------------------------------------------------------------------------- recursion

# What makes OpenSSL call back: these move a connection on. Everything else of it answers without us.
_MOVES_TLS = re.compile(r"SSL_(do_handshake|accept|connect|read|peek|write|shutdown)(_ex)?$")


@dataclass(frozen=True)
class Call:
    path: Path
    line: int
    caller: str
    name: str
    how: str
    """"name": by its name; "pointer": through a field of that name."""


def check_recursion(modules: list[Path], headers: list[Path]) -> Iterator[Problem]:
    """Names are unique in the engine, so a call by name is a call of that function. One through a pointer may be a call
    of everything that is ever assigned to a field of that name.
    """
    names = {function.name for path in modules for function in functions_without_gil(path)}
    names |= {d.name for path in headers for d in declarations(path.read_text(encoding="utf-8")) if _inline(d)}
    fields, callbacks = _pointers(modules, names)
    edges: dict[str, dict[str, Call]] = {name: {} for name in names}
    for call in [*_calls(modules), *_inline_calls(headers)]:
        if call.how == "pointer":
            targets = fields.get(call.name, set())
            if not targets:
                yield Problem(call.path, call.line, f"nobody assigns a function to `{call.name}`, which is called")
        elif _MOVES_TLS.match(call.name):
            targets = callbacks
        else:
            targets = {call.name} & names
        lines = call.path.read_text(encoding="utf-8").splitlines()
        for target in targets:
            if not _excused(lines, call.line):
                edges[call.caller].setdefault(target, call)
    for cycle in _cycles(edges):
        text = " -> ".join(f"{call.caller}()" for call in [*cycle, cycle[0]])
        yield Problem(cycle[-1].path, cycle[-1].line, f"recursion: {text}. What bounds its depth?")


def _inline(declared: Declaration) -> bool:
    return re.search(r"\binline\b", declared.signature) is not None


def _locals(function: ast.FunctionDef) -> set[str]:
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {argument.arg for argument in function.args.args}


def _field(node: ast.expr) -> str:
    """`handlers.received[kind]` is the field `received`; "": it is none."""
    node = node.value if isinstance(node, ast.Subscript) else node
    return node.attr if isinstance(node, ast.Attribute) else ""


def _pointers(modules: list[Path], names: set[str]) -> tuple[dict[str, set[str]], set[str]]:
    """Functions by the field that they are assigned to, and those that are given to a library to be called back."""
    fields: dict[str, set[str]] = {}
    callbacks: set[str] = set()
    for path in modules:
        for function in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(function, ast.FunctionDef):
                continue
            meant = names - _locals(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in meant:
                    for target in node.targets:
                        fields.setdefault(_field(target), set()).add(node.value.id)
                elif isinstance(node, ast.Call):
                    callbacks |= {entry.id for entry in node.args if isinstance(entry, ast.Name)} & meant
    return fields, callbacks


def _calls(modules: list[Path]) -> Iterator[Call]:
    for path in modules:
        for function in functions_without_gil(path):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield Call(path, node.lineno, function.name, node.func.id, "name")
                elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[0] != "cython":
                    yield Call(path, node.lineno, function.name, _field(node.func), "pointer")


def _inline_calls(headers: list[Path]) -> Iterator[Call]:
    """A .pxd is no Python, so by its text."""
    for path in headers:
        caller = ""
        for number, code in statements(path.read_text(encoding="utf-8")):
            if code and not code[0].isspace():
                found = [d for d in declarations(code) if _inline(d)]
                caller = found[0].name if found else ""
            elif caller:
                for dot, name in re.findall(r"(\.?)\b(\w+)\(", code):
                    yield Call(path, number, caller, name, "pointer" if dot else "name")


def _cycles(edges: dict[str, dict[str, Call]]) -> Iterator[list[Call]]:
    """One for each call that closes one, depth first; none if there are none."""
    done: set[str] = set()
    for root in sorted(edges):
        trail: list[Call] = []
        stack = [(root, iter(sorted(edges[root].items())))]
        while stack:
            name, left = stack[-1]
            target, call = next(left, ("", None))
            if call is None:
                done.add(name)
                stack.pop()
                trail = trail[:-1]
            elif target in (under_way := [entry for entry, _ in stack]):
                yield [*trail[under_way.index(target) :], call]
            elif target not in done:
                trail.append(call)
                stack.append((target, iter(sorted(edges[target].items()))))


# ------------------------------------------------------------------------------------------- length, generated C


def check_length(path: Path) -> Iterator[Problem]:
    count = len(path.read_text(encoding="utf-8").splitlines())
    if count > TOO_LONG:
        yield Problem(path, count, f"{count} lines; the maximum is {TOO_LONG}")


def long_files(paths: list[Path]) -> list[str]:
    counts = [(len(path.read_text(encoding="utf-8").splitlines()), path) for path in paths]
    return [f"{path.name} has {count} lines; over {LONG} needs a reason" for count, path in counts if count > LONG]


def check_generated(path: Path, names: set[str]) -> Iterator[Problem]:
    """`names`: the functions of the module that run without the GIL."""
    source = path.read_text(encoding="utf-8")
    # In C names the length of the module's name comes before it.
    prefix = f"{len(path.stem)}{path.stem}_"
    folder = re.compile(r"^\d+[a-z]+\d*_(?=\d)")
    seen = set()
    for match in _FUNCTION.finditer(source):
        inside = folder.sub("", match[1])
        name = inside.removeprefix(prefix)
        if name == inside or name not in names:
            continue
        seen.add(name)
        # Comments contain the source line, and strings can contain anything.
        body = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\])*"', "", match[2], flags=re.S)
        used = {word for word in _PYTHON.findall(body) if not HARMLESS.match(word)}
        if used:
            line = source.count("\n", 0, match.start()) + 1
            yield Problem(path, line, f"{name}() runs without the GIL, but uses {', '.join(sorted(used))}")
    for name in sorted(names - seen):
        yield Problem(path, 1, f"{name}() was not found; Cython may have changed the form of its C code")


# ---------------------------------------------------------------------------------------------------------- all


def _excused(lines: list[str], number: int) -> bool:
    """Whether a comment near the line allows it to break a rule."""
    near = lines[max(0, number - 2) : number]
    return any(re.search(r"#\s*rule:\s*\S", line) for line in near)


def check(root: Path, build: Path | None) -> tuple[list[Problem], list[str]]:
    """Returns the lines that break a rule, and notes."""
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
    problems += check_lanes(engine)
    problems += check_recursion(modules, headers)
    meson = (root / "src/ringway/meson.build").read_text(encoding="utf-8")
    problems += check_levels(engine, meson)
    problems += check_headers(engine, meson)
    if build is not None:
        for module in modules:
            generated = sorted(build.glob(f"src/ringway/{module.stem}.*.so.p/{module.stem}.c"))
            if not generated:
                told.append(f"{module.stem}.c is not in {build}: its generated code was not checked")
            for path in generated:
                problems += check_generated(path, {f.name for f in functions_without_gil(module)})
    return problems, told


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks the rules of the engine.")
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
            f"{len(problems)} lines break a rule of the engine (tools/check_engine.py lists the rules)",
            file=sys.stderr,
        )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
