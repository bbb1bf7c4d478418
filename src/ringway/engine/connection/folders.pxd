"""Folders: a descriptor for each, and whether its path still leads there.

A folder that is made anew (`rm -r`, `mv`, a symbolic link turned to the next release) is another one under the same
path. The path is looked up again, on the driver, when a file below it is opened and the last lookup is half of
`file_valid` old, and before a file is said to be missing or forbidden. What it then leads to takes the place of the old
folder under the same descriptor number (dup3), so that an open that is under way meets one or the other.

While nothing is there the old one serves for `file_valid`, which is the moment between two `mv`; then files below it are
not found. A lookup that is refused (EACCES) changes nothing: a worker that may not walk the path, since it runs as another
user or in a sandbox, keeps what it was handed. The supervisor looks for it then, and hands over what it finds
(control/running/folders.py).
"""
from libc.stdint cimport uint64_t

from ringway.engine.connection.state cimport Folder, Worker

cdef enum:
    LINK_BYTES_MAX = 4096       # PATH_MAX: of what a link may say, and of a path that is put together of links
    LINK_STEPS_MAX = 64         # names of a path that are asked for where they lead, those within links too

cdef bint folder_due(const Worker* w, const Folder* folder) noexcept nogil     # to be looked up before a file is opened
cdef bint folder_lost(const Worker* w, const Folder* folder) noexcept nogil    # nothing can be opened in it; see `error`
cdef void folder_look(const Worker* w, Folder* folder) noexcept nogil          # a lookup begins: by `how`
cdef void folder_found(const Worker* w, Folder* folder, int result) noexcept nogil
    # its end: takes over the descriptor `result`, or it is -errno
cdef bint folder_take(const Worker* w, Folder* folder, int result) noexcept nogil
    # the supervisor has looked: likewise. Is it another folder now, or none?
cdef bint exchange_folder(Folder* folder, int result) noexcept nogil
    # takes over a descriptor. False: it leads to the same folder as before
cdef bint identify(int fd, uint64_t* device, uint64_t* inode) noexcept nogil
cdef char* path_below(int folder, int fd) noexcept nogil
    # the path of what `fd` leads to, relative to `folder`, without links; the caller's to free. NULL: it is not below it
cdef char* path_by_text(const Folder* folder, const char* path) noexcept nogil
    # `path` below the folder with each link replaced by what it says, up to the first that leads outside; the caller's to
    # free. NULL: there is no link that leads inside. Nothing of the folder's own path is walked. What comes out is only a
    # text: whoever opens it judges it (RESOLVE_BENEATH)
cdef int inside(const Folder* folder, const char* path, int length) noexcept nogil
    # where in an absolute path that below the folder begins, `length` for the folder itself; -1: it leads outside
cdef int below(const char* outer, int outer_length, const char* inner, int inner_length) noexcept nogil     # the same
cdef char* copy_path(const char* path, int length) noexcept nogil     # NULL: no memory
cdef int link_of(int fd, char* out) noexcept nogil
