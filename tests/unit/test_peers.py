"""Files for upstreams with TLS: what workers are handed, and what happens when they change."""

import datetime
import queue
import random
from pathlib import Path
from typing import Any

import pytest
from harness.authority import Authority

from ringway.control.certificates import expiry, peers
from ringway.control.certificates.peers import Peer, Watch, load
from ringway.control.logs import logs
from ringway.control.machine import watching
from ringway.engine.tls import peers as block


def tls(authority: Path | None = None, pair: tuple[Path, Path] | None = None, **more: Any) -> dict[str, Any]:
    shown = {"certificate": str(pair[0]), "key": str(pair[1])} if pair else {"certificate": None, "key": None}
    about = {"name": "h.example", "address": False, "verify": True, "authorities": authority and str(authority)}
    return {**about, **shown, **more}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_what_the_files_say(authority: Authority) -> None:
    pair = authority.issue(["client"], client=True)
    found, problems = load([None, tls(authority.path, pair), tls(authority.path, verify=False)])
    assert problems == []
    assert found[0] is None
    key = bytearray(pair[1].read_bytes())
    trusted = authority.path.read_bytes()
    assert found[1] == Peer("h.example", False, True, trusted, pair[0].read_bytes(), key)
    assert found[2] == Peer("h.example", False, False, None, None, None)


def test_the_authorities_of_the_system_are_read_where_they_are_asked(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    found, problems = load([tls()])
    assert problems == []
    assert found[0] is not None
    assert found[0].authorities == authority.path.read_bytes()
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    assert "no trusted authorities" in str(load([tls()])[1])
    assert load([tls(verify=False)])[1] == []


def test_what_is_wrong_names_the_file_and_keeps_the_old(authority: Authority) -> None:
    pair = authority.issue(["client"], client=True)
    plan = [tls(authority.path, pair), tls(authority.path)]
    old, _ = load(plan)
    pair[1].write_text("nonsense")
    found, problems = load(plan, old)
    assert found == old
    (problem,) = map(str, problems)
    assert problem.startswith(f'key_path: "{pair[1]}" has no private key in PEM form')
    assert load(plan)[0] == [None, old[1]]


def test_what_expires_soon(tmp_path: Path) -> None:
    """A file of authorities with the last of them; a certificate of ours. Each is told once."""
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    long, short = (Authority(tmp_path, name, lasting=n * day) for name, n in {"long": 80, "short": 30}.items())
    both = tmp_path / "both.pem"
    both.write_bytes(long.path.read_bytes() + short.path.read_bytes())
    pair = long.issue(["client"], client=True, lasting=50 * day)
    plan = [None, tls(both), tls(short.path), tls(short.path), tls(both, pair), tls(verify=False)]
    found, problems = load(plan)
    assert problems == []
    assert peers.expiring(plan, found, now) == []
    (line,) = peers.expiring(plan, found, now + 25 * day)
    about = f'upstream h.example: "{short.path}" (the last of its authorities)'
    assert line.startswith(f"{about} expires on ")
    assert line.endswith(" in 4 days; renew it")
    lines = peers.expiring(plan, found, now + 40 * day)
    assert lines[0].startswith(f"{about} expired on ")
    assert lines[1].startswith(f'upstream h.example: "{pair[0]}" expires on ')
    assert len(lines) == 2
    assert len(peers.expiring(plan, found, now + 70 * day)) == 3


def test_the_block_says_once_what_many_have(authority: Authority) -> None:
    one = (1, 0, False, True, "a.example", b"certificate", b"key")
    data = block.build([None, one, (2, 0, True, True, "10.0.0.1", None, None)], [b"x" * 1000])
    assert block.valid(data)
    assert len(data) < 1500
    assert data.count(b"x" * 1000) == 1
    assert b"a.example\0" in data
    assert block.valid(block.build([], []))


def test_a_block_that_was_cut_or_changed(authority: Authority) -> None:
    """Refused, or taken without reading outside of it (`make sanitize`)."""
    data = block.build([(1, 0, False, True, "a.example", b"certificate", b"key")], [b"x" * 50])
    for end in range(len(data)):
        assert not block.valid(data[:end])
    chance = random.Random(1)
    for _ in range(2000):
        broken = bytearray(data)
        broken[chance.randrange(len(data))] = chance.randrange(256)
        block.valid(broken)


@pytest.fixture
def watched(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.02)
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    blocks: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    monkeypatch.setattr(logs, "_write", lambda level, message: said.put(f"{level} {message}"))
    pairs = [authority.issue(["client"], client=True) for _ in range(2)]
    plan = [tls(authority.path, pair) for pair in pairs]
    found, _ = load(plan)
    watch = Watch(plan, found, blocks.put)
    watch.start()
    yield authority, pairs, found, said, blocks, watch
    watch.stop()


def test_new_files_are_taken_and_the_old_key_is_wiped(watched) -> None:
    authority, pairs, found, said, blocks, watch = watched
    before = watch.block()
    kept, old = found[0].key, found[1].key
    new = authority.issue(["client"], client=True)
    for source, target in zip(new, pairs[1], strict=True):
        source.replace(target)
    assert "info upstream h.example: new files are in use" in said.get(timeout=20)
    changed = blocks.get(timeout=20)
    assert pairs[1][1].read_bytes() in changed
    assert pairs[1][1].read_bytes() not in before
    assert pairs[0][1].read_bytes() in changed
    watch.stop()
    assert set(old) == {0}
    assert set(kept) == {0}  # read again, and the same: one of them stays
    assert watch.block() == changed


def test_a_key_that_others_may_read_is_told(watched) -> None:
    authority, pairs, _, said, _, _ = watched
    new = authority.issue(["client"], client=True)
    new[1].chmod(0o644)
    for source, target in zip(new, pairs[0], strict=True):
        source.replace(target)
    assert "new files are in use" in said.get(timeout=20)
    assert "users other than its owner can read this key (mode 644)" in said.get(timeout=20)


def test_what_expires_is_told_once_a_day(watched, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, pairs, _, said, _, _ = watched
    monkeypatch.setattr(expiry, "soon", lambda since, until: datetime.timedelta(days=1000))
    monkeypatch.setattr(watching, "DAY", 0.02)
    for _ in range(2):
        lines = [said.get(timeout=20) for _ in range(3)]
        for path in (authority.path, pairs[0][0], pairs[1][0]):
            assert sum(line.startswith(f'warning upstream h.example: "{path}" ') for line in lines) == 1


def test_bad_new_files_are_told_and_the_old_ones_stay(watched) -> None:
    _, pairs, found, said, blocks, watch = watched
    before = watch.block()
    pairs[0][0].write_text("nonsense")
    line = said.get(timeout=20)
    assert line.startswith(f'warning files for upstreams: cert_path: "{pairs[0][0]}" has no certificate in PEM form')
    assert line.endswith("the old ones stay in use")
    watch.stop()
    assert blocks.empty()
    assert watch.block() == before
    assert any(found[0].key)


def test_files_of_the_system_are_looked_at_too(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    before = peers.signature([tls()])
    authority.path.write_bytes(authority.path.read_bytes() + b"\n")
    assert peers.signature([tls()]) != before
