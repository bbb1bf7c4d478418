"""Encodes field lines into HTTP/2 field blocks (RFC 7541).

    name, value --hpack_write()-> octets of a block     one field a call

The encoder indexes few names: INDEXED in hpack_encode.py. It sends every other field as a literal that is never indexed
(RFC 7541 7.1.3). Two reasons: an intermediary must preserve that mark, but a field line cannot carry it; and on a
connection that several clients share, a client could use the index to probe for the values of another client.

Its table has 2,048 octets: fewer than the 4,096 that the peer assumes at first (RFC 7541 4.2), and fewer still if the
peer's settings say so. The encoder announces each change in the next block.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    HPACK_SENT_BYTES = 2048         # of our encoder's table
    HPACK_SENT_ENTRIES = 64         # a power of two
    HPACK_SENT_MAX = 512            # octets of an entry: a larger one would evict too many others
    HPACK_NAMES = 48                # limit of the names that are indexed; their numbers begin with 1
    HPACK_KNOWN = 256               # size of the hash table of known names, a power of two

cdef struct HpackKnown:             # a known name: in the static table or indexed
    const char* text
    uint8_t length                  # 0: the place in the hash table is free
    uint8_t index                   # of its entry in the static table; 0: none
    uint8_t number                  # its index in the encoder's `last`; 0: never indexed

cdef struct HpackSent:              # an entry of the encoder's dynamic table
    uint16_t at                     # of its value in `text`
    uint16_t value                  # octets
    uint16_t size                   # by RFC 7541 4.1
    uint32_t before                 # number of the previous entry with this name

cdef struct HpackEncoder:           # 3,260 octets
    uint16_t most                   # limit of its table in octets; the peer learns it by the announcement
    uint16_t least                  # smallest `most` since the last announcement
    bint announce
    uint16_t size                   # of all entries, by RFC 7541 4.1
    uint16_t end                    # of the values in `text`, which are in the order of the entries, without gaps
    uint32_t inserted               # entries so far. Numbers begin with 1; an entry is at its number % 64
    uint32_t oldest                 # number of the oldest entry in the table
    uint32_t last[HPACK_NAMES]      # by name: number of its newest entry, which may be evicted
    HpackSent entries[HPACK_SENT_ENTRIES]
    char text[HPACK_SENT_BYTES]

# Filled when the module is imported.
cdef char HPACK_KNOWN_TEXT[2048]
cdef HpackKnown HPACK_KNOWN_NAMES[256]          # HPACK_KNOWN places, by known_hash()

cdef void hpack_encoder_begin(HpackEncoder* e) noexcept nogil
cdef void hpack_encoder_resize(HpackEncoder* e, uint32_t bytes) noexcept nogil
    # `bytes`: the peer's SETTINGS_HEADER_TABLE_SIZE
cdef uint32_t hpack_write_begin(HpackEncoder* e, uint8_t* out) noexcept nogil
    # call it before the first field of a block: writes announcements, at most 6 octets
cdef uint32_t hpack_write_status(uint32_t status, uint8_t* out) noexcept nogil          # :status, at most 5 octets
cdef int hpack_write(HpackEncoder* e, const char* name, uint32_t name_length, const char* value, uint32_t value_length,
                     uint8_t* out, uint32_t room) noexcept nogil
    # octets written; -1: not enough room, and nothing has changed. Writes the name in lower case

# Parts of the functions above.
cdef const HpackKnown* known_name(const uint8_t* name, uint32_t length) noexcept nogil
cdef uint32_t find_sent(HpackEncoder* e, const HpackKnown* known, const char* value, uint32_t length) noexcept nogil
    # its index; 0: not in the table
cdef void sent_insert(HpackEncoder* e, const HpackKnown* known, const char* value, uint32_t length) noexcept nogil
cdef void sent_shrink(HpackEncoder* e, uint32_t size) noexcept nogil
cdef uint32_t known_hash(const uint8_t* name, uint32_t length) noexcept nogil
cdef uint32_t write_integer(uint8_t* out, uint32_t first, int prefix, uint32_t value) noexcept nogil
