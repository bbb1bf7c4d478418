"""The programs that the benchmark needs: finds, builds, or installs them with apt-get if allowed."""

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.processes import BenchError

_LIMITS = Path(__file__).with_name("limits")
_PACKAGES = {"nginx": "nginx-light", "wrk": "wrk", "cc": "gcc", "openssl": "openssl"}


def find(name: str) -> str | None:
    """Returns the path of a program. Also looks in /usr/sbin, where Debian installs nginx."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")


def need_programs(names: list[str], may_install: bool) -> None:
    """Installs missing programs, or raises BenchError."""
    missing = [name for name in names if not find(name)]
    if missing:
        _install([_PACKAGES[name] for name in missing], may_install)
    if missing := [name for name in names if not find(name)]:
        raise BenchError(f"still missing after the installation: {', '.join(missing)}")


def build_limits(folder: Path, may_install: bool) -> tuple[Path, Path]:
    """Compiles relay and origin into `folder`. Returns their paths."""
    if not Path("/usr/include/liburing.h").exists():
        _install(["liburing-dev"], may_install)
    built = []
    for name in ("relay", "origin"):
        program = folder / name
        command = ["cc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(_LIMITS / f"{name}.c"), "-luring"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise BenchError(f"{name}.c does not compile:\n{ran.stderr.strip()}")
        built.append(program)
    return built[0], built[1]


def _install(packages: list[str], may_install: bool) -> None:
    listed = " ".join(packages)
    apt = shutil.which("apt-get")
    if not (may_install and apt and os.geteuid() == 0):
        raise BenchError(
            f"missing: {listed}. On Debian and Ubuntu: sudo apt-get install {listed}. "
            "On Fedora and Arch the packages are nginx, wrk, gcc, openssl and liburing(-devel)."
        )
    print(f"installing {listed} with apt-get", flush=True)
    for command in ([apt, "update", "-qq"], [apt, "install", "-y", "-qq", "--no-install-recommends", *packages]):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if ran.returncode:
            raise BenchError(f"`{' '.join(command)}` failed:\n{ran.stderr.strip()[-1000:]}")
