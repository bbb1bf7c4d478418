"""The header of `http`: modules of higher folders import it as a whole. Each module's .pxd explains its names."""
from ringway.engine.http.fields cimport *
from ringway.engine.http.request_head cimport *
from ringway.engine.http.response_head cimport *
from ringway.engine.http.chunked cimport *
from ringway.engine.http.bodies cimport *
from ringway.engine.http.paths cimport *
from ringway.engine.http.forwarded cimport *
from ringway.engine.http.ranges cimport *
from ringway.engine.http.heads cimport *
from ringway.engine.http.proxy_header cimport *
