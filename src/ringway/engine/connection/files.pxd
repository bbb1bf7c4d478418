"""Files: opened, checked (statx) and read on the ring, then kept open and valid for `[timeouts] file_valid`.

    file_open() -> File, READY or FAILED at once, or later (`file_ready`)
                   LOOKING: look up the folder's path again: if the last lookup is older than half of `file_valid`, and
                            before a file is reported missing
                   OPENING: openat2 with RESOLVE_BENEATH (no path leaves the folder, neither by ".." nor by a symlink)
                   LINKING: an absolute symlink: open its target by the path below the folder, or fail with "forbidden".
                            A worker that has no permission to walk to the target uses the text of the links
                            (path_by_text)
                   STATING: statx of the opened file
                   LOADING: with mode = "memory", if the file is small enough: read a copy on the ring

With FILE_FOLLOW links may lead anywhere. Without FILE_DOTS a path with a name that begins with a dot is not found,
whether or not it exists. A READY File does not change. When it is stale, the next request opens the path again; the
old File lives until its last reference is released. If the file on disk has not changed, the copy moves from the old
File to the new one.
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.connection.state cimport Exchange, File, Rules, Worker

cdef File* file_open(Worker* w, uint32_t root, const char* path, uint32_t length, int kind, Exchange* x) noexcept nogil
    # `path` below the folder, without a leading slash, decoded; "" is the folder itself.
    # `kind`: FileKind, bits. The reference belongs to x. NULL: no place is free (answer 503)
cdef void file_release(Worker* w, File* f) noexcept nogil
cdef inline void file_refer(File* f) noexcept nogil:
    f.references += 1
cdef bint file_settled(const File* f) noexcept nogil     # READY or FAILED
cdef int file_reason(const File* f) noexcept nogil       # why it is FAILED, as a Reason
cdef void file_forget(Worker* w, Exchange* x) noexcept nogil
    # x stops waiting for its file

cdef void file_opened(Worker* w, File* f, int result) noexcept nogil
cdef void folder_looked(Worker* w, File* f, int result) noexcept nogil
    # f began the lookup; all files that wait for the folder continue
cdef void file_stated(Worker* w, File* f, int result) noexcept nogil
cdef void file_loaded(Worker* w, File* f, int result) noexcept nogil
cdef int files_grow(Worker* w, uint32_t most) noexcept nogil
    # makes a table for `most` open files. A new table begins empty: see files_forget(). 0, or -ENOMEM
cdef void files_forget(Worker* w) noexcept nogil
    # removes all files from the table; a File in use lives until its last reference is released
cdef void files_forget_folder(Worker* w, uint32_t root) noexcept nogil
    # likewise, the files below this folder of the current rules
cdef void files_close(Worker* w) noexcept nogil          # evicts all files without references

cdef File* find_listed(Worker* w, const Rules* rules, uint32_t hash, uint32_t root, const char* path, uint32_t length, int kind) noexcept nogil
cdef File* begin_open(Worker* w, Rules* rules, uint32_t hash, uint32_t root, const char* path, uint32_t length, int kind) noexcept nogil
cdef bint has_dot_file(const char* path, uint32_t length) noexcept nogil
cdef void look(Worker* w, File* f, bint anew) noexcept nogil
cdef void open_path(Worker* w, File* f) noexcept nogil
cdef void ask_open(Worker* w, File* f, uint64_t flags, bint beneath) noexcept nogil
cdef void link_opened(Worker* w, File* f, int result) noexcept nogil
cdef void open_failed(Worker* w, File* f, int error) noexcept nogil
cdef void file_settle(Worker* w, File* f, int state, int error) noexcept nogil
cdef void file_write_fields(Worker* w, File* f) noexcept nogil
cdef bint begin_load(Worker* w, File* f) noexcept nogil
cdef void load_more(Worker* w, File* f) noexcept nogil
cdef void inherit_copy(Worker* w, File* f) noexcept nogil
cdef void list_file(Worker* w, File* f) noexcept nogil
cdef void unlist_file(Worker* w, File* f) noexcept nogil
cdef void touch_file(Worker* w, File* f) noexcept nogil
cdef bint evict_one(Worker* w) noexcept nogil
cdef void drop_copy(Worker* w, File* f) noexcept nogil
cdef void destroy_file(Worker* w, File* f) noexcept nogil
cdef void view_given(void* owner) noexcept nogil
cdef uint32_t hash_path(uint32_t salt, uint32_t root, const char* path, uint32_t length) noexcept nogil
