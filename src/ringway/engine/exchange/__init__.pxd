"""The header of `exchange`: a module of a higher folder imports it whole. What each name means stands in its module's .pxd."""
from ringway.engine.exchange.exchange cimport *
from ringway.engine.exchange.tunnel cimport *
from ringway.engine.exchange.proxy cimport *
from ringway.engine.exchange.serve cimport *
from ringway.engine.exchange.request cimport *
