"""The header of `plan`: a module of a higher folder imports it whole. What each name means stands in its module's .pxd."""
from ringway.engine.plan.snapshot cimport *
from ringway.engine.plan.router cimport *
from ringway.engine.plan.ips cimport *
from ringway.engine.plan.addresses cimport *
