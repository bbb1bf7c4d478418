"""Whom workers become: what is asked for, what this machine has, and what root may do here."""

import os
import stat

import pytest

from ringway.config.model import Server
from ringway.control.machine import account
from ringway.control.machine.account import Account, account_for, warnings


def server(**keys: str) -> Server:
    return Server.model_validate({"listen": "127.0.0.1:0", **keys})


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """As root with every capability, in the first user namespace."""
    files = {
        "/proc/self/status": ["Name:\tx", "CapEff:\t000001ffffffffff"],
        "/proc/self/setgroups": ["allow"],
        "/proc/self/uid_map": ["0 0 4294967295"],
        "/proc/self/gid_map": ["0 0 4294967295"],
    }
    monkeypatch.setattr(account, "_lines", lambda path: files[path])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return files


def test_nobody_by_default(proc: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_DEFAULTS", ("no-such-user", "nobody"))
    found, problems = account_for(server())
    assert found is not None
    assert (found.user, problems, warnings(server())) == ("nobody", [], [])
    assert found.gid in found.groups


def test_by_number(proc: dict[str, list[str]]) -> None:
    found, _ = account_for(server(user="4242", group="4243"))
    assert found is not None
    assert (found.uid, found.gid, found.groups) == (4242, 4243, (4243,))


def test_who_is_not_there(proc: dict[str, list[str]]) -> None:
    found, problems = account_for(server(user="no-such-user", group="no-such-group"))
    assert found is None
    assert [problem.key for problem in problems] == ["server.user", "server.group"]


@pytest.mark.parametrize(
    ("file", "lines", "why"),
    [
        ("status", ["CapEff:\t0000000000000000"], "CAP_KILL, CAP_SETGID, CAP_SETUID missing"),
        ("setgroups", ["deny"], "the user namespace denies setgroups"),
        ("uid_map", ["0 1000 1"], "the user namespace does not know "),
        ("gid_map", ["0 1000 1"], "the user namespace does not know "),
    ],
)
def test_where_root_cannot(proc: dict[str, list[str]], file: str, lines: list[str], why: str) -> None:
    """By default it then stays who it is, and says so; what was asked for is not left out without a word."""
    proc[f"/proc/self/{file}"] = lines
    assert account_for(server()) == (None, [])
    (line,) = warnings(server())
    assert line.sentence.startswith("workers run as root, without capabilities")
    assert why in line.sentence
    found, (problem,) = account_for(server(user="nobody"))
    assert found is None
    assert problem.key == "server.user"
    assert why in str(problem)


def test_root_may_be_asked_for(proc: dict[str, list[str]]) -> None:
    found, _ = account_for(server(user="root"))
    assert found is not None
    assert found.uid == 0
    (line,) = warnings(server(user="root"))
    assert str(line).startswith("server.user: workers run as root")


def test_only_root_becomes_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert account_for(server(user="root")) == (None, [])
    assert [str(line) for line in warnings(server(user="root"))] == [
        "server.user: this key is ignored: Ringway can run workers as another user only if root starts it"
    ]
    assert warnings(server(user="65534")) == []


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a/b", "a\n"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a user or group"):
        server(user=name)


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "rights", "may"),
    [
        (0o700, 5, 5, 7, True),
        (0o700, 6, 5, 1, False),
        (0o750, 6, 7, 5, True),
        (0o750, 6, 7, 2, False),
        (0o705, 6, 7, 5, False),  # the group's rights count, not those of others
        (0o755, 6, 8, 5, True),
        (0o750, 6, 8, 1, False),
    ],
)
def test_rights(mode: int, uid: int, gid: int, rights: int, may: bool) -> None:
    """`gid` is that of the file; the account is in 5 and 7."""
    about = os.stat_result((stat.S_IFDIR | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))
    assert Account(5, 5, (5, 7), "a", "a").may(about, rights) == may
