"""progress.py COMMAND...: runs a build and shows its progress, from the "[12/60]" of ninja.

On a terminal it updates one line; otherwise it prints a line for each tenth. It shows the output of the command only if
the command fails, and exits with its exit code.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator

_STEP = re.compile(r"\[(\d+)/(\d+)\] ?(.*)")
_WIDTH = 78


def shown(lines: Iterable[str], terminal: bool) -> Iterator[str]:
    """Yields the text to print for these lines of output."""
    tenth = 0
    for line in lines:
        step = _STEP.search(line)
        if step is None or step[2] == "0":
            continue
        done, total = int(step[1]), int(step[2])
        if terminal:
            text = f"  {done} of {total}: {step[3]}"
            yield f"\r{text[:_WIDTH]:<{_WIDTH}}"
        elif done * 10 // total > tenth:
            tenth = done * 10 // total
            yield f"  {done} of {total}\n"
        if done == total:
            tenth = 0
            if terminal:
                yield f"\r{'':<{_WIDTH}}\r"


def main(command: list[str]) -> int:
    said: list[str] = []
    terminal = sys.stdout.isatty()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:

        def heard() -> Iterator[str]:
            for line in process.stdout or ():
                said.append(line)
                yield line

        for text in shown(heard(), terminal):
            sys.stdout.write(text)
            sys.stdout.flush()
    if process.returncode:
        sys.stdout.flush()
        sys.stderr.write("".join(said))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
