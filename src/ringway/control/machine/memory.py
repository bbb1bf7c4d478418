"""Shared memory between the supervisor and the workers: memfds, passed by exec like the sockets."""

import contextlib
import fcntl
import mmap
import os
import struct

_SEAL_FUTURE_WRITE = 0x10
"""F_SEAL_FUTURE_WRITE of include/uapi/linux/fcntl.h (Linux 5.1): only mappings that are there already may write."""


def sealed(name: str, data: bytes) -> int:
    """Descriptor of a memory that nobody can change any more, the supervisor included."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def read_only(descriptor: int) -> int:
    """Another descriptor of the same memory, for those who only read it. Raises OSError."""
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)


class ReadOnly:
    """Zeroed memory that this process alone writes, by `map`, which is older than the seal: nobody else can, whatever
    descriptor of it they get (F_SEAL_FUTURE_WRITE). `descriptor` is for the readers. Raises OSError."""

    def __init__(self, name: str, size: int) -> None:
        writable = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(writable, size)
            self.map = mmap.mmap(writable, size)
            # A mapping of a file that shrinks is a SIGBUS for everybody who reads it.
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _SEAL_FUTURE_WRITE
            fcntl.fcntl(writable, fcntl.F_ADD_SEALS, seals)
            self.descriptor = read_only(writable)
        finally:
            os.close(writable)

    def close(self) -> None:
        """Readers keep what they have mapped."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            with contextlib.suppress(BufferError):  # it is being written this very moment
                self.map.close()


class Published:
    """One writer's blocks, one behind the other, and at the front the number and place of the newest: `Publication` in
    engine/tls/certificates.pxd. Readers map a block when they are told that there is a new one.

    What is sealed cannot grow, and no hole can be punched into it. So there is room for a few blocks; when `has_room()`
    says that the next one does not fit, another memory takes its place.
    """

    _PAGE = mmap.PAGESIZE
    _BLOCKS = 8
    _LEAST = 1 << 20

    def __init__(self, name: str, block_bytes: int) -> None:
        """`block_bytes`: about so long are its blocks."""
        # What nobody has written takes no memory.
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
        """Returns its number, from 1. The last two blocks stay; what was before them is wiped."""
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
    """Zeroed memory that a worker writes; `map` is this side's. Raises OSError."""

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
