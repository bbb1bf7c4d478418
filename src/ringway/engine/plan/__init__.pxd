"""The header of `plan`: modules of higher folders import it as a whole. Each module's .pxd explains its names."""
from ringway.engine.plan.snapshot cimport *
from ringway.engine.plan.router cimport *
from ringway.engine.plan.ips cimport *
from ringway.engine.plan.addresses cimport *
