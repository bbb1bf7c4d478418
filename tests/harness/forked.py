"""Starts Ringway as a fork of the test process, instead of as a new interpreter.

Imports take nine tenths of a start. On an emulated machine these are five seconds. There (RINGWAY_TEST_FORK=1) the test
process imports Ringway once. Instead of a program it starts a copy of itself, which calls main(). Workers of such a
copy are forks, too. In an upgrade, Ringway executes the new supervisor as usual.
"""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

FORK = os.environ.get("RINGWAY_TEST_FORK") == "1"
_PROGRAM = [sys.executable, "-P", "-m", "ringway"]

if FORK:
    import ringway.cli
    import ringway.config.load
    import ringway.control.commands.commands
    import ringway.control.running.supervisor
    import ringway.control.running.takeover
    import ringway.control.running.worker
    import ringway.engine.worker.worker


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the environment for Ringway: that of the tests, with the variables of one test."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **(more or {})}


def popen(
    command: Sequence[str], env: dict[str, str], close_fds: bool = True, **streams: Any
) -> "subprocess.Popen[Any]":
    """Works like subprocess.Popen. It forks only Ringway, and only with the usual environment and no other
    descriptors."""
    alike = close_fds and env == environment() and list(command[:4]) == _PROGRAM
    if not FORK or not alike:
        return subprocess.Popen(command, env=env, close_fds=close_fds, **streams)
    return _fork(lambda: _become(list(command[4:]), env), **streams)


def _fork(become: Callable[[], NoReturn], **options: Any) -> "subprocess.Popen[Any]":
    with warnings.catch_warnings():
        # The other threads of this process hold no lock that the copy needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(["forked"], preexec_fn=become, **options)


def _become(arguments: list[str], env: dict[str, str]) -> NoReturn:
    """Runs in the copy, whose streams are in place already. Closes the pipe on which the parent waits."""
    _as_executed(kept=[])
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = arguments
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(fd, "w" if fd else "r", 1) for fd in (0, 1, 2))
    ringway.control.running.process.subprocess = _Workers  # type: ignore[attr-defined]
    _end_after(ringway.cli.main)


class _Workers:
    """Replaces the module subprocess in the supervisor."""

    DEVNULL = subprocess.DEVNULL

    @staticmethod
    def Popen(command: Sequence[str], pass_fds: Sequence[int], **options: Any) -> "subprocess.Popen[Any]":
        def become() -> NoReturn:
            _as_executed(kept=pass_fds)
            _end_after(lambda: ringway.control.running.worker.main(int(command[-1])))

        return _fork(become, pass_fds=pass_fds, **options)


def _as_executed(kept: Sequence[int]) -> None:
    """Sets descriptors and signals as in a new interpreter."""
    last = 2
    for fd in [*sorted(kept), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(last + 1, fd)
        last = fd
    signal.set_wakeup_fd(-1)
    for number in range(1, signal.NSIG):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)


def _end_after(main: Callable[[], object]) -> NoReturn:
    code: object = 1
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))
