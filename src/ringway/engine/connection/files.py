"""Files: find, open, check, copy, evict."""

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.stdlib import calloc, free, malloc
from cython.cimports.libc.string import memcmp, memcpy, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection.folders import *
from cython.cimports.ringway.engine.connection.rules import *
from cython.cimports.ringway.engine.connection.state import *
from cython.cimports.ringway.engine.http import *
from cython.cimports.ringway.engine.kernel import *
from cython.cimports.ringway.engine.native.linux import (
    AT_FDCWD,
    EACCES,
    EAGAIN,
    EINTR,
    ELOOP,
    EMFILE,
    ENAMETOOLONG,
    ENFILE,
    ENOENT,
    ENOMEM,
    ENOTDIR,
    ENXIO,
    EPERM,
    EXDEV,
    F_SETFL,
    O_CLOEXEC,
    O_NOCTTY,
    O_NONBLOCK,
    O_PATH,
    O_RDONLY,
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    S_ISDIR,
    S_ISREG,
    close,
    fcntl,
)
from cython.cimports.ringway.engine.plan import *


def file_settled(f):
    return f.state == FILE_READY or f.state == FILE_FAILED


def file_reason(f):
    if f.error == ENOENT or f.error == ENOTDIR or f.error == ENAMETOOLONG or f.error == ELOOP:
        return FILE_NOT_FOUND
    elif f.error == EACCES or f.error == EPERM or f.error == EXDEV or f.error == ENXIO:
        return FILE_FORBIDDEN
    elif f.error == EMFILE or f.error == ENFILE:
        return TOO_MANY_OPEN_FILES
    elif f.error == ENOMEM:
        return OUT_OF_MEMORY
    return FILE_ERROR


# ----------------------------------------------------------------------------------------------------- opening


def file_open(w, root, path, length, kind, x):
    f: cython.pointer(File)
    hash: uint32_t = hash_path(w.salt, root, path, length)
    f = find_listed(w, x.rules, hash, root, path, length, kind)
    if f != NULL and file_settled(f) and w.clock.now_ms - f.checked_ms >= w.snapshot.timeouts.file_valid_ms:
        f = NULL  # begin_open() finds it again, for its copy
    if f == NULL:
        f = begin_open(w, x.rules, hash, root, path, length, kind)
        if f == NULL:
            return NULL
    else:
        count(w.counters, COUNT_FILE_HITS, 1)
        touch_file(w, f)
    file_refer(f)
    x.file = f
    if not file_settled(f):
        x.next_waiting = f.waiting
        f.waiting = x
    return f


def find_listed(w, rules, hash, root, path, length, kind):
    f: cython.pointer(File) = w.file_table[hash & w.file_mask]
    while f != NULL:
        if (
            f.hash == hash
            and f.root == root
            and f.rules == rules
            and f.kind == kind
            and f.path_length == length
            and memcmp(f.path, path, length) == 0
        ):
            return f
        f = f.next
    return NULL


def begin_open(w, rules, hash, root, path, length, kind):
    old: cython.pointer(File) = find_listed(w, rules, hash, root, path, length, kind)
    if old != NULL:
        file_refer(old)  # keep it until the new File has taken over its copy
        unlist_file(w, old)
    while w.files.used >= min(w.snapshot.limits.open_files, w.files_most):
        if not evict_one(w):
            break
    f: cython.pointer(File) = NULL
    if length < FILE_PATH_MAX:
        f = cast(cython.pointer(File), slot_take(address(w.files)))
    if f == NULL:
        if old != NULL:
            file_release(w, old)
        return NULL
    count(w.counters, COUNT_FILE_OPENS, 1)
    f.worker = w
    f.rules = rules_refer(rules)
    f.fd = -1
    f.hash = hash
    f.root = root
    f.kind = cast(cython.uchar, kind)
    f.path_length = length
    f.before = old
    if length:
        memcpy(f.path, path, length)
        f.path[length] = 0
    else:
        memcpy(f.path, b".", 2)
    list_file(w, f)
    if not kind & FILE_DOTS and has_dot_file(f.path, length):
        file_settle(w, f, FILE_FAILED, ENOENT)
    elif folder_due(w, address(rules.folders[root])):
        look(w, f, False)
    else:
        open_path(w, f)
    return f


def has_dot_file(path, length):
    """`.env`, `.git/config`, but not paths below the folder's `/.well-known` (RFC 8615)."""
    i: uint32_t
    for i in range(length):
        if path[i] == b"." and (i == 0 or path[i - 1] == b"/"):
            if i > 0 or length < 12 or memcmp(path, cast(cython.p_char, b".well-known/"), 12) != 0:
                return True
    return False


