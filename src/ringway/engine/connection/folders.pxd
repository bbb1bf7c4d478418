"""Folders: a descriptor for each, and whether its path still leads there.

A path can come to lead to another folder: by `rm -r` and `mkdir`, by `mv`, or when a symbolic link is switched to the
next release. The worker looks the path up again, through the driver, in two cases: when it opens a file and the last
lookup is older than half of `file_valid`, and before it reports a file as missing or forbidden. A new folder replaces
the old one under the same descriptor number (dup3), so an open in flight uses one or the other.

While the path leads nowhere, the old folder serves for `file_valid`, which covers the moment between two `mv`. After
that its files are not found. A lookup that is denied (EACCES) changes nothing: a worker that has no permission to walk
the path, because it runs as another user or in a sandbox, keeps the descriptor that it has. The supervisor then follows
the path and passes a new descriptor (control/running/folders.py).
"""
from libc.stdint cimport uint64_t

from ringway.engine.connection.state cimport Folder, Worker

cdef enum:
    LINK_BYTES_MAX = 4096       # PATH_MAX: of the text of a link, and of a path put together from links
    LINK_STEPS_MAX = 64         # names of a path that are checked for links, including names within links

cdef bint folder_due(const Worker* w, const Folder* folder) noexcept nogil     # look it up before opening a file
cdef bint folder_lost(const Worker* w, const Folder* folder) noexcept nogil    # nothing can be opened in it; see `error`
cdef void folder_look(const Worker* w, Folder* folder) noexcept nogil          # a lookup begins, with `how`
cdef void folder_found(const Worker* w, Folder* folder, int result) noexcept nogil
    # a lookup ended: takes over the descriptor `result`, or -errno
cdef bint folder_take(const Worker* w, Folder* folder, int result) noexcept nogil
    # takes over what the supervisor found: a descriptor, or -errno. True: it is another folder than before, or none
cdef bint exchange_folder(Folder* folder, int result) noexcept nogil
    # takes over a descriptor. False: it leads to the same folder as before
cdef bint identify(int fd, uint64_t* device, uint64_t* inode) noexcept nogil
cdef char* path_below(int folder, int fd) noexcept nogil
    # the path of `fd` relative to `folder`, without links; the caller frees it. NULL: it is not below the folder
cdef char* path_by_text(const Folder* folder, const char* path) noexcept nogil
    # `path` below the folder with each link replaced by its text, up to the first link that leads outside; the caller
    # frees it. NULL: no link leads inside. This does not walk the path of the folder itself. The result is only text:
    # the open that uses it must check it (RESOLVE_BENEATH)
cdef int inside(const Folder* folder, const char* path, int length) noexcept nogil
    # where in an absolute path the part below the folder begins; `length` for the folder itself; -1: it leads outside
cdef int below(const char* outer, int outer_length, const char* inner, int inner_length) noexcept nogil     # the same
cdef char* copy_path(const char* path, int length) noexcept nogil     # NULL: no memory
cdef int link_of(int fd, char* out) noexcept nogil
