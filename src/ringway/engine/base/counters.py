"""The names of the counters, and how the supervisor reads them."""

import struct

from cython.cimports.ringway.engine.base.counters import *

NAMES = (
    "clients exchanges upstreams upstreams_idle buffers operations files memory_bytes tls "
    "accepted accept_errors refused proxy_refused requests status_1xx status_2xx status_3xx status_4xx status_5xx "
    "client_bytes_in client_bytes_out upstream_bytes_in upstream_bytes_out connects reused retries "
    "upstream_handshakes upstream_resumed upstream_tls_errors idle_dropped "
    "handshakes resumed handshake_errors client_certificate_errors certificates peers "
    "ktls_send ktls_receive ktls_fallback_cipher ktls_fallback_socket ktls_refused ktls_alerts ktls_handshakes "
    "ktls_key_updates ktls_others timeouts sendfile_bytes file_hits file_opens "
    "http2 http2_refused http2_blamed gave_way no_buffers stale "
    "records_dropped"
).split()
if len(NAMES) != COUNTER_COUNT:
    raise ImportError("counters.py and counters.pxd disagree")
GAUGES = NAMES[:GAUGE_COUNT]
SIZE = 8 * COUNTER_COUNT  # bytes of one worker's block


def read(block) -> dict[str, int]:
    """The counters of one worker from its shared block (any buffer of at least SIZE bytes)."""
    return dict(zip(NAMES, struct.unpack_from(f"{COUNTER_COUNT}q", block), strict=True))
