"""Errors that a person reads: one clear sentence with the place and the remedy, never a traceback."""

from dataclasses import dataclass, replace


class RingwayError(Exception):
    """Ringway cannot go on; the text is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the configuration."""

    key: str
    """Where: a key path such as `tls.cert_path`, or "" for the file as a whole."""
    sentence: str
    """What is wrong, without a full stop."""
    remedy: str = ""
    """What to do about it, without a full stop."""
    file: str = ""
    """The file that the key stands in; "": the one that was loaded."""
    line: int = 0
    """0: no single line."""

    def at(self, file: str, line: int = 0) -> "Problem":
        """The same with its place; a line that is known already stays."""
        return replace(self, file=file, line=line or self.line)

    def told(self, file: str) -> str:
        """With its place; `file`: the one that was loaded."""
        place = f"{self.file or file}:{self.line}" if self.line else self.file or file
        return f"{place}: {self}"

    def __str__(self) -> str:
        place = f"{self.key}: " if self.key else ""
        return f"{place}{self.sentence}" + (f"; {self.remedy}" if self.remedy else "")


class ConfigError(RingwayError):
    """The configuration cannot be used. `problems` has everything that is wrong, in the order of the file."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        super().__init__("\n".join(problem.told(file) for problem in problems))
