"""The choice of the I/O driver: the trial itself, and what is said about a failure."""

import errno
from pathlib import Path

import pytest

from ringway.control.machine import io_driver
from ringway.control.machine.io_driver import Trial
from ringway.engine.kernel import trial


def test_epoll_passes_the_same_trial() -> None:
    assert trial.probe("epoll") == {"features": ["edge-triggered"]}


@pytest.mark.skipif("error" in trial.probe("io_uring"), reason="there is no io_uring here")
def test_the_trial_of_io_uring() -> None:
    assert trial.probe("io_uring")["features"][:3] == [
        "multishot accept",
        "multishot receive",
        "provided buffer rings",
    ]


@pytest.mark.parametrize("name", ["io_uring", "epoll"])
def test_a_trial_leaves_no_descriptor(name: str) -> None:
    trial.probe(name)  # whatever the first one loads
    before = sorted(entry.name for entry in Path("/proc/self/fd").iterdir())
    trial.probe(name)
    assert sorted(entry.name for entry in Path("/proc/self/fd").iterdir()) == before


def test_the_sysctl_is_named(tmp_path: Path) -> None:
    file = tmp_path / "io_uring_disabled"
    file.write_text("2\n")
    found = io_driver.failed(errno.EPERM, "setting it up", str(file))
    assert found.why == "setting it up: Operation not permitted, kernel.io_uring_disabled is 2"
    assert found.remedy == "sysctl kernel.io_uring_disabled=0"


@pytest.mark.parametrize(
    ("error", "why", "remedy"),
    [
        (
            errno.EPERM,
            "Operation not permitted, a seccomp filter blocks it, as in many containers",
            "io_uring_setup",
        ),
        (errno.ENOSYS, "Function not implemented, a seccomp filter blocks it", "io_uring_setup"),
        (errno.EINVAL, "Invalid argument, Linux ", "use Linux 6.1 or later"),
        (errno.ENOMEM, "Cannot allocate memory", "raise the memory limit"),
    ],
)
def test_what_forbids_it_under_a_filter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: int, why: str, remedy: str
) -> None:
    monkeypatch.setattr(io_driver, "_is_filtered", lambda: True)
    found = io_driver.failed(error, "receiving", str(tmp_path / "missing"))
    assert found.why.startswith(f"receiving: {why}")
    assert remedy in found.remedy


def test_a_kernel_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(io_driver, "_is_filtered", lambda: False)
    found = io_driver.failed(errno.ENOSYS, "setting it up", str(tmp_path / "missing"))
    assert found == Trial(why=found.why, remedy="use Linux 6.1 or later, with CONFIG_IO_URING")
    assert "lacks operations that Ringway needs" in found.why
