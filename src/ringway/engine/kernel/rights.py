"""Drops a worker's privileges."""

import os

import cython
from cython import address
from cython.cimports.libc.string import memset
from cython.cimports.ringway.engine.native.linux import (
    CAPABILITIES_MAX,
    LINUX_CAPABILITY_VERSION_3,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    SYS_capset,
    cap_user_data_t,
    cap_user_header_t,
    capset_call,
    errno,
    prctl,
)


def bounding_drop():
    i: cython.int
    for i in range(CAPABILITIES_MAX):
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0)  # EINVAL after the last one of this kernel


def capabilities_drop():
    header: cap_user_header_t
    none: cap_user_data_t[2]
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    memset(address(header), 0, cython.sizeof(header))
    memset(none, 0, cython.sizeof(none))
    header.version = LINUX_CAPABILITY_VERSION_3
    return -errno if capset_call(SYS_capset, address(header), address(none[0])) < 0 else 0


def privileges_seal():
    return -errno if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 else 0


def memory_hide():
    return -errno if prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 else 0


def give_up(user) -> None:
    """Switch to this user, `{"uid", "gid", "groups"}`, or keep the user (None), and drop all privileges. Raises
    OSError."""
    result: cython.int = 0
    bounding_drop()
    if user is not None:
        os.setgroups(user["groups"])
        os.setresgid(user["gid"], user["gid"], user["gid"])
        os.setresuid(user["uid"], user["uid"], user["uid"])
        result = memory_hide()
    if result == 0:
        result = capabilities_drop()
    if result == 0:
        result = privileges_seal()
    if result < 0:
        raise OSError(-result, os.strerror(-result))
