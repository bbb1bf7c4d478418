"""The header of `connection`. Modules of higher folders import it whole. The .pxd of each module explains its names."""
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
