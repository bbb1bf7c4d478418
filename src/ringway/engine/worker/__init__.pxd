"""The header of `worker`. Modules of higher folders import it whole. The .pxd of each module explains its names."""
from ringway.engine.worker.loop cimport *
from ringway.engine.worker.worker cimport *
