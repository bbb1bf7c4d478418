"""The header of `base`: modules of higher folders import it as a whole. Each module's .pxd explains its names."""
from ringway.engine.base.check cimport *
from ringway.engine.base.atomics cimport *
from ringway.engine.base.octets cimport *
from ringway.engine.base.outcome cimport *
from ringway.engine.base.spans cimport *
from ringway.engine.base.dates cimport *
from ringway.engine.base.clock cimport *
from ringway.engine.base.counters cimport *
from ringway.engine.base.poison cimport *
from ringway.engine.base.buffers cimport *
from ringway.engine.base.timers cimport *
from ringway.engine.base.slots cimport *
from ringway.engine.base.records cimport *
