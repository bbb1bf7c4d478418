"""What the machine has and allows.

CPUs (`cpus`), limits of the cgroup (`cgroups`), whether resources suffice (`room`), descriptors (`descriptors`), shared
memory (`memory`), which I/O driver works (`io_driver`), which kernel TLS is available (`kernel_tls`), the user of the
workers (`account`), and files that change (`watching`).

May import: nothing else of `control`.
Begin with: `memory.py`.
"""
