"""HPACK of libnghttp2, called with ctypes: an oracle for tests. Workers never use it."""

import ctypes
import ctypes.util
from collections.abc import Iterable

Head = list[tuple[bytes, bytes]]

_library = ctypes.CDLL(ctypes.util.find_library("nghttp2") or "libnghttp2.so.14")
_library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
_library.nghttp2_hd_deflate_hd.restype = ctypes.c_ssize_t
_library.nghttp2_hd_deflate_bound.restype = ctypes.c_size_t

_EMIT, _FINAL = 2, 1


class Pair(ctypes.Structure):
    """nghttp2_nv."""

    _fields_ = (
        ("name", ctypes.POINTER(ctypes.c_uint8)),
        ("value", ctypes.POINTER(ctypes.c_uint8)),
        ("name_length", ctypes.c_size_t),
        ("value_length", ctypes.c_size_t),
        ("flags", ctypes.c_uint8),
    )


class Inflater:
    def __init__(self) -> None:
        self._state = ctypes.c_void_p()
        assert _library.nghttp2_hd_inflate_new(ctypes.byref(self._state)) == 0

    def __del__(self) -> None:
        _library.nghttp2_hd_inflate_del(self._state)

    def decode(self, block: bytes) -> Head | None:
        """Returns the head. None: the block is broken, and the inflater is no longer usable."""
        memory = ctypes.create_string_buffer(block, len(block) or 1)
        at, head = 0, []
        while True:
            pair, flags = Pair(), ctypes.c_int(0)
            used = _library.nghttp2_hd_inflate_hd2(
                self._state,
                ctypes.byref(pair),
                ctypes.byref(flags),
                ctypes.byref(memory, at),
                ctypes.c_size_t(len(block) - at),
                1,
            )
            if used < 0:
                return None
            at += used
            if flags.value & _EMIT:
                head.append(
                    (
                        ctypes.string_at(pair.name, pair.name_length),
                        ctypes.string_at(pair.value, pair.value_length),
                    )
                )
            if flags.value & _FINAL:
                _library.nghttp2_hd_inflate_end_headers(self._state)
                return head
            if used == 0 and not flags.value & _EMIT:
                return None


class Deflater:
    def __init__(self, table: int = 4096) -> None:
        self._state = ctypes.c_void_p()
        assert _library.nghttp2_hd_deflate_new(ctypes.byref(self._state), ctypes.c_size_t(table)) == 0

    def __del__(self) -> None:
        _library.nghttp2_hd_deflate_del(self._state)

    def resize(self, table: int) -> None:
        assert _library.nghttp2_hd_deflate_change_table_size(self._state, ctypes.c_size_t(table)) == 0

    def encode(self, head: Iterable[tuple[bytes, bytes]], secret: bool = False) -> bytes:
        head = list(head)
        pairs = (Pair * len(head))()
        kept = []
        for pair, (name, value) in zip(pairs, head, strict=True):
            for text, attribute in ((name, "name"), (value, "value")):
                memory = (ctypes.c_uint8 * (len(text) + 1)).from_buffer_copy(text + b"\0")
                kept.append(memory)
                setattr(pair, attribute, ctypes.cast(memory, ctypes.POINTER(ctypes.c_uint8)))
            pair.name_length, pair.value_length, pair.flags = len(name), len(value), int(secret)
        room = _library.nghttp2_hd_deflate_bound(self._state, pairs, ctypes.c_size_t(len(head)))
        out = ctypes.create_string_buffer(room + 64)
        n = _library.nghttp2_hd_deflate_hd(
            self._state, out, ctypes.c_size_t(room + 64), pairs, ctypes.c_size_t(len(head))
        )
        assert n >= 0
        return out.raw[:n]
