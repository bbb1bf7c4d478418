"""The configuration as the engine reads it: one flat block with offsets instead of pointers. It never changes.

The supervisor builds it (`build()`) and puts it into sealed shared memory. Every worker maps it read-only. The commands
read it with the same router. Offsets are bytes from the start of the block; 0 means "none". Strings are not terminated:
a Text is an offset and a length.

    Snapshot | hosts (sorted by name) | paths (per host, longest prefix first) | doors (sorted by name) | routes |
    upstreams | media types | folders | trusted prefixes | text
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.base.spans cimport bytes_order, lower, table_find

cdef enum:
    SNAPSHOT_MAGIC = 0x52474E57     # "RGNW"
    SNAPSHOT_VERSION = 8            # changes with any struct below
    ROUTE_NONE = -1
    HOST_BYTES_MAX = 256            # a DNS name has at most 253; longer names match "*"
    UNIX_PATH_MAX = 107             # sockaddr_un has 108, with a terminating zero
    SUFFIX_BYTES_MAX = 32           # suffix of a media type; the longest registered have about 15
    # Bounds on what a route adds to a head: the engine's room for heads depends on them.
    BASE_BYTES_MAX = 1024
    LOCATION_TEXT_MAX = 2048
    HSTS_BYTES_MAX = 256
    UPGRADE_BYTES_MAX = 790         # eight names of 97 bytes and their separators; compared with each upgrade request

cdef enum RouteKind:
    ROUTE_FILE = 1
    ROUTE_PROXY
    ROUTE_REDIRECT

cdef enum FileMode:
    MODE_SENDFILE = 0
    MODE_MEMORY

cdef struct Text:
    uint32_t at         # offset in the block
    uint32_t length     # bytes

cdef struct Route:
    uint8_t kind            # RouteKind
    uint8_t file_mode       # FileMode
    uint8_t file_single     # 1: `folder` is one file, not a folder
    uint8_t strip_prefix    # 1: remove the matched prefix, or replace it with `base`
    uint8_t follow_links    # 1: symbolic links may lead out of the folder
    uint8_t dot_files       # 1: serve files whose names begin with a dot
    uint16_t redirect_status
    uint16_t folder         # file routes: index into the worker's opened folders
    uint32_t upstream       # proxy routes: index into the upstreams
    uint8_t half_close      # proxy routes: 1: a client that closes its sending side still gets the response
    Text prefix             # matched prefix without its last slash: "" for a whole host, "/api" for "/api/"
    Text base               # proxy routes: replaces the prefix: "" or "/v2"; a single file: its name in `folder`
    Text upgrade            # proxy routes: allowed protocols for an upgrade, a list in lower case: "websocket, foo"
    Text location           # redirects: the value of Location; "{path}" in it means path and query
    Text hsts               # Strict-Transport-Security as a whole field line, or ""; sent only with TLS
    Text name               # for the operator: 'host_routes."example.com"', 'path_routes."example.com"."/api/"'

cdef struct PathEntry:
    Text prefix             # as Route.prefix
    int32_t route           # index

cdef struct HostEntry:
    Text name               # lower case: "example.com"; ".example.com" for "*.example.com"; "*"
    int32_t route           # the host's own route, or ROUTE_NONE
    uint32_t path_count
    uint32_t paths          # offset of its PathEntry array, longest prefix first

cdef enum ClientAuth:
    AUTH_OFF = 0            # request no certificate
    AUTH_OPTIONAL           # request one; reject an invalid one, accept clients without one
    AUTH_REQUIRE

cdef struct Door:           # what a host demands of its clients
    Text name               # as HostEntry.name
    uint16_t policy         # number of its authorities in the block of certificates, from 1; 0: AUTH_OFF. Hosts with
                            # the same number have the same demands
    uint8_t auth            # ClientAuth

cdef struct UpstreamEntry:
    Text name               # "http://h:8080", for logs
    Text authority          # "h:8080": Host of a request that has none (RFC 9110 7.2); "localhost" for a Unix socket
    Text host               # "h"; "/run/app.sock": a Unix socket
    uint16_t port
    uint8_t tls             # 1: https; the block of peers.pxd says how
    uint8_t proxy_protocol  # version, 1 or 2, of the PROXY header that begins each connection; 0: none. Such a
                            # connection serves one client

cdef struct MediaType:
    Text suffix             # lower case, without the dot: "html"; sorted
    Text value              # "text/html; charset=utf-8"

cdef struct Prefix:         # a network of trusted proxies
    uint8_t bytes[16]       # IPv4 as ::ffff:a.b.c.d
    uint8_t bits            # length of the prefix in bits: 0 to 128

cdef struct Limits:         # `[limits]`: all bounds, with their units. No padding, so equal plans give equal blocks
    uint32_t head_bytes             # of a request or response head
    uint32_t client_connections     # per worker
    uint32_t upstream_connections   # per worker and upstream, in use
    uint32_t upstream_idle          # per worker and upstream, in the pool
    uint32_t requests_per_connection  # on one client connection
    uint32_t open_files             # per worker: files kept open for reuse
    uint32_t head_fields            # field lines in one head
    uint32_t chunk_line_bytes       # size and extensions of one chunk
    uint32_t trailer_bytes          # the trailer section of a chunked body
    uint32_t ranges                 # in one response
    uint32_t pipeline_bytes         # of further requests, received while one is served
    uint32_t body_buffer_bytes      # payload of a large buffer
    uint32_t streams                # requests at once on one connection with HTTP/2
    uint32_t requests               # per worker: requests at once over HTTP/2
    uint64_t request_body_bytes     # 0: no bound
    uint64_t buffer_bytes           # per worker: memory for all buffers
    uint64_t memory_bytes           # per worker: `mode = "memory"` copies
    uint64_t memory_file_bytes      # the largest file that is copied
    uint64_t progress_bytes         # fewer bytes than this do not count as progress

cdef struct Timeouts:       # `[timeouts]`, all in milliseconds
    uint32_t handshake_ms
    uint32_t head_ms
    uint32_t body_ms
    uint32_t keepalive_ms
    uint32_t write_ms
    uint32_t connect_ms
    uint32_t first_byte_ms
    uint32_t upstream_ms
    uint32_t upstream_idle_ms
    uint32_t tunnel_ms
    uint32_t drain_ms
    uint32_t linger_ms              # how long to read what a client still sends after its last response
    uint32_t file_valid_ms          # how long a file's facts are valid before the worker checks them again

cdef struct Snapshot:
    uint32_t magic
    uint32_t version
    uint64_t size               # bytes of the block
    uint32_t host_count
    uint32_t hosts              # offset of the exact and wildcard hosts, sorted by name (bytewise)
    int32_t any_host            # index of "*" in hosts, or -1
    uint32_t route_count
    uint32_t routes             # offset
    uint32_t upstream_count
    uint32_t upstreams          # offset
    uint32_t media_count
    uint32_t media              # offset
    uint32_t folder_count
    uint32_t folders            # offset of Text: their absolute paths
    uint32_t door_count
    uint32_t doors              # offset; sorted by name
    Door any_door               # for all other hosts
    uint8_t client_auth         # 1: at least one door requests certificates
    uint32_t trusted_count
    uint32_t trusted            # offset of Prefix: networks of trusted proxies. Sorted, without overlaps, so one binary
                                # search finds the only one that can contain an address
    uint8_t trusted_unix        # 1: peers on Unix sockets are trusted
    uint8_t access_log          # 1: write access records
    Limits limits
    Timeouts timeouts

cdef inline const char* text_at(const Snapshot* s, Text t) noexcept nogil:
    return <const char*>s + t.at

cdef inline const Route* route_at(const Snapshot* s, int32_t index) noexcept nogil:
    return <const Route*>(<const char*>s + s.routes) + index

cdef inline const UpstreamEntry* upstream_at(const Snapshot* s, uint32_t index) noexcept nogil:
    return <const UpstreamEntry*>(<const char*>s + s.upstreams) + index

cdef inline bint upstream_is_unix(const Snapshot* s, const UpstreamEntry* u) noexcept nogil:
    return u.host.length != 0 and text_at(s, u.host)[0] == b"/"

cdef inline const HostEntry* host_at(const Snapshot* s, uint32_t index) noexcept nogil:
    return <const HostEntry*>(<const char*>s + s.hosts) + index

cdef inline const Door* door_at(const Snapshot* s, uint32_t index) noexcept nogil:
    return <const Door*>(<const char*>s + s.doors) + index

cdef inline const PathEntry* path_at(const Snapshot* s, const HostEntry* h, uint32_t index) noexcept nogil:
    return <const PathEntry*>(<const char*>s + h.paths) + index

cdef inline const Text* folder_at(const Snapshot* s, uint32_t index) noexcept nogil:
    return <const Text*>(<const char*>s + s.folders) + index

cdef inline const MediaType* media_at(const Snapshot* s, uint32_t index) noexcept nogil:
    return <const MediaType*>(<const char*>s + s.media) + index

cdef inline const Prefix* trusted_at(const Snapshot* s, uint32_t index) noexcept nogil:
    return <const Prefix*>(<const char*>s + s.trusted) + index

cdef inline bint trusts_anybody(const Snapshot* s) noexcept nogil:
    return s.trusted_count != 0 or s.trusted_unix

cdef const MediaType* media_type_of(const Snapshot* s, const char* path, uint32_t length) noexcept nogil
    # by the suffix of the last segment, ignoring case; NULL: unknown
cdef bint snapshot_valid(const void* block, uint64_t size) noexcept nogil
    # True: all offsets, indices and orders in it are valid. `size` may be larger than the block (a mapping's pages)
