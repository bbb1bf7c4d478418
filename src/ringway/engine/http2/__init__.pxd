"""The header of `http2`: a module of a higher folder imports all of it. The .pxd of each module documents its names."""
from ringway.engine.http2.huffman cimport *
from ringway.engine.http2.hpack_decode cimport *
from ringway.engine.http2.hpack_encode cimport *
from ringway.engine.http2.frames cimport *
from ringway.engine.http2.messages cimport *
