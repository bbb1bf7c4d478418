"""The list of `make mutate` stays in step with the source, and the tool tells a test that looks away."""

from pathlib import Path

import mutate
import pytest


def test_every_mutation_can_be_applied() -> None:
    problems = [f"{one.list}: {one.name}: {text}" for one in mutate.load() for text in one.problems(mutate.ROOT)]
    assert problems == []


def test_names_are_unique() -> None:
    names = [one.name for one in mutate.load()]
    assert sorted(set(names)) == sorted(names)


def test_a_word_in_no_name_runs_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["mutate", "no such word"])
    monkeypatch.setattr(mutate, "copy_tree", lambda: pytest.fail("it copies the tree"))
    assert mutate.main() == 2
    assert "no mutation has one of these words: no such word" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"before": "return 3"}, "is 0 times"),
        ({"before": "return"}, "is 2 times"),
        ({"after": "return 1"}, "it changes nothing"),
        ({"file": "src/no.py"}, "there is no src/no.py"),
        ({"tests": ()}, "it names no test"),
        ({"tests": ("tests/no.py::test_a",)}, "there is no tests/no.py"),
        ({"tests": ("tests/test_a.py::test_b",)}, "there is no test_b in tests/test_a.py"),
    ],
)
def test_what_cannot_be_applied_is_told(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("return 1\nreturn 2\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("def test_a():\n    pass\n")
    entry = {"name": "n", "file": "src/a.py", "before": "return 1", "after": "return 0", "list": "a.toml"}
    entry |= {"tests": ("tests/test_a.py::test_a[x]",)}
    assert list(mutate.Mutation(**entry).problems(tmp_path)) == []  # type: ignore[arg-type]
    (problem,) = mutate.Mutation(**entry | changes).problems(tmp_path)  # type: ignore[arg-type]
    assert said in problem
