"""Errors for the operator: one sentence with the place and the remedy, never a traceback."""

from dataclasses import dataclass, replace


class RingwayError(Exception):
    """Ringway cannot continue. The text is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Problem:
    """One problem of the configuration."""

    key: str
    """A key path such as `tls.cert_path`. "": the whole file."""
    sentence: str
    """What is wrong, without a full stop."""
    remedy: str = ""
    """What to do about it, without a full stop."""
    file: str = ""
    """The file with the key. "": the main file."""
    line: int = 0
    """0: no line in particular."""

    def at(self, file: str, line: int = 0) -> "Problem":
        """Returns the problem with its place. If `line` is 0, the problem keeps its line."""
        return replace(self, file=file, line=line or self.line)

    def __str__(self) -> str:
        place = f"{self.key}: " if self.key else ""
        return f"{place}{self.sentence}" + (f"; {self.remedy}" if self.remedy else "")


class ConfigError(RingwayError):
    """The configuration is invalid. `problems` lists all problems, in the order of the file."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        super().__init__("\n".join(f"{self._place(problem)}: {problem}" for problem in problems))

    def _place(self, problem: Problem) -> str:
        file = problem.file or self.file
        return f"{file}:{problem.line}" if problem.line else file
