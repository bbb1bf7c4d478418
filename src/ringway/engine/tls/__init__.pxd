"""The header of `tls`: a module of a higher folder imports it whole. What each name means stands in its module's .pxd."""
from ringway.engine.tls.certificates cimport *
from ringway.engine.tls.client_auth cimport *
from ringway.engine.tls.peers cimport *
from ringway.engine.tls.ktls cimport *
from ringway.engine.tls.tls_context cimport *
from ringway.engine.tls.tls cimport *
from ringway.engine.tls.tls_server cimport *
from ringway.engine.tls.tls_client cimport *
