"""Checks whether the machine has enough memory and descriptors for the limits of the configuration."""

from ringway.config.model import Config, FileRoute
from ringway.control.machine import cgroups

_MIB = 1 << 20
_SUPERVISOR_BYTES = 32 * _MIB
_WORKER_BYTES = 8 * _MIB
"""Memory without connections. Measured: 20 to 25 MiB for the supervisor and 7 MiB for a worker. The test with 64 MiB
fails if they need more."""
FEW_DESCRIPTORS = 4096
"""As in engine/worker/worker.pxd: a worker divides fewer descriptors between clients, upstreams and files."""


def warnings(config: Config, workers: int, files: int) -> list[str]:
    """Returns what is insufficient, with remedies. `files`: the number of descriptors that each worker can open."""
    return [*_memory(config, workers, cgroups.memory_most()), *_descriptors(files)]


def _memory(config: Config, workers: int, most: int | None) -> list[str]:
    below = [route for paths in config.path_routes.values() for route in paths.values()]
    routes = [*config.host_routes.values(), *below]
    copies = any(isinstance(route, FileRoute) and route.mode == "memory" for route in routes)
    bounds = config.limits.buffer_bytes + (config.limits.memory_bytes if copies else 0)
    base = _SUPERVISOR_BYTES + workers * _WORKER_BYTES
    need = base + workers * bounds
    if most is None or need <= most:
        return []
    who = f"{workers} worker{'s' if workers > 1 else ''}"
    said = f"{most // _MIB} MiB of memory are allowed here, and {who} can use {need // _MIB} MiB"
    # The rest is for connections, TLS, and socket buffers, which the kernel counts as well.
    share = (most - base) // workers // (4 if copies else 2) // _MIB
    if share < 1:
        return [f"{said}; under load the kernel may kill them: allow {-(-(base + workers * 4 * _MIB) // _MIB)} MiB"]
    keys = [f"buffer_bytes = {share * _MIB}", *([f"memory_bytes = {share * _MIB}"] if copies else [])]
    return [f"{said}; under load the kernel may kill them: set [limits] {', '.join(keys)}, or allow more"]


def _descriptors(files: int) -> list[str]:
    if files >= FEW_DESCRIPTORS:
        return []
    return [
        f"each worker can open only {files} files; more connections wait when all are in use; raise the limit "
        "(LimitNOFILE= of a systemd unit, --ulimit nofile= of a container, ulimit -n)"
    ]
