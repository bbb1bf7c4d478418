"""The header of `kernel`: modules of higher folders import it as a whole. Each module's .pxd explains its names."""
from ringway.engine.kernel.driver cimport *
from ringway.engine.kernel.uring cimport *
from ringway.engine.kernel.epoll cimport *
from ringway.engine.kernel.trial cimport *
from ringway.engine.kernel.rights cimport *
