"""Files: opened and asked for their facts on the ring, kept open and believed for `[timeouts] file_valid`.

    file_open() -> File, READY or FAILED at once, or later (`file_ready`)
                   LOOKING: is the folder still the one that its path leads to? Asked at most every half of `file_valid`,
                            and before anything is said to be missing
                   OPENING: openat2, RESOLVE_BENEATH the folder (no path leaves it, not by "..", not by a symlink)
                   LINKING: an absolute symlink: where it ends is opened below the folder, or it is forbidden. A worker
                            that may not walk to where it ends goes by what the links say (path_by_text)
                   STATING: statx of what was opened
                   LOADING: mode = "memory" and small enough: a copy, read on the ring

With FILE_FOLLOW links may lead anywhere. Without FILE_DOTS a path with a name that begins with a dot is not found, which
does not tell whether it is there. A File does not change once it is READY. When it is no longer believed, the next request opens the path anew; the
old one lives until nobody uses it. A copy of a file that has not changed moves from the old to the new one.
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.connection.state cimport Exchange, File, Rules, Worker

cdef File* file_open(Worker* w, uint32_t root, const char* path, uint32_t length, int kind, Exchange* x) noexcept nogil
    # `path` below the folder, without a leading slash, decoded; "" is the folder itself.
    # `kind`: FileKind, bits. A reference for x; NULL: no place for one more (answer 503)
cdef void file_release(Worker* w, File* f) noexcept nogil
cdef inline void file_refer(File* f) noexcept nogil:
    f.references += 1
cdef bint file_settled(const File* f) noexcept nogil     # READY or FAILED
cdef int file_reason(const File* f) noexcept nogil       # why it is FAILED, as a Reason
cdef void file_forget(Worker* w, Exchange* x) noexcept nogil
    # x no longer waits for its file

cdef void file_opened(Worker* w, File* f, int result) noexcept nogil
cdef void folder_looked(Worker* w, File* f, int result) noexcept nogil
    # f began the lookup; whoever waits for the folder goes on
cdef void file_stated(Worker* w, File* f, int result) noexcept nogil
cdef void file_loaded(Worker* w, File* f, int result) noexcept nogil
cdef int files_grow(Worker* w, uint32_t most) noexcept nogil
    # chains for so many that are kept open; whoever is in the table is forgotten when it becomes another. 0, or -ENOMEM
cdef void files_forget(Worker* w) noexcept nogil
    # none of those that were opened is believed any more; who uses one keeps it
cdef void files_forget_folder(Worker* w, uint32_t root) noexcept nogil   # ... of those below this folder of the rules
cdef void files_close(Worker* w) noexcept nogil          # forget all that nobody uses

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
