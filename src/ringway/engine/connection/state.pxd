"""Everything that a worker keeps: the structures of `connection`, `exchange` and `worker`, and who owns what.

    Worker --+-- Client ------ Stream (its socket, TLS, queues)      one for each accepted connection
             |     | exchange
             +-- Exchange                                            one for each request being served
             |     | front, back: the lanes in the streams of its client and its upstream
             |     | upstream          | file
             +-- Upstream --- Stream   |                             one for each connection to an upstream
             |     | origin            |
             +-- Origin (idle pool)    +-- File (facts, descriptor, copy)

The handlers that move between these states are in stream.py, client.py, upstream.py, files.py and exchange.py.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.plan.addresses cimport ADDRESSES_MAX, AddressTable
from ringway.engine.base.buffers cimport PLACES, Buffer, Buffers, Queue
from ringway.engine.http.bodies cimport BodyState
from ringway.engine.http2.frames cimport FrameReader
from ringway.engine.http2.hpack_decode cimport HpackDecoder
from ringway.engine.http2.hpack_encode cimport HpackEncoder
from ringway.engine.http.chunked cimport Chunked
from ringway.engine.base.clock cimport Clock
from ringway.engine.base.counters cimport Counters
from ringway.engine.kernel.driver cimport Driver
from ringway.engine.http.forwarded cimport Said
from ringway.engine.tls.ktls cimport KtlsKeys
from ringway.engine.native.linux cimport open_how, sockaddr_storage, socklen_t, statx_t
from ringway.engine.http.proxy_header cimport Ends
from ringway.engine.http.ranges cimport ETAG_BYTES_MAX, RANGES_MAX, ByteRange, FileFacts
from ringway.engine.base.records cimport RecordRing
from ringway.engine.http.request_head cimport RequestHead
from ringway.engine.http.response_head cimport ResponseHead
from ringway.engine.base.slots cimport Slot, Slots
from ringway.engine.plan.snapshot cimport MediaType, Route, Snapshot
from ringway.engine.base.timers cimport Timer, Wheel
from ringway.engine.tls.tls cimport Tls
from ringway.engine.tls.tls_context cimport TlsContext

# ------------------------------------------------------------------------------------------------------ streams

cdef enum ReceiveMode:
    RECEIVE_OFF = 0         # no receive is in flight: back-pressure
    RECEIVE_SINGLE          # a single receive is in flight
    RECEIVE_MULTI           # a multishot receive is in flight
    RECEIVE_ENDING          # a multishot receive, or the wait for the peer's end, is being cancelled
    RECEIVE_STARVED         # wanted, but no buffer was free: in one of the worker's `starved` lists
    RECEIVE_END_ONLY        # no receive is in flight, but Ringway waits for the peer's end

cdef enum:                  # StreamKind
    KIND_CLIENT = 0
    KIND_UPSTREAM = 1

cdef struct Waiter:         # the place of a stream in a list of streams that wait for buffers
    Stream* owner
    Waiters* list           # NULL: in none
    Waiter* next
    Waiter* before

cdef struct Waiters:        # first in, first out
    Waiter* first
    Waiter* last
    uint32_t count

cdef enum:                  # Wait: what a stream waits for; index of a list
    WAIT_SMALL = 0          # a small buffer: to receive into, or to answer a head
    WAIT_LARGE = 1          # a large one to receive into, or both to go on
    WAITS = 2

cdef struct Lane:           # the bytes of one exchange on one of its sides, with their deadlines; see lane.pxd
    Stream* stream          # borrowed: the socket that carries it
    Mux* mux                # borrowed: it is one of many on this connection (HTTP/2). NULL: it is the whole (HTTP/1)
    uint8_t kind            # StreamKind
    bint left               # the peer closed its side or reset the connection; earlier bytes may still be unread
    bint eof                # the peer sent its end (FIN, close_notify), and all that it sent before is in the inbox
    bint shut_write         # the other end of the tunnel has ended: FIN was sent, or follows close_notify
    bint sent_any           # at least one byte was sent
    int error               # errno with which receiving (or TLS) failed, 0: none
    int send_error          # errno with which sending failed: received bytes can still be used
    Queue inbox             # owned: received (and decrypted), not used yet
    Queue outbox            # owned: (encrypted and) waiting to be sent
    Timer timer
    uint64_t receive_due_ms # deadline for bytes from the peer; 0: none
    uint64_t send_due_ms    # deadline for the peer to read; 0: none
    uint32_t receive_window_ms  # progress renews the deadline by this
    uint32_t received_since # bytes since the deadline was set: fewer than progress_bytes are no progress
    uint32_t sent_since
    uint32_t progress_bytes
    uint32_t send_window_ms # the peer must read something within this
    uint8_t late            # LateSide: which deadline has passed, or that Ringway had no buffer
    bint looking            # `receive_due_ms` is not a deadline but the time of the next check

cdef struct Stream:         # one socket and its bytes; the first member of Client and Upstream
    Slot slot
    Lane lane               # what it carries: plaintext. With HTTP/1 the exchange works on this lane
    uint8_t state           # ClientState or UpstreamState
    uint8_t receive         # ReceiveMode; written only by stream.py
    uint8_t want_group      # Group of the buffers to receive into
    bint spared             # ... but large ones are scarce: the receive in flight uses a small one
    bint want_many          # a multishot receive
    bint want_later         # nothing is expected at once: wait for the socket first
    bint wanted             # RECEIVE_ENDING: receive again when the cancel is complete
    bint watched            # RECEIVE_ENDING: wait for the peer's end when the cancel is complete; not if `wanted`
    bint ended              # TLS: the socket has ended; bytes from before may still wait to be decrypted
    int ended_error         # ... with this errno; 0: with FIN
    bint delivers_all       # a tunnel's client: bytes from before a reset are decrypted and delivered too
    bint closing            # shut down; freed when nothing is in flight
    Rules* rules            # referenced: the rules under which it began
    bint aborted            # closing with a reset
    bint nonblocking        # FIONBIO is set, which sendfile(2) needs
    bint polling            # waits until the socket is writable
    int fd                  # owned; -1: closed
    uint16_t operations     # in flight
    uint64_t receive_tag    # of the receive in flight
    Queue cipher            # owned: received, still encrypted
    Buffer* sending         # owned; LENT while in flight
    Buffer* keep            # borrowed: not released after it was sent, because its owner may need it again
    bint secure             # TLS, by OpenSSL or by the kernel
    bint http2              # TLS: the client negotiated h2 (ALPN)
    uint8_t tls_version     # 12 or 13; 0: plain, or the handshake is not complete
    uint8_t offload_wanted  # bits of Offload: the directions that the kernel should take over
    uint8_t offload         # ... and has taken over: the queues hold plaintext
    bint notified           # close_notify was sent or queued, or `notify_due`
    bint notify_due         # the kernel encrypts: close_notify follows as soon as everything else is sent
    uint8_t final_alert     # ... or this fatal alert in its place; 0: close_notify
    uint16_t tls_cipher_length
    const char* tls_cipher  # borrowed from OpenSSL, never freed: name of the suite
    uint64_t tls_written    # plaintext bytes that OpenSSL encrypted
    Tls* tls                # owned; NULL: plain, or the kernel has both directions
    KtlsKeys* keys          # owned; NULL: no kernel TLS, or the kernel has the keys and accepts no others
    uint16_t door           # policy of the host that the client named in its handshake, see snapshot.pxd; 0: none
    uint16_t identity_length
    char* identity          # owned: field lines that tell upstreams who the client is; NULL: no door, or `refused`
    const char* refused     # borrowed, never freed: why the client's certificate is not accepted; NULL: it is
    uint64_t moved          # bytes that the peer sent and took, since shares.py set it to 0
    uint8_t granted         # Group + 1 of the receive in flight that `Worker.granted` counts; 0: none
    Waiter starving         # in a list while it waits for a buffer to receive into
    Waiter hungering        # in a list while it waits for buffers to send or to decrypt
    bint ready              # a client whose next request may be in the inbox: in the worker's `ready` list
    Stream* next_ready      # list

# ------------------------------------------------------------------------------------------------------- HTTP/2
#
#   PREFACE -> OPEN -> LEAVING -> GONE          LEAVING: GOAWAY was sent, the lanes end as requests do
#      +--------+---------------> GONE          a rule was broken, or the connection is over: nothing is read any more

cdef enum MuxState:
    MUX_PREFACE = 0
    MUX_OPEN
    MUX_LEAVING
    MUX_GONE

cdef enum:
    MUX_RESETS = 16             # lanes that we have reset: what still comes for them is ignored
    MUX_BUCKETS = 64            # of the lanes by id

cdef struct MuxLink:        # the place of a lane in a list
    MuxLane* owner
    MuxLinks* list          # NULL: in none
    MuxLink* next
    MuxLink* before

cdef struct MuxLinks:       # first in, first out
    MuxLink* first
    MuxLink* last

cdef struct MuxLane:        # a stream of RFC 9113 5: one request and its response
    Lane lane
    Exchange* exchange      # borrowed
    uint32_t id
    bint answered           # the head of the final response was sent
    bint end_due            # END_STREAM follows the outbox
    bint end_sent
    bint malformed          # the request breaks a rule: it is answered and then reset
    bint hungry             # waits for buffers: told when there may be some
    int64_t send_window     # octets of DATA that the client takes; negative after a change of its settings (6.9.2)
    int64_t receive_window  # octets of DATA that the client may send
    uint32_t consumed       # of what it sent: not given back to the window yet
    uint32_t window         # how large the window for the client is
    bint counted            # the request has a Content-Length
    uint64_t expected       # ... and so many octets of it are still to come
    MuxLane* next           # in its bucket
    MuxLink link            # in Mux.lanes
    MuxLink ready           # in Mux.ready while it has something to send and the window for it
    MuxLink told            # in Mux.told while its exchange has to be told that bytes were sent

cdef struct Mux:            # a connection with a client that carries many lanes; see mux.pxd
    Slot slot
    Client* client          # borrowed
    uint8_t state           # MuxState; written only by mux_move()
    uint8_t preface         # octets of the client's preface that have come
    bint due                # in the worker's list of those with something to send
    bint settled            # the client has acknowledged our settings: from then on our windows hold
    bint pinged             # our PING after the first GOAWAY is out
    uint32_t last_id        # the highest id that the client has opened
    uint32_t most_id        # ids above this are ignored: the last one of GOAWAY
    uint32_t count          # lanes
    uint32_t streams        # how many there may be
    uint32_t frame_most     # octets of DATA in one frame that the client takes
    uint32_t initial        # window of a new lane for sending, by the client's settings
    int64_t send_window     # of the whole connection
    int64_t receive_window
    uint32_t received       # octets that came: not given back to the connection's window yet
    uint64_t parked         # octets in the outboxes of all lanes
    uint32_t granted        # octets by which lanes' windows are larger than at first
    int calm                # budget for bad manners; 0: the connection ends
    uint64_t calm_ms        # when it last grew with time
    MuxLinks lanes          # in the order of their ids
    MuxLinks ready          # to be served by turns
    MuxLinks told
    Mux* next_due           # list
    Buffer* gather          # owned: frames for the next send; NULL: none
    Buffer* block           # owned: a field block that comes in pieces; NULL: none
    uint32_t block_frames   # that it came in
    uint8_t smalls          # frames with few octets
    uint32_t updates        # window updates that the client may send for what we sent
    bint lost               # the connection broke: there is nobody to send anything to
    uint8_t resets_next
    uint32_t resets[MUX_RESETS]     # ids, the oldest is replaced
    FrameReader reader
    # A new Mux finds these uncleared.
    HpackDecoder decoder
    HpackEncoder encoder
    MuxLane* buckets[MUX_BUCKETS]

# ------------------------------------------------------------------------------------------------------ clients
#
#   accepted -> HANDSHAKE -> IDLE -> HEAD -> BUSY -> IDLE ...          without TLS: IDLE first. PROXY comes before both
#                  |          |       |       +---> LINGER -> CLOSING  after a response that ends the connection
#                  |          +-> MUX -----> LINGER          the client speaks HTTP/2
#                  +----------+-------+-------+-------------> CLOSING  closed, broken, timeout

cdef enum ClientState:
    CLIENT_FREE = 0
    CLIENT_PROXY            # waits for the PROXY protocol's header
    CLIENT_HANDSHAKE        # TLS handshake
    CLIENT_IDLE             # between requests; no byte of the next one has arrived
    CLIENT_HEAD             # part of a request head has arrived
    CLIENT_BUSY             # an exchange is in progress
    CLIENT_MUX              # HTTP/2: each exchange has a lane of the connection
    CLIENT_LINGER           # the last response was sent: read to the end, so that no reset overtakes the response
    CLIENT_CLOSING          # shut down
    CLIENT_STATES

cdef enum Trust:
    TRUST_UNKNOWN = 0       # not looked up yet
    TRUST_NO
    TRUST_YES               # one of `trusted_proxies`

cdef struct Listener:
    int fd                  # owned, a duplicate of the supervisor's; -1: closed, draining
    bint tls
    bint h2c                # without TLS: clients may speak HTTP/2 by prior knowledge
    bint proxied            # connections begin with the PROXY protocol's header
    uint16_t https_port     # redirect plain requests to HTTPS at this port; 0: serve them, or reject them if `tls`
    bint accepting          # an accept is in flight
    bint removed            # by a reload: its connections drain
    uint32_t clients        # its open connections: its place is free when they are gone
    uint64_t again_ms       # when to accept again after EMFILE; 0: not waiting

cdef struct Client:
    Stream stream
    Listener* listener      # borrowed
    Exchange* exchange      # owned while BUSY
    Mux* mux                # owned while MUX
    uint32_t seen           # scanned bytes of the head at inbox.first
    uint32_t requests       # requests that began on this connection
    uint64_t next_ns        # when the first byte of the next request was seen; 0: not yet
    bint last               # close after this exchange
    bint pipelines          # it sent a request before it had the response: only single receives from then on, to keep
                            # `pipeline_bytes`
    bint linger             # the client may still be sending: read to the end before closing
    bint shut               # FIN was sent
    int left                # while lingering: bytes of the response that the client had not taken at the last check
    uint8_t peer_length     # bytes of `peer`; 0: not looked up yet
    uint8_t peer_family     # AF_INET, AF_INET6, AF_UNIX; 0: unknown
    char peer[46]           # address as text; "unix:" for a Unix socket
    uint16_t place          # of its address in the table of shares, see shares.pxd; PLACE_UNKNOWN: not looked up
    uint32_t held           # scarce buffers that it holds: valid during a look
    uint64_t looked_ms      # when a look first found that it holds some; 0: it holds none
    int looked_unsent       # unsent bytes in its socket at that time
    bint secured            # the connection uses TLS (after the PROXY header, if there is one)
    bint mistaken           # it sent plain HTTP to a port for TLS: it gets 400 or a redirect
    uint8_t trust           # Trust: may it say whom its requests come from?
    Ends ends               # known: from the PROXY header; `peer` is its source

# ---------------------------------------------------------------------------------------------------- upstreams
#
#   CONNECTING -> HANDSHAKE -> BUSY <-> IDLE      HANDSHAKE: only with TLS. IDLE: in the pool of its origin, watched;
#        |            |         |        |        any byte that arrives ends it (a session ticket does not count)
#        +------------+---------+--------+--> CLOSING

cdef enum UpstreamState:
    UPSTREAM_FREE = 0
    UPSTREAM_CONNECTING
    UPSTREAM_HANDSHAKE      # TLS handshake, within the deadline of connecting
    UPSTREAM_BUSY           # serves one exchange
    UPSTREAM_IDLE           # in the pool
    UPSTREAM_TUNNEL         # after 101: bytes both ways
    UPSTREAM_CLOSING
    UPSTREAM_STATES

cdef struct Rules:          # one configuration made ready for use; see rules.pxd
    uint32_t references     # connections, exchanges and files that refer to them
    const Snapshot* snapshot        # owned: mapped memory
    uint64_t snapshot_size
    const AddressTable* addresses   # owned: mapped memory
    uint64_t addresses_size
    Origin* origins         # owned: one for each upstream of the snapshot
    Folder* folders         # owned: one for each folder of the snapshot
    TlsContext* tls         # owned; NULL: no TLS
    int certificates        # owned descriptor: where the supervisor publishes certificates; -1: no TLS
    uint64_t certificates_seen  # number of the newest loaded block
    int peers               # owned descriptor: the same for upstreams with TLS; -1: there are none
    uint64_t peers_seen

cdef struct Origin:         # one upstream of the configuration, as this worker sees it
    Rules* rules            # borrowed: the rules that own it
    uint32_t index          # in the snapshot and in the address table
    Upstream* idle_newest   # pool: newest first
    Upstream* idle_oldest
    uint32_t idle           # connections in the pool
    uint32_t open           # all connections
    uint32_t turn           # the address to try next, unless it is known to fail
    uint32_t known_version  # version of the addresses that `unreachable_ms` is about
    uint64_t unreachable_ms[ADDRESSES_MAX]  # by address: it failed and is tried last until then; 0: no known failure
    TlsContext* tls         # owned; NULL: plain. For new connections. A connection with an older context is not pooled

cdef struct Upstream:
    Stream stream
    Origin* origin          # borrowed
    Exchange* exchange      # borrowed: the exchange that it serves; NULL when idle
    Upstream* rival         # CONNECTING: an earlier attempt of the same exchange, also still connecting
    Upstream* newer         # pool
    Upstream* older
    uint32_t served         # exchanges that finished on it: > 0 means reused
    uint64_t idle_ns        # IDLE: the time of the turn in which it became idle
    uint32_t version        # of the address table when it was connected
    uint8_t place           # index of its address among the addresses of the name
    sockaddr_storage address  # lent while connecting
    socklen_t address_length

# -------------------------------------------------------------------------------------------------------- files
#
#   LOOKING -> OPENING -> STATING -> READY (LOADING, if a copy in memory is wanted)
#      ^    <- OPENING -> LINKING -> OPENING  an absolute link; if the folder was replaced, try again
#      +----------+----------+--> FAILED   kept for `file_valid`, like READY

cdef enum FileState:
    FILE_FREE = 0
    FILE_LOOKING            # waits for the lookup of its folder's path
    FILE_LINKING            # finds out where an absolute symbolic link leads
    FILE_OPENING
    FILE_STATING
    FILE_LOADING
    FILE_READY
    FILE_FAILED

cdef enum:
    FILE_PATH_MAX = 1024    # bytes of a file's path below its folder
    FILE_TRIES = 4          # how often one open looks its folder up again and retries

cdef enum FileKind:         # bits: how a path is opened. One path opened with two kinds is two Files
    FILE_COPY = 1           # `mode = "memory"`: make a copy
    FILE_FOLLOW = 2         # symbolic links may lead out of the folder
    FILE_DOTS = 4           # names may begin with a dot

cdef struct Folder:         # where files are looked up; see folders.pxd
    int fd                  # owned, O_PATH. A new folder under the same path keeps the number; -1: never opened
    int error               # errno: the folder is missing; 0: it is there, or nothing is known
    bint gone               # the supervisor found that the folder is missing
    bint looking            # a lookup of its path is in flight
    uint32_t looks          # lookups that have begun
    uint32_t version        # how often `fd` was changed to another folder
    uint64_t looked_ms      # when the last lookup began
    uint64_t found_ms       # when the last successful lookup began
    uint64_t device         # what `fd` leads to
    uint64_t inode
    char* path              # owned, absolute, with a terminating zero
    open_how how            # lent while looking
    File* waiting           # files that wait for the lookup, by `next_waiting`

cdef struct File:           # one path below one folder, valid for `file_valid_ms`
    Slot slot
    Rules* rules            # referenced
    uint8_t state           # FileState
    bint folder             # it is a directory
    bint listed             # in the table (a stale one in use is not)
    uint8_t kind            # FileKind, bits
    uint8_t tries           # how often opening failed and its folder was looked up again
    bint linked             # a link was followed: to `target`, unless it failed
    uint32_t look           # the lookup of its folder that it waits for, as in Folder.looks
    uint32_t version        # Folder.version when it was opened
    File* next_waiting      # list of a Folder
    char* target            # owned until READY or FAILED: where an absolute link leads, below the folder; NULL: none
    bint warm               # the whole file was once sent from the page cache
    int fd                  # owned; -1: none
    int error               # FAILED: errno
    uint32_t references     # exchanges and views that use it
    uint32_t hash
    uint16_t root           # index of the folder
    uint64_t checked_ms     # since when its facts are valid
    FileFacts facts
    char* copy              # owned: `facts.size` bytes; NULL: none
    uint32_t loaded         # bytes of the copy that are loaded
    char* fields            # owned: complete field lines (type, length, validators)
    uint16_t fields_length
    uint16_t length_at      # where the Content-Length line begins in `fields`; it is the last line
    uint8_t etag_length
    char etag[ETAG_BYTES_MAX]
    const MediaType* media  # borrowed from the snapshot
    File* next              # chain of its hash
    File* newer             # order of use: the oldest unused File is evicted first
    File* older
    File* before            # referenced until READY or FAILED: the stale File that it replaces
    Worker* worker          # borrowed
    Exchange* waiting       # exchanges that wait until it is READY or FAILED
    uint16_t path_length
    open_how how            # lent while OPENING
    statx_t found           # lent while STATING
    char path[FILE_PATH_MAX]  # below the folder, with a terminating zero

# ---------------------------------------------------------------------------------------------------- exchanges
#
#   ROUTED -> CONNECT -> WAIT -> STREAM -> DONE        proxy: connecting, waiting for a head, body flowing
#      |         ^--------+  (retry)  +-> TUNNEL -> DONE   after 101
#      +-> OPEN -> SEND -> DONE                        files: opening, body flowing
#      +-> ANSWER -> DONE                              Ringway's own response: redirect, error

cdef enum ExchangeState:
    EXCHANGE_FREE = 0
    EXCHANGE_ROUTED
    EXCHANGE_CONNECT
    EXCHANGE_WAIT
    EXCHANGE_STREAM
    EXCHANGE_TUNNEL
    EXCHANGE_OPEN
    EXCHANGE_SEND
    EXCHANGE_ANSWER
    EXCHANGE_DONE
    EXCHANGE_STATES

cdef enum:
    LOG_METHOD_BYTES = 24
    LOG_HOST_BYTES = 128    # how much of each the access log keeps
    LOG_TARGET_BYTES = 512
    LOG_AGENT_BYTES = 160
    LOG_REFERER_BYTES = 160

cdef struct LogText:        # copied from the head only if there is an access log
    uint16_t method_length
    uint16_t host_length
    uint16_t target_length
    uint16_t agent_length
    uint16_t referer_length
    char method[LOG_METHOD_BYTES]
    char host[LOG_HOST_BYTES]
    char target[LOG_TARGET_BYTES]
    char agent[LOG_AGENT_BYTES]
    char referer[LOG_REFERER_BYTES]

cdef struct Exchange:
    Slot slot
    Rules* rules            # referenced: the rules under which it began and ends
    uint8_t state           # ExchangeState; written only by exchange_move()
    uint8_t method          # Method
    uint8_t minor           # of the client's HTTP version
    uint8_t reason          # Reason: why it ended early
    uint16_t status         # sent to the client; 0: none yet
    bint keep_alive         # the client allows another request
    bint expect_continue    # the client waits for 100 before it sends its body
    uint8_t upgrade         # bits: entries of the route's `upgrade` that the forwarded request asks for
    bint answered           # the head of a final response was queued
    bint upstream_keep      # the upstream connection may be used again
    bint reused             # the connection came from the pool
    uint8_t attempts        # attempts to connect
    uint16_t tried          # bits: addresses that these went to
    uint32_t tried_version  # version of the addresses that `tried` is about
    int addresses           # how many addresses the upstream's name had
    Lane* front             # borrowed: to the client
    Lane* back              # borrowed: to the upstream; NULL: not connected, or given up
    Client* client          # borrowed: who it is. Its bytes are in `front`
    Upstream* upstream      # borrowed: it serves us, or is the last attempt to connect (earlier: `rival`); NULL: none
    const Route* route      # borrowed; NULL: none matched
    Buffer* request         # owned: the rewritten head (and body so far); kept as long as it may be sent again
    uint32_t request_start  # where it begins, to send it again
    bint replayable         # `request` is the whole request, and its method is idempotent
    bint pulled             # more of the body than `request` was taken from the client
    bint retrying           # waits until the broken connection is gone
    uint32_t seen           # scanned bytes of the response head
    BodyState up            # client to upstream
    BodyState down          # upstream (or file) to client
    uint64_t began_ns       # when the first byte of the request was seen
    uint64_t first_byte_ns  # when the first byte of the final response was queued; 0: not yet
    uint64_t file_left      # unsent bytes of this range
    uint64_t file_at        # offset of the next byte
    File* file              # referenced
    Exchange* next_waiting  # list of a File
    bint reading            # a body read is in flight
    bint abandoned          # the exchange ended while that read was in flight
    Buffer* read_buffer     # owned: lent to that read
    Buffer* head            # owned while OPEN: the request, for its conditions
    uint32_t head_bytes     # its length, from the start of `head`
    uint16_t range_count
    uint16_t range_next
    bint conditional        # the request has conditions or ranges
    bint part_due           # ranges: the header of the next part comes first
    uint8_t named_length    # bytes of `named`
    # A new exchange finds these uncleared. The fields above say when they are valid.
    Chunked up_chunks       # when up.framing is FRAMING_CHUNKED; the trailer, when it is FRAMING_LANE
    Chunked down_chunks
    ByteRange ranges[RANGES_MAX]
    char named[46]          # the client's address as a trusted proxy reported it
    MuxLane own             # `front` if the client speaks HTTP/2
    LogText log

# ------------------------------------------------------------------------------------------------------- worker

ctypedef void (*stream_event_t)(Worker* w, Stream* s) noexcept nogil
ctypedef void (*exchange_event_t)(Worker* w, Exchange* x) noexcept nogil
ctypedef void (*outcome_event_t)(Worker* w, Exchange* x, int reason) noexcept nogil
ctypedef void (*request_event_t)(Worker* w, Client* c, int found) noexcept nogil
ctypedef uint32_t (*place_t)(Worker* w, Stream* s) noexcept nogil
ctypedef void (*take_stock_t)(Worker* w) noexcept nogil
ctypedef void (*client_event_t)(Worker* w, Client* c) noexcept nogil
ctypedef void (*mux_event_t)(Worker* w, Mux* m) noexcept nogil
ctypedef void (*lane_event_t)(Worker* w, Lane* lane) noexcept nogil
ctypedef Exchange* (*take_exchange_t)(Worker* w, Client* c, bint on_mux) noexcept nogil
ctypedef void (*lane_request_t)(Worker* w, Exchange* x, Buffer* b, int found) noexcept nogil

cdef struct Handlers:       # how a lower level calls up
    stream_event_t received[2]  # by StreamKind: bytes, an end or an error arrived
    stream_event_t sent[2]      # by StreamKind: some of the outbox was sent
    stream_event_t late[2]      # by StreamKind: a deadline has passed
    stream_event_t gone[2]      # by StreamKind: nothing is in flight any more; free what is yours
    request_event_t request     # a head is at inbox.first (its length), or cannot be accepted (-Reason)
    exchange_event_t client_received    # while CLIENT_BUSY
    exchange_event_t client_sent
    exchange_event_t client_late
    exchange_event_t client_gone
    exchange_event_t upstream_ready     # connected: send the request
    outcome_event_t upstream_failed     # instead: no connection (Reason)
    exchange_event_t upstream_received
    exchange_event_t upstream_sent
    exchange_event_t upstream_late
    exchange_event_t upstream_gone      # its closed connection holds none of its buffers any more
    exchange_event_t file_ready         # the File that it waits for is READY or FAILED
    place_t place                       # of the address that a stream's buffers are charged to
    take_stock_t take_stock             # counts who holds how many buffers, when the last look is too old
    client_event_t mux_begin            # the client speaks HTTP/2
    mux_event_t mux_received            # while CLIENT_MUX
    mux_event_t mux_sent
    mux_event_t mux_late
    mux_event_t mux_gone
    mux_event_t mux_drain
    lane_event_t lane_late              # a deadline of a lane on a mux has passed
    take_exchange_t take_exchange       # a new exchange; NULL: all places are in use
    lane_request_t lane_request         # a request on a lane: b has its head, `found` bytes (or -Reason; b can be NULL)

cdef enum:
    LISTENERS_MAX = 256     # listening sockets of one worker
    TOLD_MAX = 16           # more than there are EventCodes
    SCRATCH_BYTES = 139264  # a head of 64 KiB, what it may grow by, and as much again to be safe
    PATH_BYTES = 65536
    PLACE_UNKNOWN = 4096    # PLACES: not looked up

cdef struct Worker:
    Driver driver
    Clock clock
    Wheel wheel
    Buffers buffers
    Handlers handlers
    Rules* rules                # owned: the current rules
    const Snapshot* snapshot    # borrowed from `rules`
    Counters* counters          # borrowed: mapped memory
    RecordRing* records         # borrowed: mapped memory
    Slots clients
    Slots upstreams
    Slots exchanges
    Slots muxes
    Slots files
    Listener listeners[LISTENERS_MAX]
    uint32_t listener_count     # places of `listeners` that were ever used
    File** file_table           # owned: `file_mask + 1` chains
    uint32_t file_mask
    File* file_newest
    File* file_oldest
    uint64_t memory_bytes       # of all copies
    Waiters starved[WAITS]      # streams that wait for a buffer to receive into
    Waiters hungry[WAITS]       # streams that wait for buffers for something else
    Waiters held_back[2]        # those of both whose address has its share: tried again after the next look
    uint32_t waiting            # streams in all of these lists
    bint feed_on                # more of them may find a buffer: the next turn begins at once
    uint32_t share[2]           # by Group, from the last look: buffers that an address may hold while they are scarce
    uint64_t share_until_ms     # the last look is too old then
    uint32_t share_waits[PLACES]    # by place, from the last look: clients that wait for a buffer
    uint32_t granted[2][PLACES] # by Group and place: receives submitted since that look that brought no buffer yet
    Stream* ready               # clients that client_turns() serves after the completions: first in, first out
    Stream* ready_last
    Mux* due                    # connections with HTTP/2 that have something to send: each turn
    bint feeding                # a hungry stream has its turn and may use the reserve
    uint32_t outbox_high        # bytes: a stream with this many queued is full; less while large buffers are scarce
    uint64_t next_shares_ms     # when shares_look() looks again
    uint64_t next_places_ms     # ... and shares_make_room()
    uint32_t heavy_place        # by its last look: the address that has more than half of all places
    uint32_t rooms              # places that it gave up and no connection has taken; above PLACES_MOST: not looked yet
    uint32_t moving             # sends and reads of bodies in flight
    int control                 # descriptor of the control socket
    char control_byte           # lent to the receive
    bint draining
    bint stopping               # leave the loop
    bint renewing               # leave the loop until the new rules are in use
    uint64_t drain_due_ms
    uint64_t next_look_ms       # when look_after() looks again
    bint forced                 # the remaining connections were ended, see stop_now()
    uint64_t told_ms[TOLD_MAX]  # by EventCode: when it was last written
    uint32_t salt               # of hash tables
    uint32_t descriptors_most   # clients, upstreams and files may use this many before accepting waits; 0: no bound
    uint32_t files_most         # files that may be kept open, in addition to `[limits] open_files`
    RequestHead request         # the head that a handler works on: valid during that handler
    ResponseHead response
    Said said                   # what a trusted proxy says about `request`: valid as long
    char scratch[SCRATCH_BYTES] # the head that a handler writes
    char path[PATH_BYTES]       # a path in its normal form, or decoded

cdef extern from "states.h" nogil:
    const char* CLIENT_STATE_NAMES[CLIENT_STATES]
    const char* UPSTREAM_STATE_NAMES[UPSTREAM_STATES]
    const char* EXCHANGE_STATE_NAMES[EXCHANGE_STATES]
