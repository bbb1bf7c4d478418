"""The socket of `ringway reload`: where it lies, who may ask, whose answer is believed, and what is shown of it."""

import contextlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringway.control.commands import commands, place
from ringway.control.commands.commands import Door, ask
from ringway.control.logs import logs
from ringway.errors import RingwayError

UID = os.geteuid()
FILE = "/etc/ringway/config.toml"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only one in which sockets may lie. Its path is short: that of a socket has 107 octets at most."""
    with tempfile.TemporaryDirectory(prefix="ringway-") as above:
        path = Path(above) / "ringway"
        monkeypatch.setattr(place, "folders", lambda uid: [str(path)])
        yield path


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(logs, "warning", lines.append)
    return lines


@pytest.fixture
def answering(folder: Path) -> Iterator[Callable[[bytes], None]]:
    """Somebody who has taken the socket's place and answers so."""
    folder.mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / place.name_of(FILE)))
        sock.listen(1)

        def answer(data: bytes) -> None:
            link, _ = sock.accept()
            with link, contextlib.suppress(OSError):
                link.recv(4096)
                link.sendall(data)

        threads: list[threading.Thread] = []

        def start(data: bytes) -> None:
            threads.append(threading.Thread(target=answer, args=(data,)))
            threads[-1].start()

        yield start
        for thread in threads:
            thread.join(10)


def test_its_file_is_for_the_owner_alone_and_goes_with_the_process(folder: Path, warned: list[str]) -> None:
    door = Door(FILE)
    (file,) = folder.iterdir()
    assert file.name == place.name_of(FILE)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    door.close()
    assert not list(folder.iterdir())
    assert not warned


def test_what_a_killed_one_left_is_replaced(folder: Path, warned: list[str]) -> None:
    killed = Door(FILE)
    assert killed.socket is not None
    killed.socket.close()
    door = Door(FILE)
    assert door.socket is not None
    door.close()
    assert not warned


def test_two_of_the_same_file(folder: Path, warned: list[str]) -> None:
    first, second = Door(FILE), Door(FILE)
    assert second.socket is None
    (line,) = warned
    assert line.endswith(f'use signals instead; is another Ringway running "{FILE}"?')
    second.close()
    assert len(list(folder.iterdir())) == 1
    first.close()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_not_used(folder: Path, warned: list[str], mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    assert Door(FILE).socket is None
    assert "there is no folder for its socket" in warned[0]
    assert not list(place.sockets_for(FILE))


def test_a_folder_below_one_that_others_can_write_is_not_used(folder: Path, warned: list[str]) -> None:
    folder.parent.chmod(0o777)
    assert Door(FILE).socket is None
    folder.parent.chmod(0o1777)
    door = Door(FILE)
    assert door.socket is not None
    door.close()


def test_only_a_folder_of_the_right_user_is_believed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    tmp_path.chmod(0o700)
    assert place.is_of(str(tmp_path), UID)
    assert not place.is_of(str(tmp_path), UID + 1)
    assert not place.is_of(str(tmp_path / "link"), UID)
    assert not place.is_of(str(tmp_path / "none"), UID)


def test_nobody_runs_it(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("")
    with pytest.raises(RingwayError, match="no running Ringway uses"):
        ask(str(file), "reload")


def test_the_file_does_not_exist(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RingwayError, match="/none: there is no such file; name the file that Ringway was started with"):
        ask(f"{tmp_path}/none", "reload")


def test_an_answer_is_harmless_to_a_terminal(answering: Callable[[bytes], None]) -> None:
    lines = ["\x1b]0;title\x07worker 0", "a\nb", "\u202e"]
    answering(json.dumps({"ok": True, "lines": lines}).encode() + b"\n")
    assert ask(FILE, "reload") == [r"\x1b]0;title\x07worker 0", r"a\x0ab", r"\xe2\x80\xae"]
    answering(json.dumps({"ok": False, "lines": lines}).encode() + b"\n")
    with pytest.raises(RingwayError) as error:
        ask(FILE, "reload")
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"5\n",
        b"{}\n",
        b"[]\n",
        b"x\n",
        b"[" * 90_000 + b"\n",
        b'{"ok": 1, "lines": []}\n',
        b'{"ok": true, "lines": "x"}\n',
    ],
    ids=lambda answer: answer[:20].decode(),
)
def test_an_answer_that_is_none(answering: Callable[[bytes], None], answer: bytes) -> None:
    answering(answer)
    with pytest.raises(RingwayError, match="not from a version of Ringway that this one understands"):
        ask(FILE, "reload")


def test_an_answer_of_somebody_else_is_not_believed(
    answering: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(b'{"ok": true, "lines": []}\n')
    monkeypatch.setattr(commands, "_uid_of", lambda link: UID + 1)
    with pytest.raises(RingwayError, match=f"user {UID + 1} answers at .* but does not own it: "):
        ask(FILE, "reload")


def test_who_may_not_ask_is_not_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(FILE)
    monkeypatch.setattr(commands, "_uid_of", lambda link: UID + 1)
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(folder / place.name_of(FILE)))
        assert door.accept() is None
        assert link.recv(1) == b""
    door.close()


def test_who_asks_slowly_does_not_hold_up_the_supervisor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its whole line has one deadline, however many pieces come of it."""
    monkeypatch.setattr(commands, "_ASK_WITHIN", 0.0)
    door = Door(FILE)
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(folder / place.name_of(FILE)))
        link.sendall(b'{"command"')
        asker = door.accept()
        assert asker is not None
        assert asker.command() == ""
        asker.answer(False, [])
    door.close()


def test_after_an_upgrade_the_file_is_the_successors(folder: Path) -> None:
    old = Door(FILE)
    assert old.socket is not None
    failed = Door(FILE, os.dup(old.socket.fileno()))
    failed.close()
    assert list(folder.iterdir())
    new = Door(FILE, os.dup(old.socket.fileno()))
    new.own()
    old.leave()
    assert list(folder.iterdir())
    new.close()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["\0ringway/old", "gone"])
def test_an_inherited_socket_that_nobody_could_find_is_not_used(folder: Path, name: str) -> None:
    path = name if name[0] == "\0" else str(folder.parent / name)
    inherited = socket.socket(socket.AF_UNIX)
    inherited.bind(path)
    if path[0] != "\0":
        os.unlink(path)
    door = Door(FILE, inherited.detach())
    assert door.socket is not None
    assert door.socket.getsockname() == str(folder / place.name_of(FILE))
    door.close()


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert place.folders(1000) == ["/run/ringway", "/run/user/7/ringway", "/run/user/1000/ringway", "/tmp/ringway-1000"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert place.folders(0) == ["/run/ringway", "/run/user/0/ringway", "/tmp/ringway-0"]
