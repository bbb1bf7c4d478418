"""`[limits]` and `[timeouts]`."""

from pydantic import ValidationInfo, field_validator

from ringway.config import values
from ringway.config.sections.kinds import Bytes, Seconds, count, seconds, size
from ringway.config.sections.section import Section


class Limits(Section):
    """Limits of memory, connections and requests. When a request or a connection reaches a limit, Ringway rejects it
    with a clear error or lets it wait. Nothing grows beyond its limit."""

    head_bytes: Bytes = size(
        8192,
        1024,
        65535,
        "The largest head of a request or a response. Larger: 431 or 414 for a request, 502 for a response.",
    )
    head_fields: int = count(
        100, 1, 1000, "Field lines in the head of a request (more: 431) or of a response (more: 502)."
    )
    request_body_bytes: Bytes = size(
        10485760,
        0,
        2**62,
        "The largest body of a request. Larger: 413. 0: no limit (Ringway streams bodies and never stores them).",
    )
    chunk_line_bytes: Bytes = size(
        256,
        32,
        8192,
        "The line with the size of one chunk and its extensions, which Ringway ignores. Longer: 400 from a client; "
        "502 or an aborted response from an upstream.",
    )
    trailer_bytes: Bytes = size(
        1024,
        64,
        1024,
        "The trailer section of a chunked body. Longer: 431 from a client; 502 or an aborted response from an "
        "upstream.",
    )
    ranges: int = count(16, 1, 16, "Ranges of a file in one response. A request for more ranges gets the whole file.")
    client_connections: int = count(
        20000,
        1,
        1000000,
        "Connections of clients, per worker. Ringway closes further ones at once. But when an address has more than "
        "half of all connections, Ringway evicts idle ones of that address to make room for other clients.",
    )
    upstream_connections: int = count(1024, 1, 65535, "Connections in use, per worker and upstream. More: 503.")
    upstream_idle: int = count(256, 0, 65535, "Idle connections in the pool, per worker and upstream.")
    requests_per_connection: int = count(
        10000, 1, 2**31 - 1, "Requests on one connection of a client before Ringway closes it."
    )
    streams: int = count(
        100,
        1,
        1000,
        "Requests at once on one connection of a client with HTTP/2. Ringway refuses more (REFUSED_STREAM), and "
        "the client can send them again.",
    )
    requests: int = count(
        20000,
        100,
        1000000,
        "Requests at once over HTTP/2, per worker, of all clients together. Ringway refuses further ones "
        "(REFUSED_STREAM).",
    )
    pipeline_bytes: Bytes = size(
        16384,
        4096,
        1048576,
        "Bytes of a client's further requests that Ringway buffers while it serves one. The rest waits in the "
        "kernel. With io_uring a connection can exceed this limit once: the first time that it sends further requests "
        "before it has the response, the kernel may deliver up to 256 KiB of them at once.",
    )
    buffer_bytes: Bytes = size(
        268435456,
        1048576,
        2**40,
        "Memory for bodies in transit, per worker. When all of it is in use, Ringway stops reading. It closes "
        "connections of clients that hold some of it and move fewer bytes than others (`client_too_slow` in the "
        "access log). It aborts a response over TLS that needs more (`out_of_memory`).",
    )
    body_buffer_bytes: Bytes = size(
        65536,
        16384,
        1048576,
        "Size of one buffer for a body: the most that Ringway receives, or reads from a file, at once. It must be "
        "larger than `head_bytes`, and `buffer_bytes` must hold at least 16 of these buffers.",
    )
    memory_bytes: Bytes = size(67108864, 0, 2**40, 'Memory for the copies of `mode = "memory"`, per worker.')
    memory_file_bytes: Bytes = size(1048576, 0, 2**31 - 1, 'The largest file that `mode = "memory"` copies.')
    open_files: int = count(1024, 16, 1000000, "Files that stay open for reuse, per worker.")
    progress_bytes: Bytes = size(
        1024, 1, 1048576, "Minimum number of bytes that count as progress for the `body` and `write` timeouts."
    )

    @field_validator("body_buffer_bytes")
    @classmethod
    def _between(cls, value: int, info: ValidationInfo) -> int:
        head, bound = info.data.get("head_bytes"), info.data.get("buffer_bytes")
        if head is not None and value <= head:
            raise values.Flaw(
                f"a head of {head} bytes does not fit into it", f"write more than {head}, or less `head_bytes`"
            )
        if bound is not None and 16 * value > bound:
            raise values.Flaw(
                f"`buffer_bytes` holds fewer than 16 of them ({bound} bytes)", f"write at most {bound // 16}"
            )
        return value


class Timeouts(Section):
    """Timeouts in seconds. Fractions are allowed. Every wait has a timeout."""

    handshake: Seconds = seconds(10, "TLS handshake, from the first byte to the last.")
    head: Seconds = seconds(
        10,
        "Head of a request, from its first byte to its last, no matter how slowly bytes arrive; 408. A new "
        "connection has the same time until its first byte; then Ringway closes it.",
    )
    body: Seconds = seconds(30, "Time without progress of a request body; 408.")
    keepalive: Seconds = seconds(75, "An idle connection of a client, between two requests.")
    write: Seconds = seconds(
        60,
        "Time without progress of a response to the client. A client that lags behind must also read 256 bytes per "
        "second on average.",
    )
    connect: Seconds = seconds(5, "Connecting to an upstream, including the TLS handshake with `https://`; 504.")
    first_byte: Seconds = seconds(60, "From the end of the request to the first byte of the upstream's response; 504.")
    upstream: Seconds = seconds(60, "Time without progress of an upstream's response; 504 or an aborted response.")
    upstream_idle: Seconds = seconds(30, "An idle connection to an upstream. Keep it below the upstream's own timeout.")
    tunnel: Seconds = seconds(3600, "A tunnel (WebSocket) without bytes from either side.", most=604800)
    linger: Seconds = seconds(
        2,
        "How long Ringway reads what a client still sends after its last response. This prevents a reset that "
        "overtakes the response.",
    )
    drain: Seconds = seconds(
        30, "How long running requests and tunnels can continue after Ringway gets the signal to stop.", least=0
    )
    file_valid: Seconds = seconds(
        1, "How long Ringway uses what it knows about a file before it checks the file again.", least=0, most=3600
    )
