"""Executes another program without permission for system calls of io_uring:

    python refuse_io_uring.py io_uring_setup[,...] PROGRAM [ARGUMENT ...]

A seccomp filter makes them fail with EPERM, like the default profiles of containers. Child processes inherit it.
"""

import ctypes
import os
import struct
import sys

NUMBERS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
"""The same on every architecture."""

_EPERM = 1
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_LOAD_NUMBER, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def refuse(numbers: list[int]) -> None:
    """Makes these system calls fail, in this process and in its children."""
    steps = [(_LOAD_NUMBER, 0, 0, 0)]  # the number is the first member of struct seccomp_data
    for place, number in enumerate(numbers):
        steps.append((_IF_EQUAL, len(numbers) - place, 0, number))  # to the last step
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    prctl = libc.prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    refuse([NUMBERS[name] for name in sys.argv[1].split(",")])
    os.execvp(sys.argv[2], sys.argv[2:])