def look(w, f, anew):
    """Wait for a lookup of the folder: the one in flight, or, with `anew`, one that begins from now on."""
    folder: cython.pointer(Folder) = address(f.rules.folders[f.root])
    f.state = FILE_LOOKING
    f.look = folder.looks + (1 if anew or not folder.looking else 0)
    f.next_waiting = folder.waiting
    folder.waiting = f
    if folder.looking:
        return  # folder_looked() begins another one if necessary
    folder_look(w, folder)
    w.driver.open(
        address(w.driver),
        AT_FDCWD,
        folder.path,
        address(folder.how),
        tag_of(OP_FOLDER_OPEN, f.slot.index, f.slot.generation),
    )


def folder_looked(w, f, result):
    rules: cython.pointer(Rules) = rules_refer(f.rules)  # a File may release the last other reference
    folder: cython.pointer(Folder) = address(rules.folders[f.root])
    waiting: cython.pointer(File) = folder.waiting
    folder.waiting = NULL
    folder_found(w, folder, result)
    while waiting != NULL:
        f = waiting
        waiting = f.next_waiting
        f.next_waiting = NULL
        if f.look > folder.looks:
            look(w, f, False)
        elif f.tries and f.version == folder.version:
            file_settle(w, f, FILE_FAILED, f.error)
        elif folder_lost(w, folder):
            file_settle(w, f, FILE_FAILED, folder.error)
        else:
            open_path(w, f)
    rules_release(w, rules)


def open_path(w, f):
    folder: cython.pointer(Folder) = address(f.rules.folders[f.root])
    if folder_lost(w, folder):
        file_settle(w, f, FILE_FAILED, folder.error)
        return
    f.state = FILE_OPENING
    f.version = folder.version
    f.error = 0
    # O_NONBLOCK: opening a FIFO must not block.
    ask_open(w, f, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, not f.kind & FILE_FOLLOW)


def ask_open(w, f, flags, beneath):
    memset(address(f.how), 0, sizeof(f.how))
    f.how.flags = flags
    f.how.resolve = RESOLVE_NO_MAGICLINKS | (RESOLVE_BENEATH if beneath else 0)
    w.driver.open(
        address(w.driver),
        f.rules.folders[f.root].fd,
        f.target if f.target != NULL else f.path,
        address(f.how),
        tag_of(OP_FILE_OPEN, f.slot.index, f.slot.generation),
    )


def file_opened(w, f, result):
    if result == -EAGAIN or result == -EINTR:
        # openat2(2): with RESOLVE_BENEATH a concurrent rename gives EAGAIN. Try again.
        ask_open(w, f, f.how.flags, f.how.resolve & RESOLVE_BENEATH != 0)
    elif f.state == FILE_LINKING:
        link_opened(w, f, result)
    elif result == -EXDEV and not f.linked:
        # A link leads out of the folder, or is absolute and may lead inside. Find its target without opening it.
        f.linked = True
        f.state = FILE_LINKING
        ask_open(w, f, O_PATH | O_CLOEXEC, False)
    elif result == -EACCES and f.kind & FILE_FOLLOW and not f.linked:
        f.linked = True
        f.target = path_by_text(address(f.rules.folders[f.root]), f.path)
        if f.target == NULL:
            open_failed(w, f, EACCES)
        else:
            open_path(w, f)
    elif result < 0:
        open_failed(w, f, -result)
    else:
        f.fd = result
        gauge(w.counters, GAUGE_FILES, 1)
        f.state = FILE_STATING
        w.driver.stat(address(w.driver), f.fd, address(f.found), tag_of(OP_FILE_STAT, f.slot.index, f.slot.generation))


def link_opened(w, f, result):
    """Open the target by its own path below the folder, without links, so that no link can change in between.

    A target outside the folder is forbidden.
    """
    if result == -EACCES:
        f.target = path_by_text(address(f.rules.folders[f.root]), f.path)
    elif result < 0:
        open_failed(w, f, -result)
        return
    else:
        f.target = path_below(f.rules.folders[f.root].fd, result)
        close(result)
    if f.target == NULL:
        open_failed(w, f, EXDEV)
    else:
        open_path(w, f)


def open_failed(w, f, error):
    """Look the folder up again: another one may have replaced it, and the old one may be empty."""
    free(f.target)
    f.target = NULL
    if f.tries == FILE_TRIES or error == EMFILE or error == ENFILE or error == ENOMEM:
        file_settle(w, f, FILE_FAILED, error)
        return
    f.tries += 1
    f.linked = False
    f.error = error
    look(w, f, True)


