"""Drops a worker's privileges: before it serves, it gives up all capabilities for good. It can do what its user can.

Python calls this once before the loop runs, while the process has only one thread.
"""

cdef void bounding_drop() noexcept nogil
    # clears the bounding set, so programs that the worker executes get no capabilities. Without CAP_SETPCAP (a process
    # that has no capabilities) it has no effect
cdef int capabilities_drop() noexcept nogil
    # drops the worker's own capabilities. 0, or -errno
cdef int privileges_seal() noexcept nogil
    # sets no_new_privs: execve() never adds privileges. 0, or -errno
cdef int memory_hide() noexcept nogil
    # makes the process not dumpable: no core file, and other processes of the same user cannot read its memory or its
    # descriptors. 0, or -errno
