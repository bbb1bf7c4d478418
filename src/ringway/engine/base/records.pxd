"""Access records: a ring of bytes in shared memory, from one worker to the supervisor.

When the ring is full, the worker counts the record as dropped. It never waits.

    RecordRing | data[RECORD_RING_BYTES]

`head` and `tail` only grow. A record begins at (head % size) and never wraps: a record of kind RECORD_SKIP fills the
space before the end of the ring. The writer moves `head` to publish, the reader moves `tail` to free the space.

The reader does not trust the writer. It keeps its own copy of `tail`, copies a record's head before it checks it, and
raises `BrokenRing` for anything that a correct worker does not write. The supervisor then replaces the worker.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    RECORD_RING_BYTES = 4194304     # about 15,000 records: more than a worker writes between two reads

cdef enum RecordKind:
    RECORD_SKIP = 0
    RECORD_ACCESS = 1
    RECORD_EVENT = 2                # an event for the operator: see EventCode

cdef enum EventCode:
    EVENT_NONE = 0
    EVENT_ACCEPT_FAILED             # number: errno
    EVENT_NO_BUFFERS
    EVENT_CONNECT_FAILED            # number: errno; texts: the upstream's name
    EVENT_CLIENTS_FULL
    EVENT_KTLS_REFUSED              # number: errno or 0; texts: the cipher suite
    EVENT_KEY_UPDATE
    EVENT_CERTIFICATES              # new certificates are not usable
    EVENT_UPSTREAM_TLS_FAILED       # texts: the upstream's name, and why in parentheses
    EVENT_UPSTREAM_UNTRUSTED        # likewise
    EVENT_PEERS                     # texts: the upstream's name. Its new files are not usable
    EVENT_CLIENT_UNTRUSTED          # texts: the client's address, and why in parentheses
    EVENT_PROXY_REFUSED             # texts: the peer's address, and why in parentheses
    EVENT_ADDRESS_FAILED            # number: errno; texts: the upstream's name and which of its addresses failed
    EVENT_HTTP2_BLAMED              # texts: the client's address
    EVENT_GAVE_WAY                  # texts: the client's address

cdef enum:
    HTTP2_MINOR = 20                # in Record.minor: HTTP/2.0

cdef struct Record:
    uint32_t size                   # bytes of the whole record, a multiple of 8
    uint8_t kind                    # RecordKind
    uint8_t minor                   # of HTTP/1; or HTTP2_MINOR
    uint16_t status
    uint8_t reason                  # Reason
    uint8_t tls                     # 0: plain HTTP; 12 or 13: TLS 1.2 or 1.3
    uint16_t code                   # EventCode
    int32_t number
    uint16_t client_length          # lengths of the texts that follow, in this order
    uint16_t host_length
    uint16_t method_length
    uint16_t target_length
    uint16_t upstream_length
    uint16_t agent_length
    uint16_t referer_length
    uint16_t cipher_length
    uint8_t offload                 # bits of Offload: which directions of TLS the kernel did
    int64_t time_ns                 # wall clock, when the request began
    uint64_t bytes                  # of the body, sent to the client
    uint64_t first_byte_us          # a response can wait, and a tunnel last, longer than 32 bits of microseconds
    uint64_t total_us

cdef struct RecordRing:
    uint64_t head                   # written by the worker
    uint64_t pad1[7]                # its own cache line
    uint64_t tail                   # written by the reader
    uint64_t pad2[7]
    char data[RECORD_RING_BYTES]

cdef Record* record_begin(RecordRing* ring, uint32_t text_bytes) noexcept nogil
    # room for one record and its texts; NULL: the ring is full, the caller counts the record
cdef void record_end(RecordRing* ring, Record* record) noexcept nogil
    # publish it
