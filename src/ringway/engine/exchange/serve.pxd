"""Responses from files: conditions, ranges, and the body from memory, by sendfile(2) or by reads on the ring.

    serve_begin -> file_open -> serve_ready -> head -> serve_continue ... -> exchange_done

How a body is sent:
    small, or TLS in user space   -> appended to the head in its buffer: one send, and as few TLS records as possible
    a copy in memory              -> views lend the rest of the copy to the stream
    plain and in the page cache   -> sendfile(2), at most SENDFILE_STEP a turn, when the socket is writable
    TLS, or not in the page cache -> read on the ring into a buffer, then sent (sendfile would block on the disk)
"""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.base.buffers cimport Buffer
from ringway.engine.http.heads cimport Reply
from ringway.engine.http.ranges cimport Conditions
from ringway.engine.base.spans cimport Span
from ringway.engine.plan.snapshot cimport Route
from ringway.engine.connection.state cimport Exchange, File, Worker

cdef enum:
    SENDFILE_STEP = 524288      # bytes: half a millisecond at 10 Gbit/s, then the loop serves others
    READ_NOW_BYTES = 16384      # the most that is read at once from the page cache, to fill the head's TLS record
    BOUNDARY_BYTES = 24         # of multipart/byteranges
    PART_BYTES_MAX = 512        # the header of one part

cdef void serve_begin(Worker* w, Exchange* x, Buffer* b, uint32_t head, uint32_t length, Span path) noexcept nogil
    # b.base[head:head+length] is the request head (in w.request); takes over b
cdef int kind_of(const Route* route) noexcept nogil
cdef void serve_ready(Worker* w, Exchange* x) noexcept nogil
cdef void serve_file(Worker* w, Exchange* x) noexcept nogil
cdef void read_conditions(Worker* w, Exchange* x, Conditions* out) noexcept nogil
cdef void redirect_to_folder(Worker* w, Exchange* x) noexcept nogil
cdef void serve_whole(Worker* w, Exchange* x) noexcept nogil
cdef void serve_ranges(Worker* w, Exchange* x) noexcept nogil
cdef void serve_unchanged(Worker* w, Exchange* x) noexcept nogil
cdef void send_head(Worker* w, Exchange* x, Buffer* b) noexcept nogil
cdef void send_joined(Worker* w, Exchange* x, Buffer* b) noexcept nogil
cdef bint read_cached(const Exchange* x, char* out, uint32_t length) noexcept nogil
cdef bint in_small(const File* f, const Reply* r) noexcept nogil
cdef uint32_t write_part(const Exchange* x, uint32_t which, char* out) noexcept nogil
cdef uint32_t write_boundary(const Exchange* x, char* out) noexcept nogil
cdef uint64_t parts_length(Exchange* x) noexcept nogil
cdef char* put_content_range(char* out, const File* f, uint64_t first, uint64_t length) noexcept nogil

cdef void serve_continue(Worker* w, Exchange* x) noexcept nogil
    # queue more of the body: the client took some bytes, its socket is writable, or a read completed
cdef bint next_part(Worker* w, Exchange* x) noexcept nogil
cdef bint send_copy(Worker* w, Exchange* x) noexcept nogil
cdef bint is_cached(const Exchange* x, uint64_t length) noexcept nogil
cdef bint send_from_file(Worker* w, Exchange* x) noexcept nogil
    # sends one step. True: that was the end of this range
cdef void file_cut(Worker* w, Exchange* x) noexcept nogil
cdef void serve_writable(Worker* w, Exchange* x) noexcept nogil
cdef void read_body(Worker* w, Exchange* x) noexcept nogil
cdef void read_into(Worker* w, Exchange* x, Buffer* b) noexcept nogil
    # appends to b; takes over b
cdef void serve_read(Worker* w, Exchange* x, int result) noexcept nogil
