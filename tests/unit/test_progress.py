"""`make build` shows that it goes on."""

import subprocess
import sys
from pathlib import Path

import progress

TOOL = Path(progress.__file__)


def test_a_line_for_each_tenth() -> None:
    steps = ["configuring\n", *(f"  [{count}/40] Compiling part {count}\n" for count in range(1, 41)), "built\n"]
    assert list(progress.shown(steps, False)) == [f"  {count} of 40\n" for count in range(4, 41, 4)]


def test_on_a_terminal_one_line_changes_and_is_gone_at_the_end() -> None:
    first, second, last = progress.shown(["[1/2] Compiling " + "x" * 100, "[2/2] Linking"], True)
    assert first.startswith("\r  1 of 2: Compiling xxx")
    assert second.startswith("\r  2 of 2: Linking ")
    assert len(first) == len(second) == 79
    assert last.strip() == ""


def test_what_the_command_said_is_shown_if_it_fails() -> None:
    def run(code: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(TOOL), sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = run("print('[1/1] step'); print('a lot')")
    assert (good.returncode, good.stdout, good.stderr) == (0, "  1 of 1\n", "")
    bad = run("print('why'); raise SystemExit(3)")
    assert (bad.returncode, bad.stderr) == (3, "why\n")
