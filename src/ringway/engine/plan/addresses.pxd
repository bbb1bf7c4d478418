"""The addresses of the upstreams: written by the supervisor's resolver, read by workers when they connect.

Each upstream has one entry with a sequence number: odd while it is being written (a reader then looks again),
different when it has changed.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t

from ringway.engine.native.linux cimport sockaddr_storage, socklen_t

cdef enum:
    ADDRESSES_MAX = 16      # of one upstream; the resolver's first ones

cdef struct Address:
    uint8_t family          # 4 or 6
    uint8_t bytes[16]
    uint16_t port           # host order
    uint32_t zone           # number of the interface of a link-local address, or 0

cdef struct AddressEntry:
    uint32_t version        # odd: being written
    uint32_t count          # 0: the name has no address now
    Address list[ADDRESSES_MAX]

cdef struct AddressTable:
    AddressEntry entry[1]   # as many as there are upstreams

cdef int address_pick(const AddressTable* table, uint32_t index, uint32_t turn, sockaddr_storage* out,
                      socklen_t* length, uint32_t* version) noexcept nogil
    # the address whose turn it is; number of addresses, 0: none
cdef uint32_t address_count(const AddressTable* table, uint32_t index) noexcept nogil
    # how many there are just now
cdef uint32_t address_version(const AddressTable* table, uint32_t index) noexcept nogil
    # changes when the addresses do
cdef void fill(const Address* a, sockaddr_storage* out, socklen_t* length) noexcept nogil
