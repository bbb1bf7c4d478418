"""The header of `exchange`. Modules of higher folders import it whole. The .pxd of each module explains its names."""
from ringway.engine.exchange.exchange cimport *
from ringway.engine.exchange.tunnel cimport *
from ringway.engine.exchange.forward cimport *
from ringway.engine.exchange.proxy cimport *
from ringway.engine.exchange.serve cimport *
from ringway.engine.exchange.request cimport *
