"""Everything a worker remembers: the structures of level 4 to 6, and who owns what.

    Worker --+-- Client ------ Stream (its socket, TLS, queues)      one for each accepted connection
             |     | exchange
             +-- Exchange                                            one for each request being served
             |     | upstream          | file
             +-- Upstream --- Stream   |                             one for each connection to an upstream
             |     | origin            |
             +-- Origin (idle pool)    +-- File (facts, descriptor, copy)

The handlers that move between these states stand in stream.py, client.py, upstream.py, files.py and exchange.py.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.plan.addresses cimport ADDRESSES_MAX, AddressTable
from ringway.engine.base.buffers cimport PLACES, Buffer, Buffers, Queue
from ringway.engine.http.bodies cimport BodyState
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
    RECEIVE_OFF = 0         # nothing is asked for: back-pressure
    RECEIVE_SINGLE          # one receive is in flight
    RECEIVE_MULTI           # a receive that goes on is in flight
    RECEIVE_ENDING          # a receive that goes on is being cancelled
    RECEIVE_STARVED         # wanted, but there was no buffer: in one of the worker's lists of those that wait

cdef enum:                  # StreamKind
    KIND_CLIENT = 0
    KIND_UPSTREAM = 1

cdef struct Waiter:         # a stream's place in a list of those that wait for buffers
    Stream* owner
    Waiters* list           # NULL: in none
    Waiter* next
    Waiter* before

cdef struct Waiters:        # the first to come first
    Waiter* first
    Waiter* last
    uint32_t count

cdef enum:                  # Wait: what is waited for; index of a list
    WAIT_SMALL = 0          # a small buffer. As the Groups for those that receive; the others have enough with one to answer
    WAIT_LARGE = 1          # a large one, or a small one too
    WAITS = 2

cdef struct Stream:         # one socket and its bytes; first member of Client and Upstream
    Slot slot
    uint8_t kind            # StreamKind
    uint8_t state           # ClientState or UpstreamState
    uint8_t receive         # ReceiveMode; written only by stream.py
    uint8_t want_group      # Group of the buffers to receive into
    bint spared             # ... but large ones are scarce: the receive in flight takes a small one
    bint want_many
    bint want_later
    bint wanted             # RECEIVE_ENDING: receive again when the cancel is through
    bint eof                # the peer sent FIN (or close_notify), and all that it sent before is in the inbox
    bint ended              # TLS: the socket has ended; what came before may still wait to be decrypted
    int ended_error         # ... by this errno; 0: by FIN
    bint closing            # shut down; freed when nothing is in flight
    Rules* rules            # referred to: under which it began
    bint aborted            # closing with a reset
    bint nonblocking        # FIONBIO is set, which sendfile(2) needs
    bint polling            # waits until it can be written to (sendfile)
    bint shut_write         # a tunnel's other end has ended: FIN was sent, or goes after close_notify
    int error               # errno that broke receiving (or TLS), 0: none
    int send_error          # errno that broke sending: what was received can still be used
    int fd                  # owned; -1: closed
    uint16_t operations     # in flight
    uint64_t receive_tag    # of the receive in flight
    Queue inbox             # owned: received (and decrypted), not used yet
    Queue cipher            # owned: received, still encrypted
    Queue outbox            # owned: (encrypted and) waiting to be sent
    Buffer* sending         # owned; LENT while in flight
    Buffer* keep            # borrowed: not given back when it was sent, its owner may need it again
    bint sent_any           # a byte went out
    bint secure             # TLS, whoever does it
    uint8_t tls_version     # 12 or 13; 0: plain, or the handshake is not through
    uint8_t offload_wanted  # bits of Offload: what the kernel shall do
    uint8_t offload         # ... and does: what is sent, or received, is plaintext here
    bint notified           # close_notify was said, or `notify_due`
    bint notify_due         # the kernel sends: close_notify follows as soon as all else is out
    uint16_t tls_cipher_length
    const char* tls_cipher  # borrowed from OpenSSL for good: name of the suite
    uint64_t tls_written    # plaintext bytes that OpenSSL encrypted
    Tls* tls                # owned; NULL: plain, or the kernel does it both ways
    KtlsKeys* keys          # owned; NULL: no kernel TLS, or the kernel has them and takes no others
    uint16_t door           # policy of the host that a client asked for in its handshake, see snapshot.pxd; 0: none
    uint16_t identity_length
    char* identity          # owned: field lines that tell upstreams who the client is; NULL: no door, or it is refused
    const char* refused     # borrowed for good: what is wrong with the client's certificate; NULL: nothing
    Timer timer
    uint64_t receive_due_ms # deadline for the peer's bytes; 0: none
    uint64_t send_due_ms    # deadline for the peer's reading; 0: none
    uint32_t receive_window_ms  # renewed by so much, when progress was made
    uint32_t received_since # bytes since the deadline was set: fewer than progress_bytes are no progress
    uint32_t sent_since
    uint64_t moved          # bytes that the peer sent and took, since shares.py set it to 0
    uint32_t progress_bytes
    uint32_t send_window_ms # the peer must read so often
    uint8_t late            # LateSide: which deadline has passed, or that it was our buffers that were missing
    uint8_t granted         # Group + 1 of the receive in flight that `Worker.granted` counts; 0: none
    Waiter starving         # wants to receive, and waits for a buffer
    Waiter hungering        # has something to send or to decrypt, and waits for buffers
    bint ready              # a client whose next request may lie there: in the worker's `ready` list
    Stream* next_ready      # list

# ------------------------------------------------------------------------------------------------------ clients
#
#   accepted -> HANDSHAKE -> IDLE -> HEAD -> BUSY -> IDLE ...          IDLE also after a plain accept. PROXY before
#                  |          |       |       +---> LINGER -> CLOSING  either. An answer that ends the connection
#                  +----------+-------+-------+-------------> CLOSING  closed, broken, too late

cdef enum ClientState:
    CLIENT_FREE = 0
    CLIENT_PROXY            # the PROXY protocol's header is awaited
    CLIENT_HANDSHAKE        # TLS is being agreed on
    CLIENT_IDLE             # between requests; nothing of the next one is here
    CLIENT_HEAD             # a part of a request head is here
    CLIENT_BUSY             # an exchange is under way
    CLIENT_LINGER           # answered for the last time: reading to the end, so that the answer is not lost
    CLIENT_CLOSING          # shut down
    CLIENT_STATES

cdef enum Trust:
    TRUST_UNKNOWN = 0       # nobody asked yet
    TRUST_NO
    TRUST_YES               # one of `trusted_proxies`

cdef struct Listener:
    int fd                  # owned, a duplicate of the supervisor's; -1: closed, draining
    bint tls
    bint proxied            # connections begin with the PROXY protocol's header
    uint16_t https_port     # plain requests are sent on to HTTPS at this port; 0: they are served, or refused if `tls`
    bint accepting          # an accept is in flight
    bint removed            # by a reload: what came by it is drained
    uint32_t clients        # connections that came by it: its place is not free before they are gone
    uint64_t again_ms       # accept again then: after EMFILE; 0: not waiting

cdef struct Client:
    Stream stream
    Listener* listener      # borrowed
    Exchange* exchange      # owned while BUSY
    uint32_t seen           # bytes of the head at inbox.first that were scanned
    uint32_t requests       # begun on this connection
    uint64_t next_ns        # when the first byte of the next request was seen; 0: not yet
    bint last               # close after this exchange
    bint pipelines          # it sent requests before it had the answer: single receives alone from then on, which keep a bound
    bint linger             # the client may still be sending: read to the end before closing
    bint shut               # FIN was sent
    int left                # while lingering: bytes of the answer that the client had not taken when it was looked last
    uint8_t peer_length     # bytes of `peer`; 0: not asked for yet
    uint8_t peer_family     # AF_INET, AF_INET6, AF_UNIX; 0: unknown
    char peer[46]           # address as text; "unix:": it came by a Unix socket
    uint16_t place          # of its address among those that share, see shares.pxd; PLACE_UNKNOWN: not looked up
    uint32_t held           # buffers that are scarce: valid during a look
    uint64_t looked_ms      # when it was found holding some first; 0: it does not
    int looked_unsent       # bytes that its socket had to send then
    bint secured            # TLS is spoken, behind the PROXY header if there is one
    bint mistaken           # it spoke plain HTTP where TLS is spoken: it is told so, or sent on
    uint8_t trust           # Trust: may it say whom its requests come from?
    Ends ends               # known: as a PROXY header said; `peer` then is its source

# ---------------------------------------------------------------------------------------------------- upstreams
#
#   CONNECTING -> HANDSHAKE -> BUSY <-> IDLE      HANDSHAKE: with TLS alone. IDLE: in its origin's pool, watched; whatever
#        |            |         |        |        is said there ends it (a session ticket says nothing)
#        +------------+---------+--------+--> CLOSING

cdef enum UpstreamState:
    UPSTREAM_FREE = 0
    UPSTREAM_CONNECTING
    UPSTREAM_HANDSHAKE      # TLS is being agreed on; the deadline is that of connecting
    UPSTREAM_BUSY           # serves one exchange
    UPSTREAM_IDLE
    UPSTREAM_TUNNEL         # after 101: bytes both ways
    UPSTREAM_CLOSING
    UPSTREAM_STATES

cdef struct Rules:          # what the configuration says; see rules.pxd
    uint32_t references     # connections, exchanges and files that began under them
    const Snapshot* snapshot        # owned: mapped memory
    uint64_t snapshot_size
    const AddressTable* addresses   # owned: mapped memory
    uint64_t addresses_size
    Origin* origins         # owned: one for each upstream of the snapshot
    Folder* folders         # owned: one for each folder of the snapshot
    TlsContext* tls         # owned; NULL: no TLS
    int certificates        # owned descriptor: where the supervisor publishes certificates; -1: no TLS
    uint64_t certificates_seen  # number of the newest block that was taken
    int peers               # owned descriptor: the same of upstreams with TLS; -1: there are none
    uint64_t peers_seen

cdef struct Origin:         # one upstream of the configuration, as this worker sees it
    Rules* rules            # borrowed: whose it is
    uint32_t index          # in the snapshot and in the address table
    Upstream* idle_newest   # pool: newest first
    Upstream* idle_oldest
    uint32_t idle
    uint32_t open           # all connections
    uint32_t turn           # which address is next, if it answers
    uint32_t known_version  # of the addresses, for what stands in the next field
    uint64_t unreachable_ms[ADDRESSES_MAX]  # by address: it did not answer, and comes after others until then; 0: nothing known
    TlsContext* tls         # owned; NULL: plain. New connections have this one; those of an older one are not pooled

cdef struct Upstream:
    Stream stream
    Origin* origin          # borrowed
    Exchange* exchange      # borrowed: the one it serves; NULL when idle
    Upstream* rival         # CONNECTING: the attempt of its exchange that began before it, and is under way too
    Upstream* newer         # pool
    Upstream* older
    uint32_t served         # exchanges finished on it: > 0 means reused
    uint64_t idle_ns        # IDLE: the turn in which it became so, by its time
    uint32_t version        # of the address table when it was connected
    uint8_t place           # its address among those of the name
    sockaddr_storage address  # lent while connecting
    socklen_t address_length

# -------------------------------------------------------------------------------------------------------- files
#
#   LOOKING -> OPENING -> STATING -> READY (LOADING, when a copy in memory is wanted)
#      ^    <- OPENING -> LINKING -> OPENING  an absolute link; a folder that became another one is tried again
#      +----------+----------+--> FAILED   remembered as long as facts are

cdef enum FileState:
    FILE_FREE = 0
    FILE_LOOKING            # its folder's path is looked up
    FILE_LINKING            # where an absolute symbolic link leads
    FILE_OPENING
    FILE_STATING
    FILE_LOADING
    FILE_READY
    FILE_FAILED

cdef enum:
    FILE_PATH_MAX = 1024    # bytes of a file's path below its folder
    FILE_TRIES = 4          # folders that became others while it was opened, one after the other

cdef enum FileKind:         # bits: how a path is opened. Files of one path and two kinds are two
    FILE_COPY = 1           # `mode = "memory"`: a copy is wanted
    FILE_FOLLOW = 2         # symbolic links may lead out of the folder
    FILE_DOTS = 4           # names may begin with a dot

cdef struct Folder:         # where files are looked up; see folders.pxd
    int fd                  # owned, O_PATH. Its number stays when it comes to lead to another folder; -1: never opened
    int error               # errno: it is not there; 0: it is, or nothing is known
    bint gone               # the supervisor says so, and that holds at once
    bint looking            # its path is being looked up
    uint32_t looks          # lookups that have begun
    uint32_t version        # how often `fd` came to lead to another folder
    uint64_t looked_ms      # when the last lookup began
    uint64_t found_ms       # when the last one that found something began
    uint64_t device         # what `fd` leads to
    uint64_t inode
    char* path              # owned, absolute, with a terminating zero
    open_how how            # lent while looking
    File* waiting           # files that wait for the lookup, by `next_waiting`

cdef struct File:           # one path below one folder, believed for `file_valid_ms`
    Slot slot
    Rules* rules            # referred to
    uint8_t state           # FileState
    bint folder             # it is a directory
    bint listed             # in the table (a stale one in use is not)
    uint8_t kind            # FileKind, bits
    uint8_t tries           # how often it failed, and its folder was looked at once more
    bint linked             # `target` was asked for
    uint32_t look           # the lookup of its folder that it waits for
    uint32_t version        # of the folder in which it was opened
    File* next_waiting      # list of a Folder
    char* target            # owned while it is not settled: where an absolute link leads, below the folder; NULL: none
    bint warm               # all of it was sent from the page cache
    int fd                  # owned; -1: none
    int error               # FAILED: errno
    uint32_t references     # exchanges and views that use it
    uint32_t hash
    uint16_t root           # index of the folder
    uint64_t checked_ms     # when its facts were asked
    FileFacts facts
    char* copy              # owned: `facts.size` bytes; NULL: none
    uint32_t loaded         # bytes of the copy that are there
    char* fields            # owned: ready field lines (type, length, validators)
    uint16_t fields_length
    uint16_t length_at      # where the Content-Length line begins in `fields`; it is the last one
    uint8_t etag_length
    char etag[ETAG_BYTES_MAX]
    const MediaType* media  # borrowed from the snapshot
    File* next              # chain of its hash
    File* newer             # by use: the oldest unused goes first
    File* older
    File* before            # referenced while it is not settled: the one that it replaces
    Worker* worker          # borrowed
    Exchange* waiting       # exchanges that wait for it to be READY or FAILED
    uint16_t path_length
    open_how how            # lent while OPENING
    statx_t found           # lent while STATING
    char path[FILE_PATH_MAX]  # below the folder, with a terminating zero

# ---------------------------------------------------------------------------------------------------- exchanges
#
#   ROUTED -> CONNECT -> WAIT -> STREAM -> DONE        proxy: connecting, waiting for a head, body flowing
#      |         ^--------+  (retry)  +-> TUNNEL -> DONE   after 101
#      +-> OPEN -> SEND -> DONE                        files: opening, body flowing
#      +-> ANSWER -> DONE                              our own answer: redirect, error

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
    LOG_HOST_BYTES = 128    # what the access log keeps of each
    LOG_TARGET_BYTES = 512
    LOG_AGENT_BYTES = 160
    LOG_REFERER_BYTES = 160

cdef struct LogText:        # copied from the head only when there is an access log
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
    Rules* rules            # referred to: under which it began, and ends
    uint8_t state           # ExchangeState; written only by exchange_move()
    uint8_t method          # Method
    uint8_t minor           # of the client's HTTP version
    uint8_t reason          # Reason: why it ended early
    uint16_t status         # sent to the client; 0: none yet
    bint keep_alive         # the client allows another request
    bint expect_continue    # the client waits for 100 before it sends its body
    uint8_t upgrade         # which entries of the route's list of upgrades were asked of the upstream, as bits
    bint answered           # the head of a final response was queued
    bint upstream_keep      # the upstream connection may be used again
    bint reused             # it was a pooled one
    uint8_t attempts        # connections tried to be opened
    uint16_t tried          # bits: addresses that they went to
    uint32_t tried_version  # of the addresses that `tried` is about
    int addresses           # how many the upstream's name had
    Client* client          # borrowed
    Upstream* upstream      # borrowed while it serves us, or the last attempt to connect (`rival`: earlier ones); NULL: none
    const Route* route      # borrowed; NULL: none matched
    Buffer* request         # owned: the rewritten head (and body so far); kept while it may have to be sent again
    uint32_t request_start  # where it begins, for sending it again
    bint replayable         # `request` is all of the request, and its method is idempotent
    bint pulled             # more of the body than `request` was taken from the client
    bint retrying           # waiting for the broken connection to be gone
    uint32_t seen           # bytes of the response head that were scanned
    BodyState up            # client to upstream
    BodyState down          # upstream (or file) to client
    uint64_t began_ns       # when the first byte of the request was seen
    uint64_t first_byte_ns  # when the first byte of the final response was queued; 0: not yet
    uint64_t file_left      # bytes of this range still to be sent
    uint64_t file_at        # offset of the next byte
    File* file              # referenced
    Exchange* next_waiting  # list of a File
    bint reading            # a body read is in flight
    bint abandoned          # it ended while that read was in flight
    Buffer* read_buffer     # owned: lent to that read
    Buffer* head            # owned while OPEN: the request, for its conditions
    uint32_t head_bytes     # its length, from the start of `head`
    uint16_t range_count
    uint16_t range_next
    bint conditional        # the request has conditions or ranges
    bint part_due           # ranges: the header of the next part comes first
    uint8_t named_length    # bytes of `named`
    # Not cleared for a new exchange: valid only when what is above says so.
    Chunked up_chunks       # when up.framing is FRAMING_CHUNKED
    Chunked down_chunks
    ByteRange ranges[RANGES_MAX]
    char named[46]          # the client's address, as a trusted proxy gave it
    LogText log

# ------------------------------------------------------------------------------------------------------- worker

ctypedef void (*stream_event_t)(Worker* w, Stream* s) noexcept nogil
ctypedef void (*exchange_event_t)(Worker* w, Exchange* x) noexcept nogil
ctypedef void (*outcome_event_t)(Worker* w, Exchange* x, int reason) noexcept nogil
ctypedef void (*request_event_t)(Worker* w, Client* c, int found) noexcept nogil
ctypedef uint32_t (*place_t)(Worker* w, Stream* s) noexcept nogil
ctypedef void (*take_stock_t)(Worker* w) noexcept nogil

cdef struct Handlers:       # how level 4 calls up to level 5
    stream_event_t received[2]  # by StreamKind: bytes, an end or an error arrived
    stream_event_t sent[2]      # by StreamKind: some of the outbox went out
    stream_event_t late[2]      # by StreamKind: a deadline has passed
    stream_event_t gone[2]      # by StreamKind: nothing is in flight any more; free what is yours
    request_event_t request     # a head lies at inbox.first (its length), or cannot be accepted (-Reason)
    exchange_event_t client_received    # while CLIENT_BUSY
    exchange_event_t client_sent
    exchange_event_t client_late
    exchange_event_t client_gone
    exchange_event_t upstream_ready     # connected: send the request
    outcome_event_t upstream_failed     # before or instead of that: no connection (Reason)
    exchange_event_t upstream_received
    exchange_event_t upstream_sent
    exchange_event_t upstream_late
    exchange_event_t upstream_gone      # its connection, closed by us, holds nothing of ours any more
    exchange_event_t file_ready         # a File that it waited for is READY or FAILED
    place_t place                       # of the address that is charged with what a stream takes
    take_stock_t take_stock             # who holds how many buffers: what the last look found is too old

cdef enum:
    LISTENERS_MAX = 256     # sockets of one worker that listen
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
    Rules* rules                # owned: what begins now begins under these
    const Snapshot* snapshot    # borrowed: that of `rules`
    Counters* counters          # borrowed: mapped memory
    RecordRing* records         # borrowed: mapped memory
    Slots clients
    Slots upstreams
    Slots exchanges
    Slots files
    Listener listeners[LISTENERS_MAX]
    uint32_t listener_count     # so many places were ever taken
    File** file_table           # owned: `file_mask + 1` chains
    uint32_t file_mask
    File* file_newest
    File* file_oldest
    uint64_t memory_bytes       # of all copies
    Waiters starved[WAITS]      # streams that wait for a buffer to receive into
    Waiters hungry[WAITS]       # ... for something else
    Waiters held_back[2]        # of both, those whose address has its share: they are tried again after the next look
    uint32_t waiting            # in all of these lists
    bint feed_on                # ... and there are buffers for some more: no sleep before
    uint32_t share[2]           # by Group, from the last look: buffers that an address may hold while they are scarce
    uint64_t share_until_ms     # ... then that look is too old
    uint32_t share_waits[PLACES]    # by place, from the last look: clients that wait for a buffer
    uint32_t granted[2][PLACES] # by Group and place: receives since that look, which have brought no buffer yet
    Stream* ready               # clients whose next request is looked at behind this turn's completions, the first to come first
    Stream* ready_last
    bint feeding                # one of the hungry has its turn: it may use the reserve
    uint32_t outbox_high        # bytes: who has so much queued stops producing; less while large buffers are scarce
    uint64_t next_shares_ms     # when shares_look() looks again
    uint64_t next_places_ms     # ... and shares_make_room()
    uint32_t heavy_place        # by its last look: the address that has more than half of all places
    uint32_t rooms              # places that it was made to give up and nobody has taken; above PLACES_MOST: not asked yet
    uint32_t moving             # sends and reads of bodies under way
    int control                 # descriptor of the control socket
    char control_byte           # lent to the receive
    bint draining
    bint stopping               # leave the loop
    bint renewing               # leave it for a moment: the supervisor has new rules
    uint64_t drain_due_ms
    uint64_t next_look_ms       # when look_after() looks again
    bint forced                 # the drain deadline passed, connections were broken off
    uint64_t told_ms[TOLD_MAX]  # by EventCode: when it was told last
    uint32_t salt               # of hash tables
    uint32_t descriptors_most   # clients, upstreams and files may take so many before accepting waits; 0: plenty
    uint32_t files_most         # files that may be kept open, beside `[limits] open_files`
    RequestHead request         # the head being looked at: valid during one handler
    ResponseHead response
    Said said                   # what a trusted proxy said of `request`: valid as long
    char scratch[SCRATCH_BYTES] # a head being written
    char path[PATH_BYTES]       # a path in its normal form, or decoded

cdef extern from "states.h" nogil:
    const char* CLIENT_STATE_NAMES[CLIENT_STATES]
    const char* UPSTREAM_STATE_NAMES[UPSTREAM_STATES]
    const char* EXCHANGE_STATE_NAMES[EXCHANGE_STATES]
