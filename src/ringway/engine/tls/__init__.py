"""TLS between two queues of buffers, with OpenSSL. No I/O.

The contexts of connections (`tls_context`), the state of one connection (`tls`), the server's side (`tls_server`:
certificates by host name, tickets) and the client's side (`tls_client`), the flat blocks with certificates and trust
from the supervisor (`certificates`, `peers`), client certificates (`client_auth`), keys in the kernel's form (`ktls`).

May import: `http`, `plan`, `base`, `native`.
Begin with: `tls.pxd`.
"""
