"""The addresses of the upstreams: the supervisor's resolver writes them, workers read them when they connect.

Each upstream has one entry with a version. The version is odd during a write (readers then try again) and changes with
every write.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t

from ringway.engine.native.linux cimport sockaddr_storage, socklen_t

cdef enum:
    ADDRESSES_MAX = 16      # for one upstream: the first ones that the resolver returned

cdef struct Address:
    uint8_t family          # 4 or 6
    uint8_t bytes[16]
    uint16_t port           # host order
    uint32_t zone           # number of the interface of a link-local address, or 0

cdef struct AddressEntry:
    uint32_t version        # odd: a write is in progress
    uint32_t count          # 0: the name has no address at the moment
    Address list[ADDRESSES_MAX]

cdef struct AddressTable:
    AddressEntry entry[1]   # one for each upstream

cdef int address_pick(const AddressTable* table, uint32_t index, uint32_t turn, sockaddr_storage* out,
                      socklen_t* length, uint32_t* version) noexcept nogil
    # writes address number `turn` (modulo their number) to `out`; returns the number of addresses, 0: none
cdef uint32_t address_count(const AddressTable* table, uint32_t index) noexcept nogil
    # the current number of addresses
cdef uint32_t address_version(const AddressTable* table, uint32_t index) noexcept nogil
    # changes when the addresses change
cdef void fill(const Address* a, sockaddr_storage* out, socklen_t* length) noexcept nogil
