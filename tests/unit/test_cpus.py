"""How many workers, on which CPUs: affinity and the quota of the control group, both versions."""

from pathlib import Path

import pytest

from ringway.control.machine import cpus


@pytest.mark.parametrize(
    ("threads", "count", "quota", "expected"),
    [(0, 4, None, 4), (0, 4, 1.5, 2), (0, 4, 0.1, 1), (0, 2, 8.0, 2), (6, 2, 0.5, 6), (1, 4, None, 1)],
)
def test_worker_count(threads: int, count: int, quota: float | None, expected: int) -> None:
    assert cpus.worker_count(threads, range(count), quota) == expected


def test_workers_are_pinned_round_robin_within_the_allowed_cpus() -> None:
    assert cpus.pin(5, [2, 3]) == [2, 3, 2, 3, 2]


def system(root: Path, groups: str, mounts: str, files: dict[str, str]) -> str:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    (root / "proc/self/mountinfo").write_text(mounts)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1 = "33 30 0:30 {root} /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"


def test_version_2_takes_the_least_on_the_way_up(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/a.slice/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/a.slice/b.service/cpu.max": "max 100000\n",
    }
    assert cpus.quota(system(tmp_path, "0::/a.slice/b.service\n", V2, files)) == 1.5


def test_version_2_in_a_container_sees_its_group_as_the_root(tmp_path: Path) -> None:
    assert cpus.quota(system(tmp_path, "0::/\n", V2, {"sys/fs/cgroup/cpu.max": "50000 100000\n"})) == 0.5


def test_a_group_that_cannot_be_seen_shows_as_the_top(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/cpu.max": "200000 100000\n"}
    assert cpus.quota(system(tmp_path, "0::/../../outer\n", V2, files)) == 2.0


def test_version_1(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/cpu,cpuacct/docker/x"
    files = {f"{folder}/cpu.cfs_quota_us": "250000\n", f"{folder}/cpu.cfs_period_us": "100000\n"}
    groups = "4:cpu,cpuacct:/docker/x\n0::/\n"
    assert cpus.quota(system(tmp_path, groups, V1.format(root="/"), files)) == 2.5


def test_version_1_in_a_container(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/cpu,cpuacct"
    files = {f"{folder}/cpu.cfs_quota_us": "100000\n", f"{folder}/cpu.cfs_period_us": "100000\n"}
    groups = "4:cpu,cpuacct:/docker/x\n"
    assert cpus.quota(system(tmp_path, groups, V1.format(root="/docker/x"), files)) == 1.0


@pytest.mark.parametrize("text", ["-1", "nonsense"])
def test_version_1_without_a_quota(tmp_path: Path, text: str) -> None:
    folder = "sys/fs/cgroup/cpu,cpuacct"
    files = {f"{folder}/cpu.cfs_quota_us": text, f"{folder}/cpu.cfs_period_us": "100000\n"}
    assert cpus.quota(system(tmp_path, "4:cpu,cpuacct:/\n", V1.format(root="/"), files)) is None


def test_no_control_groups_at_all(tmp_path: Path) -> None:
    assert cpus.quota(str(tmp_path)) is None


def test_this_machine_answers() -> None:
    assert cpus.allowed()
    found = cpus.quota()
    assert found is None or found > 0
