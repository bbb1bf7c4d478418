"""HTTP/2 frames, RFC 9113 4 and 6: reads, checks and writes them. No I/O. The reader stores only the state of the
current frame and field block.

    received octets --frame_read()--> one event a call, and the number of octets that it used

Frames arrive in pieces of any size. The reader collects small frames (settings, pings, windows, resets) and reports
them whole. It reports field blocks and DATA piece by piece, as they arrive, and does not copy them.

An event is either something to do, a lane error (RST_STREAM) or a connection error (GOAWAY). The reader does not know
the lanes: its caller checks whether a lane's state allows a frame (5.1).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum FrameType:            # RFC 9113 6; the reader ignores other types (4.1)
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
    FRAME_HEAD_BYTES = 9        # before each payload: length, type, flags, id
    FRAME_BYTES_DEFAULT = 16384 # the largest payload that we accept (SETTINGS_MAX_FRAME_SIZE)
    FRAME_BYTES_LIMIT = 0xFFFFFF
    WINDOW_DEFAULT = 65535      # RFC 9113 6.9.2
    WINDOW_MAX = 0x7FFFFFFF     # 6.9.1
    PREFACE_BYTES = 24          # RFC 9113 3.4
    SETTING_BYTES = 6
    FRAME_SMALL_BYTES = 64      # collected of a small frame; the reader drops the rest of a longer PRIORITY_UPDATE

cdef enum FrameEvent:           # of frame_read()
    GOT_NONE = 0              # all octets are used, and no event is complete
    GOT_DATA                  # `piece`: payload without padding, maybe empty; `counted`: octets for flow control; `end`
    GOT_BLOCK                 # `piece` of a field block; `begins`: the first piece; `complete`: the last one; `end`
    GOT_SETTING               # `setting`, `value`: one setting, checked
    GOT_SETTINGS_END          # the end of a SETTINGS frame: acknowledge it
    GOT_SETTINGS_ACK
    GOT_PING                  # 8 octets in `small`: send them back
    GOT_PING_ACK
    GOT_GOAWAY                # `value`: the last id; `code`
    GOT_WINDOW                # `value`: the increment, not 0; `id` 0: for the connection
    GOT_RESET                 # `code`
    GOT_PRIORITY              # `value`: the id of the lane; `small[4:4+small_length]`: the field's value (RFC 9218)
    GOT_IGNORED               # the end of a frame that has no meaning for us
    GOT_LANE_ERROR            # `id`, `code`: the frame breaks a rule: reset its lane
    GOT_ERROR                 # `code`: close the connection, and do not call the reader again

cdef struct FrameReader:
    bint server                 # the peer is a client
    bint begun                  # the first frame has come, and was SETTINGS (3.4)
    uint8_t have                # octets in `head`
    uint8_t head[FRAME_HEAD_BYTES]
    # the current frame, when `have` is 9
    uint8_t type
    uint8_t flags
    uint32_t id
    uint32_t length             # of its payload, in octets
    uint32_t left               # octets of it that are still to come
    uint8_t front               # octets to come before the data or the block: length of the padding, priority
    uint8_t padding             # octets of padding at its end
    uint8_t small_length
    uint8_t small[FRAME_SMALL_BYTES]
    uint32_t uncounted          # octets of DATA that no event has reported yet
    bint fresh                  # no event has reported a piece of this HEADERS yet
    # the current field block
    uint32_t block              # id of its lane; 0: none. Only CONTINUATION of this lane may follow
    bint block_end              # its HEADERS had END_STREAM
    # the event
    const uint8_t* piece        # borrowed from the received octets
    uint32_t piece_length
    uint32_t counted
    uint32_t value
    uint32_t code               # in GOT_BLOCK: if not 0, a lane error. Decode the block all the same
    uint16_t setting
    bint begins
    bint complete
    bint end

cdef void frame_reader_begin(FrameReader* r, bint server) noexcept nogil
cdef int frame_read(FrameReader* r, const uint8_t* data, uint32_t length, uint32_t* used) noexcept nogil
    # FrameEvent; `used`: octets of `data` that it used. Call it until it returns GOT_NONE, also when all octets are
    # used: the end of a frame can be an event of its own

cdef void frame_write(uint8_t* out, uint32_t length, int type, int flags, uint32_t id) noexcept nogil # FRAME_HEAD_BYTES
cdef uint32_t setting_write(uint8_t* out, int setting, uint32_t value) noexcept nogil       # SETTING_BYTES
cdef uint32_t reset_write(uint8_t* out, uint32_t id, uint32_t code) noexcept nogil          # 13: the whole frame
cdef uint32_t window_write(uint8_t* out, uint32_t id, uint32_t increment) noexcept nogil    # 13
cdef uint32_t goaway_write(uint8_t* out, uint32_t last, uint32_t code) noexcept nogil       # 17
cdef uint32_t ping_write(uint8_t* out, const uint8_t* octets, bint ack) noexcept nogil      # 17

# Parts of frame_read().
cdef int frame_begin(FrameReader* r) noexcept nogil             # its head is complete: GOT_NONE or GOT_ERROR
cdef int frame_fault(FrameReader* r) noexcept nogil             # H2Error of its head, or 0
cdef int frame_piece(FrameReader* r, const uint8_t* data, uint32_t length, uint32_t* used) noexcept nogil
cdef int frame_front(FrameReader* r, uint8_t octet) noexcept nogil             # 0, or H2Error
cdef int frame_small(FrameReader* r, const uint8_t* data, uint32_t length, uint32_t* used) noexcept nogil
cdef int frame_whole(FrameReader* r) noexcept nogil             # a small frame is complete
cdef int frame_end(FrameReader* r, int event) noexcept nogil    # returns `event`
cdef int setting_fault(FrameReader* r) noexcept nogil           # H2Error of r.setting and r.value, or 0
cdef int frame_error(FrameReader* r, int code) noexcept nogil   # GOT_ERROR
cdef int lane_error(FrameReader* r, int code) noexcept nogil    # GOT_LANE_ERROR
cdef uint32_t read_number(const uint8_t* data) noexcept nogil   # four octets, big-endian
cdef void write_number(uint8_t* out, uint32_t value) noexcept nogil
