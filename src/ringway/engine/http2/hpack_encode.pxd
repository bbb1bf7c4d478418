"""Field blocks of HTTP/2, RFC 7541, encoded from field lines.

    name, value --hpack_write()-> octets of a block     one field a call

The encoder indexes few names: see INDEXED in hpack_encode.py. Everything else goes out as a literal that is never indexed
(RFC 7541 7.1.3): an intermediary must keep that mark, which a field line cannot carry, and on a connection that many clients
share an index would let one of them probe for the values of another.

Its table is smaller than the 4,096 octets that the peer expects at first (RFC 7541 4.2), and smaller still if the peer's
settings say so. The next block announces each change.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    HPACK_SENT_BYTES = 2048         # of our encoder's table
    HPACK_SENT_ENTRIES = 64         # a power of two
    HPACK_SENT_MAX = 512            # octets of an entry: one that is larger would drive out too many others
    HPACK_NAMES = 48                # names that are indexed, beginning with 1
    HPACK_KNOWN = 256               # places of the table of names that the encoder knows, a power of two

cdef struct HpackKnown:             # a name that the encoder knows
    const char* text
    uint8_t length                  # 0: the place is free
    uint8_t index                   # its entry in the static table; 0: it has none
    uint8_t number                  # in the encoder's `last`; 0: never indexed

cdef struct HpackSent:              # an entry of the encoder's table
    uint16_t at                     # of its value in `text`
    uint16_t value                  # octets
    uint16_t size                   # by RFC 7541 4.1
    uint32_t before                 # number of the entry before it with this name

cdef struct HpackEncoder:           # 3,260 octets
    uint16_t most                   # octets that its table may have, as the peer will know once it was announced
    uint16_t least                  # the smallest that it was since the last announcement
    bint announce
    uint16_t size                   # of all entries, by RFC 7541 4.1
    uint16_t end                    # of the values in `text`, which stand there in their order, without gaps
    uint32_t inserted               # entries ever: their numbers begin with 1, and the place of one is its number % 64
    uint32_t oldest                 # number of the oldest that is still there
    uint32_t last[HPACK_NAMES]      # by name: number of its youngest entry, there or gone
    HpackSent entries[HPACK_SENT_ENTRIES]
    char text[HPACK_SENT_BYTES]

# Filled once, when the module is imported.
cdef char HPACK_KNOWN_TEXT[2048]
cdef HpackKnown HPACK_KNOWN_NAMES[256]          # of HPACK_KNOWN places, by known_hash()

cdef void hpack_encoder_begin(HpackEncoder* e) noexcept nogil
cdef void hpack_encoder_resize(HpackEncoder* e, uint32_t bytes) noexcept nogil
    # SETTINGS_HEADER_TABLE_SIZE of the peer
cdef uint32_t hpack_write_begin(HpackEncoder* e, uint8_t* out) noexcept nogil
    # before the first field of a block: what is to be announced, at most 6 octets
cdef uint32_t hpack_write_status(uint32_t status, uint8_t* out) noexcept nogil          # :status, at most 5 octets
cdef int hpack_write(HpackEncoder* e, const char* name, uint32_t name_length, const char* value, uint32_t value_length,
                     uint8_t* out, uint32_t room) noexcept nogil
    # octets written; -1: there is no room for it, and nothing has changed. The name is lowered on the way

# Parts of the functions above.
cdef const HpackKnown* known_name(const uint8_t* name, uint32_t length) noexcept nogil
cdef uint32_t find_sent(HpackEncoder* e, const HpackKnown* known, const char* value, uint32_t length) noexcept nogil
    # its index; 0: it is not in the table
cdef void sent_insert(HpackEncoder* e, const HpackKnown* known, const char* value, uint32_t length) noexcept nogil
cdef void sent_shrink(HpackEncoder* e, uint32_t size) noexcept nogil
cdef uint32_t known_hash(const uint8_t* name, uint32_t length) noexcept nogil
cdef uint32_t write_integer(uint8_t* out, uint32_t first, int prefix, uint32_t value) noexcept nogil
