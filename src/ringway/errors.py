"""Errors for the operator: one sentence with the place and the remedy, never a traceback."""

import errno
import resource
from dataclasses import dataclass, replace


class RingwayError(Exception):
    """Ringway cannot continue. The text is one sentence that says why and what to do."""


def is_shortage(error: OSError) -> bool:
    """Whether the process or the system ran out of descriptors or memory. The file is then not the cause."""
    return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def reason_of(error: BaseException) -> str:
    """Returns the reason in words, without error numbers."""
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.EMFILE:
        return f"not enough file descriptors, RLIMIT_NOFILE is {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}"
    if error.errno == errno.ENFILE:
        return "the system has no file descriptors left, see fs.file-max"
    if error.errno == errno.ENOMEM:
        return "not enough memory"
    return error.strerror or str(error)


def sentence_of(error: OSError) -> str:
    """Returns the reason, and the file if the error is about one."""
    named = error.filename and not is_shortage(error)
    return f'"{error.filename}": {reason_of(error)}' if named else reason_of(error)


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

    def told(self, file: str) -> str:
        """Returns the line for the user, with file and line. `file`: the file that was loaded."""
        place = f"{self.file or file}:{self.line}" if self.line else self.file or file
        return f"{place}: {self}"

    def __str__(self) -> str:
        place = f"{self.key}: " if self.key else ""
        return f"{place}{self.sentence}" + (f"; {self.remedy}" if self.remedy else "")


class ConfigError(RingwayError):
    """The configuration is invalid. `problems` lists all problems, in the order of the file."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        super().__init__("\n".join(problem.told(file) for problem in problems))
