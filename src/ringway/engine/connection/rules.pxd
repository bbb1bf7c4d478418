"""The rules: what the configuration says, as the engine uses it. A reload brings new ones; who has begun under old ones
(a connection, a request, a file being opened) ends under them, and the last of those takes them along.

    supervisor --(descriptors)--> rules_open() --> w.rules ... rules_replace() ... rules_release() by the last --> gone
"""
from libc.stdint cimport uint64_t

from ringway.engine.connection.state cimport Rules, Worker

cdef Rules* rules_open(int snapshot, int addresses) noexcept nogil
    # maps both descriptors, which stay the caller's. NULL: no memory, or not written by this version
cdef void rules_close(Rules* r) noexcept nogil          # nobody refers to them any more
cdef int take_certificates(Worker* w, Rules* r) noexcept nogil
    # the newest block of certificates, if it is a new one. 0, or -1: it cannot be used, the old one stays

cdef void* map_whole(int descriptor, uint64_t* size) noexcept nogil
cdef bint newest_number(int descriptor, uint64_t* number) noexcept nogil
    # of the newest block. False: it cannot be asked
cdef void* newest_block(int descriptor, uint64_t seen, uint64_t* sequence, uint64_t* size) noexcept nogil

cdef inline Rules* rules_refer(Rules* r) noexcept nogil:
    r.references += 1
    return r

cdef inline void rules_release(Worker* w, Rules* r) noexcept nogil:
    r.references -= 1
    if r.references == 0 and r != w.rules:
        rules_close(r)
