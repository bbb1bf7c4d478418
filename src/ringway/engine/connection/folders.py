"""Look up and replace folders; find paths below them."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint64_t
from cython.cimports.libc.stdlib import calloc
from cython.cimports.libc.string import memcmp, memcpy, memmove, memset, strlen
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
    readlinkat,
    stat_at,
    statx_t,
)


def folder_due(w, folder):
    return folder.looks == 0 or w.clock.now_ms - folder.looked_ms >= w.snapshot.timeouts.file_valid_ms >> 1


def folder_lost(w, folder):
    if folder.fd < 0 or folder.gone:
        return True
    return folder.error != 0 and w.clock.now_ms - folder.found_ms >= w.snapshot.timeouts.file_valid_ms


def folder_look(w, folder):
    memset(address(folder.how), 0, sizeof(folder.how))
    folder.how.flags = O_PATH | O_CLOEXEC
    folder.looking = True
    folder.looks += 1
    folder.looked_ms = w.clock.now_ms


def folder_found(w, folder, result):
    folder.looking = False
    if result < 0:
        if result == -ENOENT or result == -ENOTDIR or (folder.fd < 0 and folder.error == 0):
            folder.error = -result
        return
    folder.error = 0
    folder.gone = False
    folder.found_ms = folder.looked_ms
    exchange_folder(folder, result)


def folder_take(w, folder, result):
    was_gone: cython.bint = folder.gone or folder.fd < 0
    folder.looked_ms = w.clock.now_ms
    if result < 0:
        folder.error = -result
        folder.gone = True
        return not was_gone
    folder.error = 0
    folder.gone = False
    folder.found_ms = folder.looked_ms
    return exchange_folder(folder, result) or was_gone


def exchange_folder(folder, result):
    device: uint64_t = 0
    inode: uint64_t = 0
    if folder.fd >= 0 and folder.inode == 0:
        identify(folder.fd, address(folder.device), address(folder.inode))  # as it was handed over
    if not identify(result, address(device), address(inode)) or (
        folder.fd >= 0 and folder.inode == inode and folder.device == device
    ):
        close(result)
        return False
    folder.device = device
    folder.inode = inode
    folder.version += 1
    if folder.fd < 0:
        folder.fd = result
    else:
        dup3(result, folder.fd, O_CLOEXEC)
        close(result)
    return True


def identify(fd, device, inode):
    found: statx_t
    if stat_at(fd, b"", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, address(found)) < 0:
        return False
    device[0] = (cast(uint64_t, found.stx_dev_major) << 32) | found.stx_dev_minor
    inode[0] = found.stx_ino
    return True


def path_below(folder, fd):
    outer: cython.char[LINK_BYTES_MAX]
    inner: cython.char[LINK_BYTES_MAX]
    inner_length: cython.int = link_of(fd, inner)
    begin: cython.int = below(outer, link_of(folder, outer), inner, inner_length)
    if begin < 0:
        return NULL
    if begin == inner_length:
        return copy_path(cast(cython.p_char, b"."), 1)
    return copy_path(inner + begin, inner_length - begin)


def path_by_text(folder, path):
    text: cython.char[LINK_BYTES_MAX]
    link: cython.char[LINK_BYTES_MAX]
    length: cython.int = cast(cython.int, strlen(path))
    begin: cython.int = 0  # of the current name; there are no links before it
    end: cython.int
    skip: cython.int
    said: cython.int
    place: cython.int
    last: cython.char
    steps: cython.int
    linked: cython.bint = False
    memcpy(text, path, length + 1)
    for steps in range(LINK_STEPS_MAX):
        if begin >= length:
            break
        end = begin
        while end < length and text[end] != b"/":
            end += 1
        last = text[end]
        text[end] = 0
        said = cast(cython.int, readlinkat(folder.fd, text, link, LINK_BYTES_MAX))
        text[end] = last
        if said < 0:
            begin = end + 1
            continue
        place = begin
        skip = 0
        if link[0] == b"/":
            place = 0
            skip = inside(folder, link, said)
            if skip == said:
                link[0] = b"."
                said = 1
                skip = 0
        if skip < 0 or place + said - skip + length - end >= LINK_BYTES_MAX:
            break
        memmove(text + place + said - skip, text + end, length - end + 1)
        memcpy(text + place, link + skip, said - skip)
        length += place + said - skip - end
        begin = place
        linked = True
    return copy_path(text, length) if linked else NULL


def inside(folder, path, length):
    """Compare with the folder's path in the configuration, and with its path without links."""
    real: cython.char[LINK_BYTES_MAX]
    found: cython.int = below(folder.path, cast(cython.int, strlen(folder.path)), path, length)
    return found if found >= 0 else below(real, link_of(folder.fd, real), path, length)


def below(outer, outer_length, inner, inner_length):
    begin: cython.int
    if outer_length == 1:
        outer_length = 0  # "/"
    if outer_length < 0 or inner_length < outer_length or memcmp(inner, outer, outer_length) != 0:
        return -1
    if inner_length > outer_length and inner[outer_length] != b"/":
        return -1
    begin = outer_length
    while begin < inner_length and inner[begin] == b"/":
        begin += 1
    return begin


def copy_path(path, length):
    copy: cython.p_char = cast(cython.p_char, calloc(length + 1, 1))
    if copy != NULL:
        memcpy(copy, path, length)
    return copy


def link_of(fd, out):
    """The path of a descriptor; returns its length. -1: the path is too long, or there is no /proc."""
    name: cython.char[40]
    p: cython.p_char = put(name, b"/proc/self/fd/", 14)
    n: cython.Py_ssize_t
    p = put_number(p, cast(uint64_t, fd))
    p[0] = 0
    n = readlink(name, out, LINK_BYTES_MAX)
    return -1 if n <= 0 or n == LINK_BYTES_MAX or out[0] != b"/" else cast(cython.int, n)
