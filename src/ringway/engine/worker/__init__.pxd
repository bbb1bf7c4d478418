"""The header of `worker`: a module of a higher folder imports it whole. What each name means stands in its module's .pxd."""
from ringway.engine.worker.loop cimport *
from ringway.engine.worker.worker cimport *
