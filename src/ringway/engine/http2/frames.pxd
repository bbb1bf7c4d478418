"""Frames of HTTP/2, RFC 9113 4 and 6: cut out of what is received, checked, and written. No I/O, nothing is kept but the
state of the frame that is under way.

    received octets --frame_read()--> one event a call, and how many octets it used

Frames arrive in pieces of any size. What is small and fixed (settings, pings, windows, resets) is gathered and reported
whole; field blocks and DATA are reported in the pieces in which they arrive, where they are, and never copied here.

An event is either something to do, an error of a lane (RST_STREAM) or an error of the connection (GOAWAY). The reader knows
no lanes: whether a frame is allowed in the state of its lane (5.1) is judged by whoever knows the lanes.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum FrameType:            # RFC 9113 6; any other type is ignored (4.1)
    FRAME_DATA = 0
    FRAME_HEADERS = 1
    FRAME_PRIORITY = 2
    FRAME_RST_STREAM = 3
    FRAME_SETTINGS = 4
    FRAME_PUSH_PROMISE = 5
    FRAME_PING = 6
    FRAME_GOAWAY = 7
    FRAME_WINDOW_UPDATE = 8
    FRAME_CONTINUATION = 9
    FRAME_PRIORITY_UPDATE = 16  # RFC 9218 7.1

cdef enum FrameFlag:
    FLAG_ACK = 1
    FLAG_END_STREAM = 1
    FLAG_END_HEADERS = 4
    FLAG_PADDED = 8
    FLAG_PRIORITY = 32

cdef enum H2Error:              # RFC 9113 7
    H2_NO_ERROR = 0
    H2_PROTOCOL_ERROR = 1
    H2_INTERNAL_ERROR = 2
    H2_FLOW_CONTROL_ERROR = 3
    H2_SETTINGS_TIMEOUT = 4
    H2_STREAM_CLOSED = 5
    H2_FRAME_SIZE_ERROR = 6
    H2_REFUSED_STREAM = 7
    H2_CANCEL = 8
    H2_COMPRESSION_ERROR = 9
    H2_CONNECT_ERROR = 10
    H2_ENHANCE_YOUR_CALM = 11
    H2_INADEQUATE_SECURITY = 12
    H2_HTTP_1_1_REQUIRED = 13

cdef enum H2Setting:            # RFC 9113 6.5.2, RFC 8441 3, RFC 9218 2.1
    SETTING_HEADER_TABLE_SIZE = 1
    SETTING_ENABLE_PUSH = 2
    SETTING_MAX_CONCURRENT_STREAMS = 3
    SETTING_INITIAL_WINDOW_SIZE = 4
    SETTING_MAX_FRAME_SIZE = 5
    SETTING_MAX_HEADER_LIST_SIZE = 6
    SETTING_ENABLE_CONNECT_PROTOCOL = 8
    SETTING_NO_RFC7540_PRIORITIES = 9

cdef enum:
    FRAME_HEAD_BYTES = 9        # in front of each payload: length, type, flags, id
    FRAME_BYTES_DEFAULT = 16384 # of a payload; ours never allow more (SETTINGS_MAX_FRAME_SIZE)
    FRAME_BYTES_LIMIT = 0xFFFFFF
    WINDOW_DEFAULT = 65535      # RFC 9113 6.9.2
    WINDOW_MAX = 0x7FFFFFFF     # 6.9.1
    PREFACE_BYTES = 24          # RFC 9113 3.4
    SETTING_BYTES = 6
    FRAME_SMALL_BYTES = 64      # of frames that are gathered whole; of a PRIORITY_UPDATE's value the rest is dropped

cdef enum FrameEvent:           # what frame_read() found
    GOT_NONE = 0              # all octets are used, and nothing is complete
    GOT_DATA                  # `piece`: payload without padding, perhaps empty; `counted` octets leave the windows; `end`
    GOT_BLOCK                 # `piece` of a field block; `begins`: its HEADERS; `complete`: END_HEADERS; `end`
    GOT_SETTING               # `setting`, `value`: one of them, checked
    GOT_SETTINGS_END          # all of a frame were reported: to be acknowledged
    GOT_SETTINGS_ACK
    GOT_PING                  # 8 octets in `small`: to be sent back
    GOT_PING_ACK
    GOT_GOAWAY                # `value`: the last id; `code`
    GOT_WINDOW                # `value`: the increment, not 0; `id` 0: of the connection
    GOT_RESET                 # `code`
    GOT_PRIORITY              # `value`: the id of the lane; `small[4:4+small_length]`: the field's value (RFC 9218)
    GOT_IGNORED               # a frame that says nothing to us, whole
    GOT_LANE_ERROR            # `id`, `code`: the frame breaks the rules, its lane is to be reset
    GOT_ERROR                 # `code`: the connection has to end. The reader must not be called again

cdef struct FrameReader:
    bint server                 # it reads what a client sends
    bint begun                  # the first frame was SETTINGS (3.4)
    uint8_t have                # octets of `head`
    uint8_t head[FRAME_HEAD_BYTES]
    # the frame under way, once `have` is 9
    uint8_t type
    uint8_t flags
    uint32_t id
    uint32_t length             # octets of its payload
    uint32_t left               # of those, still to come
    uint8_t front               # octets still to come in front of data or of a block: length of padding, priority
    uint8_t padding             # octets at its end
    uint8_t small_length
    uint8_t small[FRAME_SMALL_BYTES]
    uint32_t uncounted          # octets of DATA that no event has reported yet
    bint fresh                  # no piece of this HEADERS was reported yet
    # the field block under way
    uint32_t block              # id of its lane; 0: there is none. Only its CONTINUATION may come
    bint block_end              # its HEADERS had END_STREAM
    # the event
    const uint8_t* piece        # borrowed from what was received
    uint32_t piece_length
    uint32_t counted
    uint32_t value
    uint32_t code               # of GOT_BLOCK: not 0 if its HEADERS is an error of the lane. It has to be decoded all the same
    uint16_t setting
    bint begins
    bint complete
    bint end

cdef void frame_reader_begin(FrameReader* r, bint server) noexcept nogil
cdef int frame_read(FrameReader* r, const uint8_t* data, uint32_t length, uint32_t* used) noexcept nogil
    # FrameEvent; `used`: octets of `data` that it took. Call it until GOT_NONE, once more when all are used: the end of
    # a frame may be an event of its own

cdef void frame_write(uint8_t* out, uint32_t length, int type, int flags, uint32_t id) noexcept nogil  # FRAME_HEAD_BYTES
cdef uint32_t setting_write(uint8_t* out, int setting, uint32_t value) noexcept nogil       # SETTING_BYTES
cdef uint32_t reset_write(uint8_t* out, uint32_t id, uint32_t code) noexcept nogil          # 13, the whole frame
cdef uint32_t window_write(uint8_t* out, uint32_t id, uint32_t increment) noexcept nogil    # 13
cdef uint32_t goaway_write(uint8_t* out, uint32_t last, uint32_t code) noexcept nogil       # 17
cdef uint32_t ping_write(uint8_t* out, const uint8_t* octets, bint ack) noexcept nogil      # 17

# Parts of frame_read().
cdef int frame_begin(FrameReader* r) noexcept nogil             # the head is whole: GOT_NONE, GOT_LANE_ERROR or GOT_ERROR
cdef int frame_fault(FrameReader* r) noexcept nogil             # H2Error of its head
cdef int frame_piece(FrameReader* r, const uint8_t* data, uint32_t length, uint32_t* used) noexcept nogil
cdef int frame_front(FrameReader* r, uint8_t octet) noexcept nogil             # 0, or H2Error
cdef int frame_small(FrameReader* r, const uint8_t* data, uint32_t length, uint32_t* used) noexcept nogil
cdef int frame_whole(FrameReader* r) noexcept nogil             # all of a small frame has come
cdef int frame_end(FrameReader* r, int event) noexcept nogil    # the next one begins; `event`
cdef int setting_fault(FrameReader* r) noexcept nogil           # H2Error of r.setting and r.value
cdef int frame_error(FrameReader* r, int code) noexcept nogil   # GOT_ERROR
cdef int lane_error(FrameReader* r, int code) noexcept nogil    # GOT_LANE_ERROR
cdef uint32_t read_number(const uint8_t* data) noexcept nogil   # four octets, the first one first
cdef void write_number(uint8_t* out, uint32_t value) noexcept nogil
