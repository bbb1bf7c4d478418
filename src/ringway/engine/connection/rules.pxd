"""Rules: one configuration made ready for use. A reload brings new rules. A connection, exchange or File keeps a
reference to the rules under which it began. The last reference frees old rules.

    supervisor --(descriptors)--> rules_open() --> w.rules ... replace_rules() ... last rules_release() --> freed
"""
from libc.stdint cimport uint64_t

from ringway.engine.connection.state cimport Rules, Worker

cdef Rules* rules_open(int snapshot, int addresses) noexcept nogil
    # maps both descriptors; the caller keeps them. NULL: no memory, or another version wrote the snapshot
cdef void rules_close(Rules* r) noexcept nogil          # without references
cdef int take_certificates(Worker* w, Rules* r) noexcept nogil
    # loads the newest block of certificates if it is a new one. 0; -1: it cannot be used, the old one stays in use

cdef void* map_whole(int descriptor, uint64_t* size) noexcept nogil
cdef bint newest_number(int descriptor, uint64_t* number) noexcept nogil
    # of the newest block. False: it cannot be read
cdef void* newest_block(int descriptor, uint64_t seen, uint64_t* sequence, uint64_t* size) noexcept nogil
    # maps the newest block. NULL: its number is `seen`; MAP_FAILED

cdef inline Rules* rules_refer(Rules* r) noexcept nogil:
    r.references += 1
    return r

cdef inline void rules_release(Worker* w, Rules* r) noexcept nogil:
    r.references -= 1
    if r.references == 0 and r != w.rules:
        rules_close(r)
