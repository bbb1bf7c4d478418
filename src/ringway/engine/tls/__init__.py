"""TLS between two queues of buffers, by OpenSSL. No I/O.

What connections begin from (`tls_context`), the state of one (`tls`), the server's side (`tls_server`:
certificates by host name, tickets) and the client's (`tls_client`), the flat blocks in which certificates and
trust come from the supervisor (`certificates`, `peers`), certificates that clients show (`client_auth`), keys
as the kernel takes them (`ktls`).

May import: `http`, `plan`, `base`, `native`.
Begin with: `tls.pxd`.
"""
