"""Every harness of fuzz/, with its corpus and a fixed number of changed inputs. By hand they run for any time."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
HARNESSES = sorted(file.stem.removeprefix("fuzz_") for file in FUZZ.glob("fuzz_*.py"))
CORPORA = sorted(folder.name for folder in (FUZZ / "corpus").iterdir())


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(FUZZ / f"fuzz_{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_harness_has_a_corpus() -> None:
    assert HARNESSES == CORPORA


@pytest.mark.parametrize("name", HARNESSES)
def test_the_corpus(name: str) -> None:
    run(name, *map(str, sorted((FUZZ / "corpus" / name).iterdir())))


@pytest.mark.parametrize("name", HARNESSES)
def test_random_changes(name: str) -> None:
    """As many inputs as take about half a second, and the same ones in every run."""
    said = run(name, "--seed", "1", "--inputs", "4000")
    assert said.startswith(f"{name}: 4000 inputs, seed 1: OK")
