"""Runs curl and reads its output piece by piece."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness import bulk
from harness.foreign import environment


@dataclass
class Curl:
    """The response that curl got. `body` is empty if it was not kept; size and checksum are always set."""

    status: int
    version: str
    size: int
    sha256: str
    head: str
    body: bytes
    error: str
    code: int

    def fields(self, name: str) -> list[str]:
        lines = (line.partition(":") for line in self.head.splitlines())
        return [value.strip() for own, _, value in lines if own.strip().lower() == name.lower()]


def curl(
    url: str,
    *options: str,
    upload: Callable[[Any], None] | None = None,
    keep: bool = True,
    seconds: float = 60,
    secure: bool = False,
) -> Curl:
    """Runs curl. `upload` writes the body of the request to its stdin."""
    command = ["curl", "--silent", "--show-error", "--http1.1", "--max-time", str(seconds)]
    command += [] if secure else ["--insecure"]
    command += ["--dump-header", "/dev/stderr", "--write-out", "%{stderr}\n~%{http_code} %{http_version}"]
    if upload is not None:
        command += ["--upload-file", "-"]  # in chunks, because curl does not know the length
    with subprocess.Popen(
        [*command, *options, url],
        stdin=subprocess.PIPE if upload is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if upload is not None:
            assert process.stdin is not None
            try:
                upload(process.stdin)
            except BrokenPipeError:
                pass  # the response arrived before the end of the body, and gives the reason
            finally:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
        kept: list[bytes] = []

        def read() -> Iterator[bytes]:
            while data := process.stdout.read1(bulk.PIECE):
                if keep:
                    kept.append(data)
                yield data

        size, checksum = bulk.checksum_of(read())
        text = process.stderr.read().decode("latin-1")
        code = process.wait(seconds)
    told, _, numbers = text.rpartition("\n~")
    status, version = numbers.split()
    return Curl(int(status), version, size, checksum, told, b"".join(kept), told if code else "", code)
