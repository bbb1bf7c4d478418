"""The header of `http2`: a module of a higher folder imports it whole. What each name means stands in its module's .pxd."""
from ringway.engine.http2.huffman cimport *
from ringway.engine.http2.hpack_decode cimport *
from ringway.engine.http2.hpack_encode cimport *
from ringway.engine.http2.frames cimport *
from ringway.engine.http2.messages cimport *
