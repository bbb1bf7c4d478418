"""Field blocks of HTTP/2, RFC 7541, decoded into field lines.

    octets of a block --hpack_read()--> "name: value CR LF" + HpackField   one field a call

The decoder's dynamic table holds its entries as such lines, so that an indexed field is one copy. What a field is (its id)
and what is wrong with it (its faults) is judged once, when it is decoded as a literal, and stored with its entry. A field
with a fault still enters the table, and a field for which there is no room is still decoded: the two tables of a connection
must stay in step, or every later block is misread.

The table has 4,096 octets at most (RFC 7541 4.2), which our settings never change.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.http.fields cimport FIELD_COUNT

cdef enum:
    HPACK_TABLE_BYTES = 4096        # RFC 7541 4.2, RFC 9113 6.5.2: before a setting says otherwise
    HPACK_ENTRIES = 128             # of 32 octets at least (4.1): no more of them fit
    HPACK_ENTRY_BYTES = 32          # 4.1: what an entry counts beside its name and value
    HPACK_STATIC = 61               # entries of the static table, Appendix A
    HPACK_LINE_MAX = HPACK_TABLE_BYTES  # room with which hpack_read() can always keep its table in step
    HPACK_INTEGER_MAX = 0xFFFFFF    # 5.1: a bound is ours to choose

cdef enum HpackName:                # ids of pseudo fields, RFC 9113 8.3, beyond those of fields
    PSEUDO_AUTHORITY = FIELD_COUNT
    PSEUDO_METHOD
    PSEUDO_PATH
    PSEUDO_SCHEME
    PSEUDO_STATUS
    PSEUDO_PROTOCOL                 # RFC 8441 4
    PSEUDO_OTHER                    # malformed, like everything that begins with a colon

cdef enum HpackFault:               # bits: RFC 9113 8.2.1
    HPACK_BAD_NAME = 1              # empty, not a token, or with an upper-case letter
    HPACK_BAD_VALUE = 2             # a control character, or white space around it

cdef enum HpackResult:              # of hpack_read()
    HPACK_END = 0                   # of the block
    HPACK_FIELD = 1
    HPACK_LONG = 2                  # a field with more than `room` octets: it was read over, the table is in step
    HPACK_NO_ROOM = -1              # likewise, but nothing was taken: call again with HPACK_LINE_MAX octets of room
    HPACK_BROKEN = -2               # RFC 9113 4.3: COMPRESSION_ERROR of the connection

cdef struct HpackEntry:
    uint16_t at                     # of its line in `text`
    uint16_t name                   # octets
    uint16_t value
    uint8_t id
    uint8_t faults

cdef struct HpackDecoder:           # 5,136 octets
    uint16_t most                   # what the peer's encoder has chosen, at most HPACK_TABLE_BYTES
    uint16_t size                   # of all entries, by RFC 7541 4.1
    uint16_t end                    # of the lines in `text`; those of the entries stand there in their order, without gaps
    uint8_t newest                  # place of the youngest entry; older ones stand before it, in a ring
    uint8_t count
    bint begun                      # a field of this block was read: 4.2 allows no update of the size behind it
    HpackEntry entries[HPACK_ENTRIES]
    char text[HPACK_TABLE_BYTES]

cdef struct HpackField:
    uint32_t name                   # octets of the line at `out`
    uint32_t value                  # likewise: it begins at out[name + 2]
    uint8_t id                      # FieldId or HpackName
    uint8_t faults                  # HpackFault

# Filled once, when the module is imported.
cdef char HPACK_STATIC_TEXT[2048]
cdef HpackEntry HPACK_STATIC_ENTRIES[62]        # by index; 0 is none

cdef void hpack_decoder_begin(HpackDecoder* d) noexcept nogil
cdef int hpack_read(HpackDecoder* d, const uint8_t* block, uint32_t length, uint32_t* at, char* out, uint32_t room,
                    HpackField* field) noexcept nogil
    # HpackResult. The next field of block[at:length], as a line in out[0:room]. Set d.begun = False before a block

# Parts of the functions above.
cdef int read_integer(const uint8_t* block, uint32_t length, uint32_t* at, int prefix, uint32_t* value) noexcept nogil
cdef int read_string(const uint8_t* block, uint32_t length, uint32_t* at, char* out, uint32_t room) noexcept nogil
cdef int read_indexed(HpackDecoder* d, uint32_t index, char* out, uint32_t room, HpackField* field) noexcept nogil
cdef int read_literal(HpackDecoder* d, const uint8_t* block, uint32_t length, uint32_t* at, char* out, uint32_t room,
                      HpackField* field) noexcept nogil
cdef int read_over(HpackDecoder* d, const uint8_t* block, uint32_t length, uint32_t* at) noexcept nogil
cdef HpackEntry* entry_of(HpackDecoder* d, uint32_t index, const char** text) noexcept nogil
cdef void table_insert(HpackDecoder* d, const char* line, const HpackField* field) noexcept nogil
cdef void table_shrink(HpackDecoder* d, uint32_t size) noexcept nogil
cdef uint8_t name_id(const char* name, uint32_t length) noexcept nogil
cdef uint8_t name_faults(const char* name, uint32_t length) noexcept nogil
cdef uint8_t value_faults(const char* value, uint32_t length) noexcept nogil
