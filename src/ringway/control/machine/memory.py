"""Shared memory between the supervisor and the workers: memfds, passed by exec like the sockets."""

import ctypes
import fcntl
import mmap
import os
import struct

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
"""FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE of include/uapi/linux/falloc.h."""


def sealed(name: str, data: bytes) -> int:
    """Descriptor of a memory that nobody can change any more, the supervisor included."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


class Published:
    """One writer's blocks, one behind the other, and at the front the number and place of the newest: `Publication` in
    engine/tls/certificates.pxd. Readers map a block when they are told that there is a new one."""

    _PAGE = mmap.PAGESIZE

    def __init__(self, name: str) -> None:
        self.descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, self._PAGE)
        # A mapping of a file that shrinks is a SIGBUS for everybody who reads it.
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._map = mmap.mmap(self.descriptor, self._PAGE)
        self._end = self._PAGE
        self._places: list[tuple[int, int]] = []
        self.sequence = 0

    def publish(self, block: bytes | bytearray) -> int:
        """Returns its number, from 1. The last two blocks stay; what was before them is wiped."""
        size = -(-len(block) // self._PAGE) * self._PAGE
        place, self._end = self._end, self._end + size
        os.ftruncate(self.descriptor, self._end)
        view = memoryview(block)
        at = place
        while view:
            written = os.pwrite(self.descriptor, view, at)
            view, at = view[written:], at + written
        self.sequence += 1
        self._places.append((place, size))
        struct.pack_into("=2Q", self._map, 16 + 16 * (self.sequence % 2), place, len(block))
        struct.pack_into("=Q", self._map, 0, self.sequence)
        while len(self._places) > 2:
            self._wipe(*self._places.pop(0))
        return self.sequence

    def _wipe(self, place: int, size: int) -> None:
        # A hole gives the memory back as well; a reader that still had it mapped would read zeros.
        os.pwrite(self.descriptor, bytes(size), place)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        libc.fallocate(self.descriptor, _KEEP_SIZE | _PUNCH_HOLE, place, size)

    def close(self) -> None:
        if self.descriptor >= 0:
            self._map.close()
            os.close(self.descriptor)
            self.descriptor = -1


class Shared:
    """Zeroed memory that both sides map; `map` is this side's. Raises OSError."""

    def __init__(self, name: str, size: int) -> None:
        self.descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.descriptor, size)
            # A mapping of a file that shrinks is a SIGBUS for everybody who reads it.
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            self.map = mmap.mmap(self.descriptor, size)
        except OSError:
            os.close(self.descriptor)
            raise

    def close(self) -> None:
        """The mapping itself goes when its last reader is collected."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
