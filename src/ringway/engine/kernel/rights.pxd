"""What a worker may do: nothing that its user may not. It gives up every capability for good, before it serves.

Called once, from Python, before the loop runs: by whoever has still one thread.
"""

cdef void bounding_drop() noexcept nogil
    # no program that it executes can have any; nothing where CAP_SETPCAP is missing: then there are none to be had
cdef int capabilities_drop() noexcept nogil
    # it has none itself; 0, or -errno
cdef int privileges_seal() noexcept nogil
    # no execve() gives more (no_new_privs), for good; 0, or -errno
cdef int memory_hide() noexcept nogil
    # not dumpable: no core file, and no process of the same user looks into its memory or its descriptors; 0, or -errno
