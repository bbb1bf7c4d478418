"""Shared memory between the supervisor and the workers: memfds, passed by exec like the sockets."""

import fcntl
import mmap
import os


def sealed(name: str, data: bytes) -> int:
    """Descriptor of a memory that nobody can change any more, the supervisor included."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


class Shared:
    """Zeroed memory that both sides map; `map` is this side's."""

    def __init__(self, name: str, size: int) -> None:
        self.descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, size)
        # A mapping of a file that shrinks is a SIGBUS for everybody who reads it.
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self.map = mmap.mmap(self.descriptor, size)

    def close(self) -> None:
        """The mapping itself goes when its last reader is collected."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
