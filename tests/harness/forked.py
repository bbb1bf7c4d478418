"""Ringway as a fork of the process that runs the tests, instead of a new interpreter.

Nine tenths of a start are imports. On an emulated machine that is five seconds each time, so there
(RINGWAY_TEST_FORK=1) the tests have imported Ringway once, and what would be executed becomes a copy of them that
calls its main(). Workers and the successor of an upgrade are executed by Ringway itself as ever.
"""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

FORK = os.environ.get("RINGWAY_TEST_FORK") == "1"
_PROGRAM = [sys.executable, "-P", "-m", "ringway"]

if FORK:
    import ringway.cli
    import ringway.config.load
    import ringway.control.commands
    import ringway.control.supervisor
    import ringway.control.takeover


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """In which the tests run Ringway: theirs, and what one of them adds."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **(more or {})}


def popen(
    command: Sequence[str], env: dict[str, str], close_fds: bool = True, **streams: Any
) -> "subprocess.Popen[Any]":
    """As subprocess.Popen. Executed even so: what inherits descriptors, has another environment, or is not Ringway."""
    alike = close_fds and env == environment() and list(command[:4]) == _PROGRAM
    if not FORK or not alike:
        return subprocess.Popen(command, env=env, close_fds=close_fds, **streams)
    with warnings.catch_warnings():
        # The other threads of the tests hold nothing that the copy uses.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(command, preexec_fn=lambda: _become(list(command[4:]), env), **streams)


def _become(arguments: list[str], env: dict[str, str]) -> NoReturn:
    """In the copy, whose streams are in place already. The parent waits for the end of a pipe, which is closed here."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    for number in range(1, signal.NSIG):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)  # as an interpreter begins
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = arguments
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(fd, "w" if fd else "r", 1) for fd in (0, 1, 2))
    code: object = 1
    try:
        ringway.cli.main()
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))
