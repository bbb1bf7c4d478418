"""Decodes HTTP/2 field blocks (RFC 7541) into field lines.

    octets of a block --hpack_read()--> "name: value CR LF" + HpackField   one field a call

The dynamic table stores its entries as field lines, so that an indexed field is one copy. The decoder finds the id and
the faults of a field when it decodes the literal, and stores them in the entry. A field with a fault still enters the
table, and the decoder still decodes a field that does not fit into the output: the tables of both peers must stay in
sync, or every later block decodes to something else.

The table has at most 4,096 octets (RFC 7541 4.2). Our settings never change that.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.http.fields cimport FIELD_COUNT

cdef enum:
    HPACK_TABLE_BYTES = 4096        # RFC 7541 4.2, RFC 9113 6.5.2: the default
    HPACK_ENTRIES = 128             # no more fit: an entry counts at least 32 octets (4.1)
    HPACK_ENTRY_BYTES = 32          # 4.1: an entry counts these in addition to its name and value
    HPACK_STATIC = 61               # entries of the static table, Appendix A
    HPACK_LINE_MAX = HPACK_TABLE_BYTES  # with this much room hpack_read() always keeps its table in sync
    HPACK_INTEGER_MAX = 0xFFFFFF    # 5.1: an implementation chooses its limit

cdef enum HpackName:                # ids of pseudo fields, RFC 9113 8.3, after the FieldIds
    PSEUDO_AUTHORITY = FIELD_COUNT
    PSEUDO_METHOD
    PSEUDO_PATH
    PSEUDO_SCHEME
    PSEUDO_STATUS
    PSEUDO_PROTOCOL                 # RFC 8441 4
    PSEUDO_OTHER                    # any other name that begins with a colon: malformed

cdef enum HpackFault:               # bits: RFC 9113 8.2.1
    HPACK_BAD_NAME = 1              # empty, not a token, or with an upper-case letter
    HPACK_BAD_VALUE = 2             # a control character, or white space at its start or end

cdef enum HpackResult:              # of hpack_read()
    HPACK_END = 0                   # of the block
    HPACK_FIELD = 1
    HPACK_LONG = 2                  # a field longer than `room`: it was skipped, and the table is in sync
    HPACK_NO_ROOM = -1              # the same, but nothing was read: call again with HPACK_LINE_MAX octets of room
    HPACK_BROKEN = -2               # RFC 9113 4.3: COMPRESSION_ERROR of the connection

cdef struct HpackEntry:
    uint16_t at                     # of its line in `text`
    uint16_t name                   # octets
    uint16_t value
    uint8_t id
    uint8_t faults

cdef struct HpackDecoder:           # 5,136 octets
    uint16_t most                   # limit that the peer's encoder chose, at most HPACK_TABLE_BYTES
    uint16_t size                   # of all entries, by RFC 7541 4.1
    uint16_t end                    # of the lines in `text`, which are in the order of the entries, without gaps
    uint8_t newest                  # index of the newest entry in `entries`, a ring; older ones are before it
    uint8_t count
    bint begun                      # a field of this block was read: 4.2 allows no size update after it
    HpackEntry entries[HPACK_ENTRIES]
    char text[HPACK_TABLE_BYTES]

cdef struct HpackField:
    uint32_t name                   # octets, from the beginning of the line at `out`
    uint32_t value                  # octets, from out[name + 2]
    uint8_t id                      # FieldId or HpackName
    uint8_t faults                  # HpackFault

# Filled when the module is imported.
cdef char HPACK_STATIC_TEXT[2048]
cdef HpackEntry HPACK_STATIC_ENTRIES[62]        # by index; 0 is none

cdef void hpack_decoder_begin(HpackDecoder* d) noexcept nogil
cdef int hpack_read(HpackDecoder* d, const uint8_t* block, uint32_t length, uint32_t* at, char* out, uint32_t room,
                    HpackField* field) noexcept nogil
    # HpackResult. Decodes the next field of block[at:length] to a line in out[0:room]. Set d.begun = False before each
    # block

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
