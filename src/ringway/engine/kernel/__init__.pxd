"""The header of `kernel`: a module of a higher folder imports it whole. What each name means stands in its module's .pxd."""
from ringway.engine.kernel.driver cimport *
from ringway.engine.kernel.uring cimport *
from ringway.engine.kernel.epoll cimport *
from ringway.engine.kernel.trial cimport *
from ringway.engine.kernel.rights cimport *
