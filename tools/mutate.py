"""Puts faults back on purpose and checks that tests notice them: `make mutate` (ARGS="redirect": only mutations with
that word in their name).

`tools/mutations/*.toml` lists the mutations: a file, the text to replace, the replacement, and the tests that must fail
then. Every fault that was fixed has a mutation here, so that its test stays effective. This program copies the source,
and changes and builds the copy, one mutation at a time. It does not touch the working tree. It first runs the tests on
the unchanged copy. If a test fails there, its mutations are skipped and count as unnoticed. Mutations of the same file
run in a row, so that each build compiles little more than that file. Plain Python is not built: the program changes the
installed file. These mutations come first, while the build is unchanged.

    [[mutation]]
    name = "the length of a redirect is not bounded"
    file = "src/ringway/engine/exchange/request.py"
    before = "the exact text, once in the file"
    after = "the text with the fault"
    tests = ["tests/protocol/test_refusals.py::test_redirect"]

Exits with code 1 if a mutation was not noticed. Then fix the test, not the list.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LISTS = ROOT / "tools/mutations"
COPY = ROOT / "build/mutate"
BUILD, SITE = "build/debug", "build/debug/site"
OPTIONS = ["--buildtype=debug", "-Dengine_checks=true"]
TESTS_WITHIN = 600
"""Seconds. A mutation can make a test wait forever."""


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    list: str
    """The file in which it is listed."""

    @property
    def installed(self) -> Path:
        """The installed file, if it is plain Python. Compiled modules have no installed `.py`."""
        return COPY / SITE / self.file.removeprefix("src/")

    def problems(self, root: Path) -> Iterator[str]:
        """Yields the reasons why it cannot be applied."""
        path = root / self.file
        count = path.read_text(encoding="utf-8").count(self.before) if path.is_file() else 0
        if not path.is_file():
            yield f"there is no {self.file}"
        elif count != 1:
            yield f"the text to replace is {count} times in {self.file}, not once"
        if self.before == self.after:
            yield "it changes nothing"
        if not self.tests:
            yield "it names no test"
        for test in self.tests:
            where, _, name = test.partition("::")
            if not (root / where).is_file():
                yield f"there is no {where}"
            elif f"def {name.split('[')[0].split('::')[-1]}(" not in (root / where).read_text(encoding="utf-8"):
                yield f"there is no {name} in {where}"


def load(lists: Path = LISTS) -> list[Mutation]:
    found = []
    for path in sorted(lists.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutation"]:
            found.append(Mutation(**{**entry, "tests": tuple(entry["tests"])}, list=path.name))
    return found


def tracked() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]


def copy_tree() -> None:
    """Copies new and changed files, and removes deleted ones. Other files keep their times, so that the build compiles
    only what has changed."""
    wanted = {name for name in tracked() if (ROOT / name).is_file()}
    for name in wanted:
        source, place = ROOT / name, COPY / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() or place.read_bytes() != source.read_bytes():
            shutil.copy2(source, place)
            os.utime(place)
    tools = COPY / ".venv"  # contains Cython's own files; without them everything is compiled each time
    if (ROOT / ".venv").exists() and not tools.exists():
        tools.symlink_to(ROOT / ".venv")
    for place in COPY.rglob("*"):
        name = str(place.relative_to(COPY))
        if (
            place.is_file()
            and not name.startswith(("build/", ".venv/"))
            and name not in wanted
            and "__pycache__" not in name
        ):
            place.unlink()


def build() -> str:
    """Builds the copy. Returns the errors, or ""."""
    done = subprocess.run(["tools/variant.sh", BUILD, *OPTIONS], cwd=COPY, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr or done.stdout)[-3000:]


def failing(tests: list[str]) -> tuple[set[str], str]:
    """Runs the tests. Returns the names of those that fail, and the end of pytest's output."""
    environment = {**os.environ, "PYTHONPATH": str(COPY / SITE), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rfE", "--tb=no", *tests]
    try:
        done = subprocess.run(
            command, cwd=COPY, env=environment, capture_output=True, text=True, timeout=TESTS_WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        return set(tests), "timeout"
    lines = done.stdout.splitlines()
    failed = {line.split()[1] for line in lines if line.startswith(("FAILED ", "ERROR "))}
    if done.returncode < 0 or (done.returncode == 1 and not failed):
        # A signal, or the exit of a timeout: the mutation can end pytest itself. Find the test that causes it.
        alone = [failing([test])[0] for test in tests] if len(tests) > 1 else [set(tests)]
        return set().union(*alone), f"pytest ended with {done.returncode}"
    if done.returncode not in (0, 1):
        return set(), done.stdout[-2000:] + done.stderr[-2000:]
    return failed, "\n".join(lines[-5:])


def missed(mutation: Mutation) -> list[str]:
    """Returns the tests of the mutation that do not notice it. Raises RuntimeError if the build fails."""
    plain = mutation.installed.is_file()
    path = mutation.installed if plain else COPY / mutation.file
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace(mutation.before, mutation.after), encoding="utf-8")
    try:
        if error := "" if plain else build():
            raise RuntimeError(error)
        failed, _ = failing(list(mutation.tests))
    finally:
        path.write_text(right, encoding="utf-8")
    return [test for test in mutation.tests if not stands_in(test, failed)]


def stands_in(test: str, failed: set[str]) -> bool:
    return any(name == test or name.startswith(f"{test}[") for name in failed)


def main() -> int:
    description = "Puts faults back on purpose and checks that tests notice them."
    parser = argparse.ArgumentParser(prog="make mutate", description=description)
    parser.add_argument("words", nargs="*", help="only mutations with one of these words in their name or list")
    parser.add_argument("--list", action="store_true", help="list the mutations, run none")
    options = parser.parse_args()
    chosen = [
        one
        for one in load()
        if not options.words or any(word in one.name or word in one.list for word in options.words)
    ]
    broken = [f"{one.list}: {one.name}: {text}" for one in chosen for text in one.problems(ROOT)]
    if broken:
        print(*broken, sep="\n", file=sys.stderr)
        return 2
    if not chosen:  # pytest without a test named would run all of them
        print(f"no mutation has one of these words: {' '.join(options.words)}", file=sys.stderr)
        return 2
    if options.list:
        print(*(f"{one.list}: {one.name}" for one in chosen), sep="\n")
        return 0
    copy_tree()
    print("building, then running the named tests on the unchanged source ...", flush=True)
    if error := build():
        print(error, file=sys.stderr)
        return 2
    failed, said = failing(sorted({test for one in chosen for test in one.tests}))
    if failed or "passed" not in said:
        print(*sorted(failed), said, sep="\n", file=sys.stderr)
        print("the unchanged source must pass first", file=sys.stderr)
        if "passed" not in said:
            return 2
    unnoticed = 0
    for number, one in enumerate(sorted(chosen, key=lambda one: (not one.installed.is_file(), one.file)), 1):
        if tests := [test for test in one.tests if stands_in(test, failed)]:
            verdict = f"NOT RUN: unchanged fails {', '.join(tests)}"
        else:
            try:
                tests = missed(one)
                verdict = f"NOT NOTICED by {', '.join(tests)}" if tests else "noticed"
            except RuntimeError as error:
                tests, verdict = ["-"], f"COULD NOT BE BUILT\n{error}"
        unnoticed += bool(tests)
        print(f"{number}/{len(chosen)} {one.list}: {one.name}: {verdict}", flush=True)
    print(f"{len(chosen) - unnoticed} of {len(chosen)} mutations were noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
