"""Who a client is: its address, both ends of its connection, and whether it may speak for others.

The address is looked up once, when it is first needed, and kept: after a reset the socket has none.
"""
from libc.stdint cimport uint16_t

from ringway.engine.connection.state cimport Client
from ringway.engine.http.proxy_header cimport Ends
from ringway.engine.native.linux cimport sockaddr_storage
from ringway.engine.plan.ips cimport Ip
from ringway.engine.plan.snapshot cimport Snapshot

cdef void client_peer(Client* c) noexcept nogil
    # looks up `peer`
cdef void client_ends(Client* c, Ends* out) noexcept nogil
    # as client_peer(), for both ends and with ports
cdef bint read_end(sockaddr_storage* found, Ip* ip, uint16_t* port) noexcept nogil
cdef bint client_trusted(const Snapshot* s, Client* c) noexcept nogil
    # is it one of `trusted_proxies`? A connection keeps the first result
