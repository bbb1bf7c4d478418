"""What this machine has and allows.

CPUs and memory (`cpus`, `cgroups`, `room`), descriptors, shared memory (`memory`), which I/O driver works
(`io_driver`), what kernel TLS there is (`kernel_tls`), as whom workers run (`account`), files that change (`watching`).

May import: nothing else of `control`.
Begin with: `memory.py`.
"""
