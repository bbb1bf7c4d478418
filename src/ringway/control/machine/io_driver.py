"""Chooses the I/O driver of the workers: io_uring if a trial of it succeeds, else epoll."""

import errno
import os
import platform
from dataclasses import dataclass
from typing import Any

from ringway.config.model import Config
from ringway.errors import is_shortage

_DISABLED = "/proc/sys/kernel/io_uring_disabled"
"""Exists since Linux 6.6. 1: disabled for processes without CAP_SYS_ADMIN outside of io_uring_group; 2: for all."""

_REMEDIES = {
    errno.ENOMEM: "raise the memory limit (LimitMEMLOCK=, ulimit -l, or the container's limit), or use fewer workers",
    errno.EAGAIN: "raise the limit of threads (ulimit -u, or the container's pids limit)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


@dataclass(frozen=True)
class Trial:
    """The result of a trial of io_uring. `why` and `remedy` are empty if everything worked."""

    features: tuple[str, ...] = ()
    why: str = ""
    remedy: str = ""


_tried: Trial | None = None


def io_uring() -> Trial:
    """Returns the result of the trial. Runs it once in the life of the process."""
    global _tried
    if _tried is None:
        _tried = _try()
    return _tried


def refused(error: int) -> None:
    """Records that a worker could not set up io_uring. The trial opens one ring; all workers together may exceed a
    limit."""
    global _tried
    _tried = failed(error, "setting it up for all workers")


def _try() -> Trial:
    """Runs the trial: every operation that the engine needs, once."""
    try:
        from ringway.engine.kernel import trial
    except ImportError as error:
        return Trial(why=f"the engine is not built ({error})", remedy="install Ringway with `pip install .`")
    found: dict[str, Any] = trial.probe("io_uring")
    if "error" in found:
        return failed(found["error"], found["step"])
    return Trial(tuple(found["features"]))


def failed(error: int, step: str, disabled_file: str = _DISABLED) -> Trial:
    """Explains a failed trial: the cause, as far as it is known, and a remedy."""
    why = f"{step}: {os.strerror(error)}"
    disabled = _text_of(disabled_file)
    if error == errno.EPERM and disabled not in ("", "0"):
        return Trial(why=f"{why}, kernel.io_uring_disabled is {disabled}", remedy="sysctl kernel.io_uring_disabled=0")
    allow = "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile"
    if _is_filtered() and error in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        return Trial(why=f"{why}, a seccomp filter blocks it, as in many containers", remedy=allow)
    if error in (errno.EINVAL, errno.ENOSYS):
        why = f"{why}, Linux {platform.release()} lacks operations that Ringway needs"
        return Trial(why=why, remedy="use Linux 6.1 or later, with CONFIG_IO_URING")
    return Trial(why=why, remedy=_REMEDIES.get(error, "allow it for this user"))


def chosen(config: Config) -> str:
    """Returns the name of the driver. `ringway check` and the start have verified that a required driver works."""
    wanted = config.performance.io_driver
    if wanted == "auto":
        return "epoll" if io_uring().why else "io_uring"
    return wanted


def line(config: Config) -> str:
    """Describes the chosen driver and the reason."""
    if config.performance.io_driver != "auto":
        return f"{chosen(config)}, set by io_driver"
    if io_uring().why:
        return f"epoll, because io_uring cannot be used here ({io_uring().why}; {io_uring().remedy})"
    return f"io_uring, tested: {', '.join(io_uring().features)}"


def _is_filtered() -> bool:
    return "Seccomp:\t2" in _text_of("/proc/self/status").splitlines()


def _text_of(path: str) -> str:
    """Returns the text of a file, or "" if it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read().strip()
    except OSError as error:
        if is_shortage(error):
            raise
        return ""
