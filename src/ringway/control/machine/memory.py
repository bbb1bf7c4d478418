"""Shared memory between the supervisor and the workers: memfds, which workers inherit like the sockets."""

import contextlib
import fcntl
import mmap
import os
import struct

_SEAL_FUTURE_WRITE = 0x10
"""F_SEAL_FUTURE_WRITE of include/uapi/linux/fcntl.h (Linux 5.1): only mappings from before the seal can write."""


def sealed(name: str, data: bytes) -> int:
    """Returns the descriptor of memory with this data. No process can change it, not even the supervisor."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def read_only(descriptor: int) -> int:
    """Returns a descriptor of the same memory that is open only for reading. Raises OSError."""
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)


class ReadOnly:
    """Zeroed memory that only this process can write, through `map`, which it mapped before it added the seal
    F_SEAL_FUTURE_WRITE. `descriptor` is for the readers. Raises OSError."""

    def __init__(self, name: str, size: int) -> None:
        writable = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(writable, size)
            self.map = mmap.mmap(writable, size)
            # If the file shrank, every process that has mapped it would get SIGBUS.
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _SEAL_FUTURE_WRITE
            fcntl.fcntl(writable, fcntl.F_ADD_SEALS, seals)
            self.descriptor = read_only(writable)
        finally:
            os.close(writable)

    def close(self) -> None:
        """Closes the memory. The mappings of readers stay valid."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            with contextlib.suppress(BufferError):  # another thread is writing to it
                self.map.close()


class Published:
    """Consecutive blocks of one writer. At the front are number and place of the newest block (`Publication` in
    engine/tls/certificates.pxd). Readers map a block when the supervisor notifies them of a new one.

    Sealed memory cannot grow, and its pages cannot be freed. So it has room for a few blocks. When `has_room()` says
    that the next block does not fit, the caller replaces the memory with another one.
    """

    _PAGE = mmap.PAGESIZE
    _BLOCKS = 8
    _LEAST = 1 << 20

    def __init__(self, name: str, block_bytes: int) -> None:
        """`block_bytes`: the approximate size of a block."""
        # Pages that were never written use no memory.
        self._size = max(self._BLOCKS * self._rounded(block_bytes), self._LEAST) + self._PAGE
        self._memory = ReadOnly(name, self._size)
        self._end = self._PAGE
        self._places: list[tuple[int, int]] = []
        self.sequence = 0

    def _rounded(self, size: int) -> int:
        return -(-size // self._PAGE) * self._PAGE

    @property
    def descriptor(self) -> int:
        return self._memory.descriptor

    def has_room(self, block: bytes | bytearray) -> bool:
        return self._end + self._rounded(len(block)) <= self._size

    def publish(self, block: bytes | bytearray) -> int:
        """Writes a block and returns its number, from 1. Keeps the last two blocks and wipes older ones."""
        size = self._rounded(len(block))
        place, self._end = self._end, self._end + size
        shared = self._memory.map
        shared[place : place + len(block)] = block
        self.sequence += 1
        self._places.append((place, size))
        struct.pack_into("=2Q", shared, 16 + 16 * (self.sequence % 2), place, len(block))
        struct.pack_into("=Q", shared, 0, self.sequence)
        while len(self._places) > 2:
            at, length = self._places.pop(0)
            shared[at : at + length] = bytes(length)
        return self.sequence

    def close(self) -> None:
        self._memory.close()


class Shared:
    """Zeroed memory that a worker writes. `map` is the supervisor's mapping. Raises OSError."""

    def __init__(self, name: str, size: int) -> None:
        self.descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.descriptor, size)
            # If the file shrank, every process that has mapped it would get SIGBUS.
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            self.map = mmap.mmap(self.descriptor, size)
        except OSError:
            os.close(self.descriptor)
            raise

    def close(self) -> None:
        """Closes the descriptor. The mapping ends when its last reader is garbage-collected."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