def file_stated(w, f, result):
    if result < 0:
        file_settle(w, f, FILE_FAILED, -result)
        return
    if S_ISDIR(f.found.stx_mode):
        f.folder = True
        file_settle(w, f, FILE_READY, 0)
        return
    if not S_ISREG(f.found.stx_mode):
        file_settle(w, f, FILE_FAILED, EACCES)  # devices and FIFOs are not served
        return
    # A file system without non-blocking reads would return EAGAIN for ever.
    fcntl(f.fd, F_SETFL, 0)
    f.facts.size = f.found.stx_size
    f.facts.modified = f.found.stx_mtime.tv_sec
    f.facts.modified_ns = f.found.stx_mtime.tv_nsec
    f.facts.inode = f.found.stx_ino
    f.facts.changed = f.found.stx_ctime.tv_sec
    f.facts.changed_ns = f.found.stx_ctime.tv_nsec
    file_write_fields(w, f)
    if f.fields == NULL:
        file_settle(w, f, FILE_FAILED, ENOMEM)
        return
    inherit_copy(w, f)
    if f.copy != NULL or not f.kind & FILE_COPY or not begin_load(w, f):
        file_settle(w, f, FILE_READY, 0)


def file_settle(w, f, state, error):
    f.state = cast(cython.uchar, state)
    f.error = error
    # Valid since the folder's lookup: another folder may have replaced it after that.
    f.checked_ms = f.rules.folders[f.root].looked_ms
    free(f.target)
    f.target = NULL
    if error == EMFILE or error == ENFILE or error == ENOMEM:
        f.checked_ms = 0  # these errors may be over in a moment: the next request tries again
    if f.before != NULL:
        file_release(w, f.before)
        f.before = NULL
    file_refer(f)
    x: cython.pointer(Exchange)
    while f.waiting != NULL:
        x = f.waiting
        f.waiting = x.next_waiting
        x.next_waiting = NULL
        w.handlers.file_ready(w, x)
    file_release(w, f)


def file_write_fields(w, f):
    """Write the field lines that every response with this file has."""
    text: cython.char[512]
    p: cython.p_char = text
    f.media = media_type_of(f.rules.snapshot, f.path, f.path_length)
    p = put(p, b"Content-Type: ", 14)
    if f.media != NULL and f.media.value.length < 200:
        p = put(p, text_at(f.rules.snapshot, f.media.value), f.media.value.length)
    else:
        p = put(p, b"application/octet-stream", 24)
    p = put(p, b"\r\nLast-Modified: ", 17)
    # RFC 9110 8.8.2.1: not later than Date, by our clock.
    date_write(p, min(f.facts.modified, w.clock.wall_seconds))
    p += DATE_BYTES
    p = put(p, b"\r\nETag: ", 8)
    f.etag_length = cast(cython.uchar, etag_write(f.etag, address(f.facts)))
    p = put(p, f.etag, f.etag_length)
    p = put(p, b"\r\nAccept-Ranges: bytes\r\n", 24)
    f.length_at = cast(cython.ushort, p - text)
    p = put(p, b"Content-Length: ", 16)
    p = put_number(p, f.facts.size)
    p = put(p, b"\r\n", 2)
    f.fields_length = cast(cython.ushort, p - text)
    f.fields = cast(cython.p_char, malloc(f.fields_length))
    if f.fields != NULL:
        memcpy(f.fields, text, f.fields_length)


# ------------------------------------------------------------------------------------------------------ copies


def begin_load(w, f):
    """Begin to copy the file into memory. False: it is too large, or there is no room."""
    if f.facts.size == 0 or f.facts.size > w.snapshot.limits.memory_file_bytes:
        return False
    if f.facts.size > w.snapshot.limits.memory_bytes:
        return False
    while w.memory_bytes + f.facts.size > w.snapshot.limits.memory_bytes:
        if not evict_one(w):
            return False
    f.copy = cast(cython.p_char, malloc(f.facts.size))
    if f.copy == NULL:
        return False
    w.memory_bytes += f.facts.size
    gauge(w.counters, GAUGE_MEMORY_BYTES, cast(cython.int, f.facts.size))
    f.state = FILE_LOADING
    load_more(w, f)
    return True


def load_more(w, f):
    w.driver.read(
        address(w.driver),
        f.fd,
        f.copy + f.loaded,
        cast(uint32_t, f.facts.size) - f.loaded,
        f.loaded,
        tag_of(OP_FILE_LOAD, f.slot.index, f.slot.generation),
    )


def file_loaded(w, f, result):
    if result == -EAGAIN or result == -EINTR:
        load_more(w, f)
        return
    if result <= 0:
        # The file became shorter, or cannot be read: make no copy. Sending from the file will show which.
        drop_copy(w, f)
        file_settle(w, f, FILE_READY, 0)
        return
    f.loaded += cast(uint32_t, result)
    if f.loaded < f.facts.size:
        load_more(w, f)
        return
    file_settle(w, f, FILE_READY, 0)


