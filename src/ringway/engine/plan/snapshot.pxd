"""The configuration as the engine reads it: one flat block, offsets instead of pointers, never written after it is built.

The supervisor builds it once (`build()`), puts it into sealed shared memory, every worker maps it read-only, and the
command line tools read it with the same router. Offsets count bytes from the start of the block; 0 means "none".
Strings are not terminated: a Text is offset and length.

    Snapshot | hosts (sorted by name) | paths (per host, longest prefix first) | doors (sorted by name) | routes |
    upstreams | media types | folders | trusted prefixes | text
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from ringway.engine.base.spans cimport bytes_order, lower, table_find

cdef enum:
    SNAPSHOT_MAGIC = 0x52474E57     # "RGNW"
    SNAPSHOT_VERSION = 8            # changes with any struct below
    ROUTE_NONE = -1
    HOST_BYTES_MAX = 256            # a DNS name has at most 253; longer ones belong to "*"
    UNIX_PATH_MAX = 107             # sockaddr_un has 108, with a terminating zero
    SUFFIX_BYTES_MAX = 32           # of a media type's suffix; the longest registered have about 15
    # What a route may bring into a head: the engine's room for heads counts on it.
    BASE_BYTES_MAX = 1024
    LOCATION_TEXT_MAX = 2048
    HSTS_BYTES_MAX = 256
    UPGRADE_BYTES_MAX = 790         # eight names of 97 bytes, and what separates them: each request is compared with them

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
    uint8_t strip_prefix    # 1: the matched prefix is replaced, as in the seed
    uint8_t follow_links    # 1: symbolic links may lead out of the folder
    uint8_t dot_files       # 1: files whose names begin with a dot are served
    uint16_t redirect_status
    uint16_t folder         # file routes: index into the worker's opened folders
    uint32_t upstream       # proxy routes: index into the upstreams
    uint8_t half_close      # proxy routes: 1: a client that ends its side still gets its answer
    Text prefix             # matched prefix without its last slash: "" for a whole host, "/api" for "/api/"
    Text base               # proxy routes: what replaces the prefix: "" or "/v2"; a single file: its name in `folder`
    Text upgrade            # proxy routes: what may be upgraded to, a list in lower case: "websocket, foo"
    Text location           # redirects: what goes into Location; "{path}" in it stands for path and query
    Text hsts               # Strict-Transport-Security as a whole field line, or ""; for TLS alone
    Text name               # for people: 'host_routes."example.com"', 'path_routes."example.com"."/api/"'

cdef struct PathEntry:
    Text prefix             # as Route.prefix
    int32_t route           # index

cdef struct HostEntry:
    Text name               # lower case: "example.com"; ".example.com" for "*.example.com"; "*"
    int32_t route           # the host's own route, or ROUTE_NONE
    uint32_t path_count
    uint32_t paths          # offset of its PathEntry array, longest prefix first

cdef enum ClientAuth:
    AUTH_OFF = 0            # no certificate is asked for
    AUTH_OPTIONAL           # asked for; who shows a bad one is refused, who shows none is not
    AUTH_REQUIRE

cdef struct Door:           # what a host wants of its clients
    Text name               # as HostEntry.name
    uint16_t policy         # where its authorities stand in the block of certificates, from 1; 0: AUTH_OFF. Hosts with
                            # one number want the same
    uint8_t auth            # ClientAuth

cdef struct UpstreamEntry:
    Text name               # "http://h:8080", for logs
    Text authority          # "h:8080": Host of a request that came without (RFC 9110 7.2); of a Unix socket "localhost"
    Text host               # "h"; "/run/app.sock": a Unix socket
    uint16_t port
    uint8_t tls             # 1: https; how, is in the worker's brief
    uint8_t proxy_protocol  # connections begin with its header of this version, 1 or 2, for one client each; 0: none

cdef struct MediaType:
    Text suffix             # lower case, without the dot: "html"; sorted
    Text value              # "text/html; charset=utf-8"

cdef struct Prefix:         # of addresses of trusted proxies
    uint8_t bytes[16]       # IPv4 as ::ffff:a.b.c.d
    uint8_t bits            # so many of them count: 0 to 128

cdef struct Limits:         # `[limits]`: every bound, with its unit. Without padding: equal plans make equal blocks
    uint32_t head_bytes             # of a request or response head
    uint32_t client_connections     # per worker
    uint32_t upstream_connections   # per worker and upstream, in use
    uint32_t upstream_idle          # per worker and upstream, pooled
    uint32_t requests_per_connection  # keep-alive requests of one client connection
    uint32_t open_files             # per worker: kept open for reuse
    uint32_t head_fields            # field lines in one head
    uint32_t chunk_line_bytes       # size and extensions of one chunk
    uint32_t trailer_bytes          # the trailer section of a chunked body
    uint32_t ranges                 # sent in one response
    uint32_t pipeline_bytes         # of further requests, kept while one is served
    uint32_t body_buffer_bytes      # payload of a large buffer
    uint64_t request_body_bytes     # 0: no bound
    uint64_t buffer_bytes           # per worker: memory for bodies under way
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
    uint32_t linger_ms              # reading what a client still sends after its last answer
    uint32_t file_valid_ms          # a file's facts are believed so long before they are asked again

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
    Door any_door               # of every other host
    uint8_t client_auth         # 1: some door wants certificates
    uint32_t trusted_count
    uint32_t trusted            # offset of Prefix: who may say whom a request or a connection comes from. Sorted, and none
                                # lies in another: one binary search finds the only one that can hold an address
    uint8_t trusted_unix        # 1: whoever comes by a Unix socket may
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
    # by the suffix of the last segment, without case; NULL: none known
cdef bint snapshot_valid(const void* block, uint64_t size) noexcept nogil
    # every offset, index and order in it may be relied upon. `size` may be larger than the block (a mapping's pages)
