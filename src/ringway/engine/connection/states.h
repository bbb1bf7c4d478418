/* Names of the states of state.pxd, in the order of its enums, for the report of what a worker left open. */
#pragma once

static const char *const CLIENT_STATE_NAMES[] = {
    "free", "proxy header", "handshake", "idle", "head", "busy", "HTTP/2", "linger", "closing",
};
static const char *const UPSTREAM_STATE_NAMES[] = {
    "free", "connecting", "handshake", "busy", "idle", "tunnel", "closing",
};
static const char *const EXCHANGE_STATE_NAMES[] = {
    "free", "routed", "connect", "wait", "stream", "tunnel", "open", "send", "answer", "done",
};