def inherit_copy(w, f):
    old: cython.pointer(File) = f.before
    # Only if the old File is not being sent: a view of its copy holds a reference to it.
    if old == NULL or old.copy == NULL or old.references != 1 or old.loaded != old.facts.size:
        return
    if memcmp(address(old.facts), address(f.facts), sizeof(f.facts)) == 0:
        f.copy = old.copy
        f.loaded = old.loaded
        old.copy = NULL


def drop_copy(w, f):
    if f.copy == NULL:
        return
    free(f.copy)
    f.copy = NULL
    f.loaded = 0
    w.memory_bytes -= f.facts.size
    gauge(w.counters, GAUGE_MEMORY_BYTES, -cast(cython.int, f.facts.size))


# -------------------------------------------------------------------------------------------------- the table


def files_grow(w, most):
    buckets: uint32_t = 64
    table: cython.pointer(cython.pointer(File))
    while buckets < most * 2:
        buckets *= 2
    if w.file_table != NULL and buckets <= w.file_mask + 1:
        return 0
    table = cast(cython.pointer(cython.pointer(File)), calloc(buckets, sizeof(cython.p_void)))
    if table == NULL:
        return -ENOMEM
    files_forget(w)
    free(w.file_table)
    w.file_table = table
    w.file_mask = buckets - 1
    return 0


def hash_path(salt, root, path, length):
    # FNV-1a over the path; the salt keeps a client from choosing collisions.
    hash: uint32_t = (salt ^ root) * 16777619
    i: uint32_t
    for i in range(length):
        hash = (hash ^ cast(cython.uchar, path[i])) * 16777619
    return hash ^ (hash >> 15)


def list_file(w, f):
    chain: cython.pointer(cython.pointer(File)) = address(w.file_table[f.hash & w.file_mask])
    f.next = chain[0]
    chain[0] = f
    f.listed = True
    f.newer = NULL
    f.older = w.file_newest
    if f.older != NULL:
        f.older.newer = f
    else:
        w.file_oldest = f
    w.file_newest = f


def unlist_file(w, f):
    if not f.listed:
        return
    chain: cython.pointer(cython.pointer(File)) = address(w.file_table[f.hash & w.file_mask])
    while chain[0] != f:
        chain = address(chain[0].next)
    chain[0] = f.next
    if f.newer != NULL:
        f.newer.older = f.older
    else:
        w.file_newest = f.older
    if f.older != NULL:
        f.older.newer = f.newer
    else:
        w.file_oldest = f.newer
    f.listed = False
    if f.references == 0 and file_settled(f):
        destroy_file(w, f)


def touch_file(w, f):
    if f.newer == NULL:
        return
    f.newer.older = f.older
    if f.older != NULL:
        f.older.newer = f.newer
    else:
        w.file_oldest = f.newer
    f.newer = NULL
    f.older = w.file_newest
    f.older.newer = f
    w.file_newest = f


def evict_one(w):
    f: cython.pointer(File) = w.file_oldest
    while f != NULL and (f.references or not file_settled(f)):
        f = f.newer
    if f == NULL:
        return False
    unlist_file(w, f)
    return True


def file_release(w, f):
    BUG_ON(f.references == 0)
    f.references -= 1
    if f.references == 0 and not f.listed and file_settled(f):
        destroy_file(w, f)


def file_forget(w, x):
    at: cython.pointer(cython.pointer(Exchange)) = address(x.file.waiting)
    while at[0] != NULL:
        if at[0] == x:
            at[0] = x.next_waiting
            x.next_waiting = NULL
            return
        at = address(at[0].next_waiting)


def view_given(owner):
    f: cython.pointer(File) = cast(cython.pointer(File), owner)
    file_release(f.worker, f)


def destroy_file(w, f):
    drop_copy(w, f)
    free(f.fields)
    f.fields = NULL
    if f.fd >= 0:
        w.driver.close(address(w.driver), f.fd)
        gauge(w.counters, GAUGE_FILES, -1)
        f.fd = -1
    f.state = FILE_FREE
    rules_release(w, f.rules)
    f.rules = NULL
    slot_give(address(w.files), address(f.slot))


def files_forget(w):
    while w.file_oldest != NULL:
        unlist_file(w, w.file_oldest)


def files_forget_folder(w, root):
    f: cython.pointer(File) = w.file_oldest
    following: cython.pointer(File)
    while f != NULL:
        following = f.newer
        if f.root == root and f.rules == w.rules:
            unlist_file(w, f)
        f = following


def files_close(w):
    while evict_one(w):
        pass
