"""The user of the workers: not root, without capabilities, and everything still works."""

import os
import pwd
import shutil
from pathlib import Path

import pytest
from harness.memory import total
from harness.successors import end, successors
from harness.waiting import DEADLINE, wait

ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")
as_root = pytest.mark.skipif(not ROOT, reason="only root can switch to another user")


def status(pid):
    """Returns a field of a process by its name in proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


def site(folder, **more):
    """With the default of `[server] user`, which the harness changes otherwise."""
    server = {"listen": "127.0.0.1:0", "user": None, **more.pop("server", {})}
    return {"host_routes": {"*": {"type": "File", "path": folder}}, "server": server, **more}


@pytest.fixture
def folder(tmp_path):
    """A folder that every user can read, outside of pytest's folders, which only their owner can enter."""
    path = tmp_path / "site"
    path.mkdir()
    (path / "a").write_text("one")
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "a").write_text("two")
    return path


def test_workers_keep_no_privilege(ringway, folder):
    server = ringway(site(folder, server={"listen": "127.0.0.1:0", "threads": 2}))
    for pid in server.worker_pids:
        found = status(pid)
        assert {found[name][0] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
        assert found["NoNewPrivs"] == ["1"]
        if ROOT:
            assert found["CapBnd"] == ["0" * 16]


@as_root
def test_workers_are_nobody_and_the_supervisor_stays_root(ringway, folder):
    server = ringway(site(folder, server={"listen": "127.0.0.1:0", "user": "nobody"}))
    server.wait_line(rf"info workers run as nobody \(uid {NOBODY.pw_uid}\), group \w+ \(gid {NOBODY.pw_gid}\)$")
    (pid,) = server.worker_pids
    assert status(pid)["Uid"] == [str(NOBODY.pw_uid)] * 4
    assert status(pid)["Gid"] == [str(NOBODY.pw_gid)] * 4
    assert status(pid)["Groups"] == [str(NOBODY.pw_gid)]
    assert status(server.process.pid)["Uid"] == ["0"] * 4
    # Not dumpable: its files in /proc belong to root, so another worker cannot read its memory.
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    with server.connect() as client:
        assert client.get("/a").body == b"one"


@as_root
def test_the_default_is_another_user(ringway, folder):
    server = ringway(site(folder))
    (pid,) = server.worker_pids
    assert status(pid)["Uid"][0] != "0"
    assert any("info workers run as " in line for line in server.lines)


@as_root
def test_user_and_group_as_numbers(ringway, folder):
    server = ringway(site(folder, server={"listen": "127.0.0.1:0", "user": "4242", "group": "4243"}))
    (pid,) = server.worker_pids
    assert (status(pid)["Uid"][0], status(pid)["Gid"][0]) == ("4242", "4243")
    with server.connect() as client:
        assert client.get("/a").body == b"one"


def test_root_may_stay_root_if_that_is_said(ringway, folder):
    server = ringway(site(folder, server={"listen": "127.0.0.1:0", "user": str(os.geteuid())}))
    (pid,) = server.worker_pids
    assert status(pid)["Uid"][0] == str(os.geteuid())
    assert status(pid)["CapEff"] == ["0" * 16]


@pytest.mark.skipif(ROOT, reason="root is another matter")
def test_a_user_is_ignored_where_root_did_not_start_it(ringway, folder):
    server = ringway(site(folder, server={"listen": "127.0.0.1:0", "user": "root"}))
    server.wait_line(r"warning .*\.toml:\d+: server.user: this key is ignored")


@as_root
def test_reload_and_upgrade(ringway, folder, certificate):
    """Workers get new folders and certificates that they could not open themselves. Another user needs new workers."""
    server = ringway(site(folder, tls=certificate))
    pid = server.worker_pids[-1]
    server.reload(site(folder.parent / "next", tls=certificate))
    with server.connect(tls=True) as client:
        assert client.get("/a").body == b"two"
    assert server.worker_pids == [pid]
    as_other = {"listen": "127.0.0.1:0", "user": "4242"}
    server.reload(site(folder, tls=certificate, server=as_other))
    assert status(server.worker_pids[-1])["Uid"][0] == "4242"
    with server.connect(tls=True) as client:
        assert client.get("/a").body == b"one"
    server.rewrite(site(folder.parent / "next", tls=certificate, server=as_other))
    done = server.command("upgrade")
    assert done.returncode == 0, done.stderr
    try:
        with server.connect(tls=True) as client:
            assert client.get("/a").body == b"two"
        assert server.process.wait(3 * DEADLINE) == 0
    finally:
        for successor in successors(server):
            end(successor)


@as_root
def test_a_worker_that_died_has_the_folder_too(ringway, folder):
    """A restarted worker gets the folder that the path leads to now, which it could not walk itself."""
    server = ringway(site(folder))
    folder.rename(folder.parent / "before")
    (folder.parent / "next").rename(folder)
    server.expected.append("died: signal SIGKILL")
    os.kill(server.worker_pids[0], 9)
    server.wait_for(lambda: len(server.worker_pids) == 2, "a new worker")
    with server.connect() as client:
        assert client.get("/a").body == b"two"


@as_root
def test_a_folder_that_its_user_cannot_reach_is_followed(ringway, folder):
    """Within a second, however long `file_valid` is."""
    base = folder.parent
    base.chmod(0o700)
    (base / "current").symlink_to("site")
    config = site(base / "current", timeouts={"file_valid": 3600}, server={"listen": "127.0.0.1:0", "user": "nobody"})
    server = ringway(config)

    def becomes(*wanted):
        def got():
            with server.connect() as client:
                answer = client.get("/a")
            return (answer.status, answer.body) == wanted if len(wanted) == 2 else answer.status == wanted[0]

        wait(got, f"{wanted}")

    becomes(200, b"one")
    (base / "turned").symlink_to(base / "next")
    os.replace(base / "turned", base / "current")
    becomes(200, b"two")
    shutil.rmtree(base / "next")
    becomes(404)
    (base / "next").mkdir()
    (base / "next" / "a").write_text("three")
    becomes(200, b"three")
    (base / "site").rename(base / "before")
    (base / "next").rename(base / "away")
    becomes(404)  # the folder still exists, but at another path
    (base / "before").rename(base / "next")
    becomes(200, b"one")
    assert len(server.worker_pids) == 1


@as_root
@pytest.mark.parametrize("follow", [False, True])
def test_links_in_a_folder_that_its_user_cannot_reach(ringway, folder, follow):
    """Links are resolved, although the worker's user cannot walk there."""
    base = folder.parent
    base.chmod(0o700)
    (base / "current").symlink_to("site")
    (base / "site2").mkdir()  # a path with the same beginning as the folder's
    (base / "site2" / "a").write_text("beside")
    (folder / "v2" / "deep").mkdir(parents=True)
    (folder / "v2" / "b").write_text("inside")
    (folder / "v2" / "deep" / "up").symlink_to("../b")
    inside = {
        "file": folder / "v2" / "b",
        "named": base / "current" / "v2" / "b",
        "latest": base / "current" / "v2",
        "twice": folder / "latest" / "b",
        "near": "latest",
        "itself": base / "current",
        "slashes": f"{folder}//v2//b",
    }
    outside = {
        "out": base / "next" / "a",
        "dots": f"{folder}/../next/a",
        "beside": base / "site2" / "a",
        "near-out": "out",
        "round": "round",
        "spin": folder / "spin",
    }
    for name, target in [*inside.items(), *outside.items()]:
        (folder / name).symlink_to(target)
    (folder / "closed").write_text("closed")
    (folder / "closed").chmod(0o600)
    route = {"type": "File", "path": base / "current", "follow_links": follow}
    server = ringway({**site(folder, server={"listen": "127.0.0.1:0", "user": "nobody"}), "host_routes": {"*": route}})
    with server.connect() as client:
        for target in ("/file", "/named", "/latest/b", "/twice", "/near/b", "/itself/near/deep/up", "/slashes"):
            assert (target, client.get(target).body) == (target, b"inside")
        assert client.get("/latest").one("location") == "/latest/"
        assert client.get("/itself").one("location") == "/itself/"
        assert client.get("/latest/none").status == 404
        for target in ("/out", "/beside", "/near-out", "/closed", "/dots", "/spin"):
            assert (target, client.get(target).status) == (target, 403)
        assert client.get("/round").status == 404


@as_root
def test_what_its_user_may_not_read_is_told(ringway, folder):
    folder.chmod(0o700)
    server = ringway(site(folder, server={"listen": "127.0.0.1:0", "user": "nobody"}))
    server.wait_line(
        'warning .*: host_routes."\\*".path: workers run as nobody, which cannot enter .*; allow it: chmod o\\+rx '
    )
    with server.connect() as client:
        assert client.get("/a").status == 403


@as_root
def test_a_folder_that_is_made_again_leaves_everything_else_alone(ringway, folder, upstream):
    """The worker gets another descriptor: idle upstream connections stay, and what is known of other folders."""
    base = folder.parent
    base.chmod(0o700)
    origin = upstream()
    shutil.copytree(folder, base / "other")
    os.chmod(base / "other", 0o755)
    routes = {
        "dist": {"type": "File", "path": folder},
        "other": {"type": "File", "path": base / "other"},
        "api": {"type": "Proxy", "url": origin.url},
    }
    timeouts = {"file_valid": 3600, "keepalive": 3600}
    config = {
        **site(folder, server={"listen": "127.0.0.1:0", "user": "nobody"}, timeouts=timeouts),
        "host_routes": routes,
    }
    server = ringway(config)
    with server.connect() as client:
        assert client.get("/a", host="dist").body == b"one"
        assert client.get("/a", host="other").body == b"one"
        assert client.get("/", host="api").body == b"hello"
        opened = total(server, "file_opens")
        shutil.rmtree(folder)
        folder.mkdir()
        folder.chmod(0o755)
        (folder / "a").write_text("two")
        wait(lambda: client.get("/a", host="dist").body == b"two", "the new folder")
        assert total(server, "file_opens") > opened
        opened = total(server, "file_opens")
        assert client.get("/a", host="other").body == b"one"
        assert total(server, "file_opens") == opened
        assert client.get("/", host="api").body == b"hello"
    assert [request.link.number for request in origin.requests] == [0, 0]
