"""The steering program: a connection goes to the worker that its client's address names.

A classic BPF program, run by the kernel for each new connection of an SO_REUSEPORT group; what it returns is the
index of a listener in the group, which is the order of listen(). It reads the source address relative to the network
header (SKF_NET_OFF): from offset 0 on it would see the TCP header.
"""

import ctypes
import socket
import struct

from ringway.control.logs import logs
from ringway.errors import reason_of

_SO_ATTACH_REUSEPORT_CBPF = 51
_NET = 0x1_0000_0000 - 0x100000  # SKF_NET_OFF: offsets from here count from the network header
_LOAD_BYTE, _LOAD_WORD = 0x30, 0x20
_RSH, _XOR_X, _MUL, _MOD = 0x74, 0xAC, 0x24, 0x94
_JEQ, _JA, _TAX, _RETURN_A = 0x15, 0x05, 0x07, 0x16
_SPREAD = 0x9E3779B1  # odd, near 2^32 / golden ratio: neighbouring addresses land far apart


def program(listeners: int) -> bytes:
    """The instructions for a group of so many listeners: `struct sock_filter` one after the other. IPv4: the whole
    address; IPv6: its first 64 bits, which is what one client has."""
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
    """Gives the program to the group of `listener`. Only when the whole group listens: attached earlier it would
    make listen() fail. Raises OSError where the kernel refuses."""
    code = ctypes.create_string_buffer(program(listeners))
    # struct sock_fprog: a count, padding, a pointer.
    fprog = struct.pack("@HP", len(code) // 8, ctypes.addressof(code))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, fprog)


def attach_all(groups: list[list[socket.socket]]) -> bool:
    """Steers every group (the listeners of one address, in worker order). Where the kernel refuses, the kernel's own
    balancing stays, with one warning; then False."""
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
