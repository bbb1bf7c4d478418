"""Folders: looked up again, exchanged; paths below them."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint64_t
from cython.cimports.libc.stdlib import calloc
from cython.cimports.libc.string import memcmp, memcpy, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.native.linux import (
    AT_EMPTY_PATH,
    AT_STATX_DONT_SYNC,
    ENOENT,
    ENOTDIR,
    O_CLOEXEC,
    O_PATH,
    STATX_INO,
    close,
    dup3,
    readlink,
    stat_at,
    statx_t,
)


def folder_due(w, folder):
    return folder.looks == 0 or w.clock.now_ms - folder.looked_ms >= w.snapshot.timeouts.file_valid_ms >> 1


def folder_lost(w, folder):
    if folder.fd < 0:
        return True
    return folder.error != 0 and w.clock.now_ms - folder.found_ms >= w.snapshot.timeouts.file_valid_ms


def folder_look(w, folder):
    memset(address(folder.how), 0, sizeof(folder.how))
    folder.how.flags = O_PATH | O_CLOEXEC
    folder.looking = True
    folder.looks += 1
    folder.looked_ms = w.clock.now_ms


def folder_found(w, folder, result):
    found: statx_t
    device: uint64_t
    folder.looking = False
    if result < 0:
        if folder.fd < 0 or result == -ENOENT or result == -ENOTDIR:
            folder.error = -result
        return
    folder.error = 0
    folder.found_ms = folder.looked_ms
    if stat_at(result, b"", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, address(found)) < 0:
        close(result)
        return
    device = (cast(uint64_t, found.stx_dev_major) << 32) | found.stx_dev_minor
    if folder.fd >= 0 and folder.inode == found.stx_ino and folder.device == device:
        close(result)
        return
    folder.device = device
    folder.inode = found.stx_ino
    folder.version += 1
    if folder.fd < 0:
        folder.fd = result
    else:
        dup3(result, folder.fd, O_CLOEXEC)
        close(result)


def path_below(folder, fd):
    outer: cython.char[LINK_BYTES_MAX]
    inner: cython.char[LINK_BYTES_MAX]
    outer_length: cython.int = link_of(folder, outer)
    inner_length: cython.int = link_of(fd, inner)
    path: cython.p_char
    if outer_length == 1:
        outer_length = 0  # "/"
    if outer_length < 0 or inner_length <= outer_length + 1 or inner[outer_length] != SLASH:
        return NULL
    if memcmp(inner, outer, outer_length) != 0:
        return NULL
    path = cast(cython.p_char, calloc(inner_length - outer_length, 1))
    if path != NULL:
        memcpy(path, inner + outer_length + 1, inner_length - outer_length - 1)
    return path


def link_of(fd, out):
    """Where a descriptor leads; -1: that does not fit, or there is no /proc."""
    name: cython.char[40]
    p: cython.p_char = put(name, b"/proc/self/fd/", 14)
    n: cython.Py_ssize_t
    p = put_number(p, cast(uint64_t, fd))
    p[0] = 0
    n = readlink(name, out, LINK_BYTES_MAX)
    return -1 if n <= 0 or n == LINK_BYTES_MAX or out[0] != SLASH else cast(cython.int, n)
