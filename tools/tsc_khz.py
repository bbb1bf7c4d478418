"""Prints the frequency of the CPU's time stamp counter (RDTSC) in kHz."""

import ctypes
import mmap
import time

# rdtsc; shl rdx, 32; or rax, rdx; ret
CODE = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"


def main() -> None:
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CODE)
    ticks = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    begin = time.monotonic_ns(), ticks()
    time.sleep(0.5)
    end = time.monotonic_ns(), ticks()
    print(round((end[1] - begin[1]) * 1_000_000 / (end[0] - begin[0])))


if __name__ == "__main__":
    main()
