"""The header of `tls`: modules of higher folders import it as a whole. Each module's .pxd explains its names."""
from ringway.engine.tls.certificates cimport *
from ringway.engine.tls.client_auth cimport *
from ringway.engine.tls.peers cimport *
from ringway.engine.tls.ktls cimport *
from ringway.engine.tls.tls_context cimport *
from ringway.engine.tls.tls cimport *
from ringway.engine.tls.tls_server cimport *
from ringway.engine.tls.tls_client cimport *
