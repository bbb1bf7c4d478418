"""The steering program: the client's address selects the worker of a connection.

The kernel runs this classic BPF program for each new connection of an SO_REUSEPORT group. It returns the index of a
listener in the group, in the order of listen(). It reads the source address relative to the network header
(SKF_NET_OFF), because offset 0 is the TCP header.
"""

import ctypes
import socket
import struct

from ringway.control.logs import logs
from ringway.errors import reason_of

_SO_ATTACH_REUSEPORT_CBPF = 51
_NET = 0x1_0000_0000 - 0x100000  # SKF_NET_OFF: offsets from the network header start here
_LOAD_BYTE, _LOAD_WORD = 0x30, 0x20
_RSH, _XOR_X, _MUL, _MOD = 0x74, 0xAC, 0x24, 0x94
_JEQ, _JA, _TAX, _RETURN_A = 0x15, 0x05, 0x07, 0x16
_SPREAD = 0x9E3779B1  # odd, near 2^32 / golden ratio: neighbouring addresses land far apart


def program(listeners: int) -> bytes:
    """Returns the instructions for a group of this many listeners, as consecutive `struct sock_filter`. They use the
    whole IPv4 address, or the first 64 bits of an IPv6 address, because a client has a whole /64."""
    instructions = [
        (_LOAD_BYTE, 0, 0, _NET + 0),  # 0  version and header length
        (_RSH, 0, 0, 4),
        (_JEQ, 2, 0, 6),  # 2  IPv6 -> 5
        (_LOAD_WORD, 0, 0, _NET + 12),  # 3  IPv4 source
        (_JA, 0, 0, 4),  # 4  -> 9
        (_LOAD_WORD, 0, 0, _NET + 8),  # 5  IPv6 source, bytes 0-3
        (_TAX, 0, 0, 0),
        (_LOAD_WORD, 0, 0, _NET + 12),  # 7  bytes 4-7
        (_XOR_X, 0, 0, 0),
        (_MUL, 0, 0, _SPREAD),  # 9
        (_RSH, 0, 0, 16),
        (_MOD, 0, 0, listeners),
        (_RETURN_A, 0, 0, 0),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def attach(listener: socket.socket, listeners: int) -> None:
    """Attaches the program to the group of `listener`. The whole group must listen already: before that, the program
    would make listen() fail. Raises OSError if the kernel rejects it."""
    code = ctypes.create_string_buffer(program(listeners))
    # struct sock_fprog: a count, padding, a pointer.
    fprog = struct.pack("@HP", len(code) // 8, ctypes.addressof(code))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, fprog)


def attach_all(groups: list[list[socket.socket]]) -> bool:
    """Attaches the program to every group (the listeners of one address, in worker order). If the kernel rejects it,
    logs a warning, keeps the kernel's own balancing, and returns False."""
    try:
        for group in groups:
            if len(group) > 1:
                attach(group[0], len(group))
    except OSError as error:
        logs.warning(
            f'reuseport_balancing = "cbpf" is not available ({reason_of(error)}), the kernel balances; needs Linux 4.6'
        )
        return False
    return True
