"""The header of `connection`: a module of a higher folder imports it whole. What each name means stands in its module's .pxd."""
from ringway.engine.connection.state cimport *
from ringway.engine.connection.tell cimport *
from ringway.engine.connection.rules cimport *
from ringway.engine.connection.offload cimport *
from ringway.engine.connection.waiting cimport *
from ringway.engine.connection.stream cimport *
from ringway.engine.connection.client cimport *
from ringway.engine.connection.shares cimport *
from ringway.engine.connection.listener cimport *
from ringway.engine.connection.reach cimport *
from ringway.engine.connection.upstream cimport *
from ringway.engine.connection.folders cimport *
from ringway.engine.connection.files cimport *
