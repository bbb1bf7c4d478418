"""Which certificate a client gets, what a folder gives, and what happens to files that change."""

import datetime
import fcntl
import mmap
import os
import queue
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.authority import Authority
from harness.certificates import make

from ringway.config.model import Tls
from ringway.control.certificates import expiry, folders, keyring
from ringway.control.certificates.keyring import Keyring, Source, Watch, load, signature, sources_of
from ringway.control.logs import logs
from ringway.control.machine import memory, watching
from ringway.engine.tls import certificates
from ringway.engine.tls.tls_server import tickets_when_wiped

KEY = bytes(80)
LASTING = {"long": 80, "short": 30}
"""Days, by the name of an authority."""


def tls(**keys: object) -> Tls:
    return Tls.model_validate(keys)


def pair(folder: Path, name: str, hosts: list[str], **how: object) -> dict[str, str]:
    return make(folder / f"{name}.crt", folder / f"{name}.key", hosts, **how)


def chosen(ring: Keyring, host: str) -> list[str]:
    """Files of the certificates that a client gets which asks for this host."""
    every = list(ring.pairs.values())
    contexts, _ = ring.contexts()
    return [os.path.basename(every[i].cert_path) for i in contexts[certificates.find(ring.block([KEY]), host)]]


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    config = tls(
        **pair(tmp_path, "default", ["default.example", "www.default.example"]),
        certificates=[
            pair(tmp_path, "rsa", ["default.example", "both.example"], kind="RSA"),
            pair(tmp_path, "wild", ["*.wild.example"]),
            pair(tmp_path, "exact", ["exact.wild.example", "both.example"]),
            pair(tmp_path, "short", ["renewed.example"], days=30),
            pair(tmp_path, "long", ["renewed.example"], days=60),
        ],
    )
    found, problems = load(config)
    assert problems == []
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("host", "files"),
    [
        ("default.example", ["default.crt", "rsa.crt"]),
        ("www.default.example", ["default.crt"]),
        ("a.wild.example", ["wild.crt"]),
        ("A.WILD.Example.", ["wild.crt"]),
        ("exact.wild.example", ["exact.crt"]),
        ("a.b.wild.example", ["default.crt", "rsa.crt"]),
        ("wild.example", ["default.crt", "rsa.crt"]),
        ("both.example", ["rsa.crt", "exact.crt"]),
        ("renewed.example", ["long.crt"]),
        ("", ["default.crt", "rsa.crt"]),
        ("nobody.example", ["default.crt", "rsa.crt"]),
        (".", ["default.crt", "rsa.crt"]),
        (".wild.example", ["default.crt", "rsa.crt"]),
        ("x" * 300, ["default.crt", "rsa.crt"]),
        ("*.wild.example", ["wild.crt"]),
    ],
)
def test_a_host_gets_its_certificate(ring: Keyring, host: str, files: list[str]) -> None:
    """RFC 6125 6.4.3: `*` is one label. RSA and ECDSA side by side; of two of a kind the one that lasts longer."""
    assert chosen(ring, host) == files


def test_a_block_that_was_cut_or_changed(ring: Keyring) -> None:
    block = bytes(ring.block([KEY]))
    assert certificates.find(block, "default.example") == 0
    for broken in (block[:-1], block[:40], block + b"x", b"\0" + block[1:]):
        with pytest.raises(ValueError, match="not a block"):
            certificates.find(broken, "a")


@pytest.mark.parametrize("keys", [[], [b"short"]])
def test_ticket_keys_have_80_bytes(ring: Keyring, keys: list[bytes]) -> None:
    if keys:
        with pytest.raises(ValueError, match="80 bytes"):
            ring.block(keys)
    else:
        with pytest.raises(ValueError, match="not a block"):
            certificates.find(ring.block(keys), "a")


def test_a_folder(tmp_path: Path) -> None:
    pair(tmp_path, "a", ["a.example"])
    (tmp_path / "site").mkdir()
    make(tmp_path / "site/fullchain.pem", tmp_path / "site/privkey.pem", ["b.example"])
    (tmp_path / "README").write_text("no certificate")
    config = tls(certificates_path=str(tmp_path))
    found, problems = load(config)
    assert problems == []
    assert found is not None
    assert found.names == ["a.example", "b.example"]
    assert [source.ocsp_path for source in sources_of(config)[0]] == [None, None]
    staples = [tmp_path / "a.ocsp", tmp_path / "site/fullchain.ocsp"]
    for file in staples:
        file.write_bytes(b"x")
    assert [source.ocsp_path for source in sources_of(config)[0]] == [str(file) for file in staples]
    (tmp_path / "lonely.pem").write_text("x")
    assert sources_of(config)[2] == [f"ignored: {tmp_path}/lonely.pem (no key beside it)"]
    assert "cannot be listed" in str(sources_of(tls(certificates_path=str(tmp_path / "none")))[1][0])


LAYOUTS = {
    "lego": (["a.crt", "a.key", "a.issuer.crt", "a.json"], ["a.crt"], []),
    "lego with --pem": (["a.crt", "a.key", "a.issuer.crt", "a.pem"], ["a.crt"], []),
    "mkcert": (["a+2.pem", "a+2-key.pem"], ["a+2.pem"], []),
    "mkcert's authority": (["rootCA.pem", "rootCA-key.pem", "a.pem", "a-key.pem"], ["a.pem"], []),
    "an authority beside": (["a.crt", "a.key", "ca.crt"], ["a.crt"], []),
    "acme.sh": (
        [
            "a_ecc/fullchain.cer",
            "a_ecc/a.cer",
            "a_ecc/ca.cer",
            "a_ecc/a.key",
            "a_ecc/a.csr",
            "b/fullchain.cer",
            "b/b.key",
        ],
        ["a_ecc/fullchain.cer", "b/fullchain.cer"],
        [],
    ),
    "one folder of acme.sh": (["fullchain.cer", "a.cer", "ca.cer", "a.key"], ["fullchain.cer"], []),
    "Kubernetes": (["a/tls.crt", "a/tls.key", "a/ca.crt", "a/..data/tls.crt", "a/..data/tls.key"], ["a/tls.crt"], []),
    "one secret of Kubernetes": (["tls.crt", "tls.key", "..2026/tls.crt", "..2026/tls.key"], ["tls.crt"], []),
    "certbot": (
        ["README", "a/cert.pem", "a/chain.pem", "a/fullchain.pem", "a/privkey.pem", "a/README"],
        ["a/fullchain.pem"],
        [],
    ),
    "one folder of certbot": (["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"], ["fullchain.pem"], []),
    "Caddy": (["a/a.crt", "a/a.key", "a/a.json"], ["a/a.crt"], []),
    "no key": (["a.crt", "b/x.cer", "c/y"], [], ["a.crt (no key", "b/x.cer (no key", "c (no certificate"]),
    "no key in certbot's": (["a/fullchain.pem", "a/chain.pem"], [], ["a/fullchain.pem (no key"]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_folders_as_others_leave_them(tmp_path: Path, name: str) -> None:
    files, served, aside = LAYOUTS[name]
    made = pair(tmp_path, "made", ["a.example"])
    folder = tmp_path / "folder"
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(Path(made["key_path" if "key" in file else "cert_path"]).read_bytes())
        (folder / file).chmod(0o600)
    config = tls(certificates_path=str(folder))
    found = folders.look(str(folder))
    assert [os.path.relpath(chain, folder) for chain, _ in found.pairs] == served
    assert len(found.aside) == len(aside)
    for line, beginning in zip(found.aside, aside, strict=True):
        assert line.startswith(f"{folder}/{beginning}")
    ring, problems = load(config)
    assert (ring is not None) == bool(served)
    assert bool(problems) == (not served)


def test_a_certificate_with_its_key_in_one_file(tmp_path: Path) -> None:
    """As for HAProxy."""
    made = pair(tmp_path, "made", ["a.example"])
    both = b"".join(Path(path).read_bytes() for path in made.values())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.pem").write_bytes(both)
    found, problems = load(tls(certificates_path=str(tmp_path / "folder")))
    assert problems == []
    assert found is not None
    assert found.names == ["a.example"]


def test_an_empty_folder(tmp_path: Path) -> None:
    """With plain HTTP there is something to serve: an ACME client may bring the first certificate by it."""
    config = tls(certificates_path=str(tmp_path))
    found, problems = load(config)
    assert found is None
    assert [str(problem) for problem in problems] == [
        f'tls.certificates_path: there is no certificate in "{tmp_path}"; put NAME.crt and NAME.key there'
    ]
    found, problems = load(config, plain=True)
    assert problems == []
    assert found is not None
    assert "every TLS handshake fails" in found.warnings()[0]
    assert certificates.find(found.block([KEY]), "a.example") == 0
    # When the last one goes it stays in use.
    pair(tmp_path, "a", ["a.example"])
    found, _ = load(config, found, plain=True)
    assert found is not None
    (tmp_path / "a.crt").unlink()
    again, problems = load(config, found, plain=True)
    assert again is None
    assert len(problems) == 1


# Dates and order


@pytest.mark.parametrize(
    ("first", "second", "better"),
    [
        ({"days": -1, "begins": -9}, {"days": 5}, "second"),
        ({"days": 90, "begins": 1}, {"days": 5}, "second"),
        ({"days": 5}, {"days": 90, "begins": 1}, "first"),
        ({"days": -2, "begins": -9}, {"days": -1, "begins": -9}, "second"),
        ({"days": 5}, {"days": 6}, "second"),
    ],
)
def test_of_two_the_better_one_serves(tmp_path: Path, first, second, better) -> None:
    """What has expired, or is not valid yet, keeps nothing from starting, and serves when there is nothing better."""
    config = tls(
        **pair(tmp_path, "default", ["default.example"]),
        certificates=[
            pair(tmp_path, "first", ["a.example"], **first),
            pair(tmp_path, "second", ["a.example"], **second),
            pair(tmp_path, "alone", ["alone.example"], days=-1, begins=-9),
        ],
    )
    ring, problems = load(config)
    assert problems == []
    assert ring is not None
    assert chosen(ring, "a.example") == [f"{better}.crt"]
    assert chosen(ring, "alone.example") == ["alone.crt"]
    assert [line for line in ring.expiring() if "alone.crt" in line and "expired on" in line]


def test_an_expired_default_gives_way_to_a_better_one_of_its_name(tmp_path: Path) -> None:
    config = tls(
        **pair(tmp_path, "default", ["a.example"], days=-1, begins=-9),
        certificates=[pair(tmp_path, "good", ["a.example"]), pair(tmp_path, "other", ["b.example"])],
    )
    ring, problems = load(config)
    assert problems == []
    assert ring is not None
    assert chosen(ring, "") == chosen(ring, "a.example") == ["good.crt"]


@pytest.mark.parametrize(
    ("life", "left", "expected"),
    [
        (90, 22, None),
        (90, 20, "in 20 days"),
        (47, 13, None),
        (47, 11, "in 11 days"),
        (6, 1.6, None),
        (6, 1.4, "in 33 hours"),
        (1, 0.2, "in 4 hours"),
    ],
)
def test_short_lives_are_told_later(life: float, left: float, expected: str | None) -> None:
    now = datetime.datetime.now(datetime.UTC)
    until = now + datetime.timedelta(days=left, seconds=1)
    lines = expiry.told("it", until - datetime.timedelta(days=life), until, now)
    assert [expected in line for line in lines] == ([True] if expected else [])


def test_what_is_told_is_told_again_every_day(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    reminder = expiry.Reminder(["a expires, in 3 days; renew it"])
    lines = ["a expires, in 2 days; renew it", "b expires, in 30 hours; renew it"]
    now += 61
    assert reminder.due(lambda: lines) == lines[1:]
    now += 61
    assert reminder.due(lambda: lines) == []
    now += 86300
    assert reminder.due(lambda: lines) == lines[:1]
    now += 61
    assert reminder.due(lambda: lines) == lines[1:]


def test_what_is_wrong_names_its_place(tmp_path: Path) -> None:
    good = pair(tmp_path, "good", ["a.example"])
    other = pair(tmp_path, "other", ["b.example"])
    found, problems = load(tls(certificates=[good, {**other, "key_path": good["key_path"]}]))
    assert [str(problem) for problem in problems] == [
        "tls.certificates[1].key_path: the key does not belong to the certificate; name the two files of one pair"
    ]
    assert found is not None
    assert found.names == ["a.example"]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/x.crt").write_text("nonsense")
    (tmp_path / "folder/x.key").write_text("nonsense")
    _, problems = load(tls(certificates_path=str(tmp_path / "folder")))
    assert all(str(problem).startswith("tls.certificates_path: ") and "x." in str(problem) for problem in problems)
    assert len(problems) == 2


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, "there is no certificate"),
        ({"cert_path": "a"}, "`cert_path` needs `key_path` beside it"),
        ({"key_path": "a"}, "`key_path` needs `cert_path` beside it"),
        ({"certificates_path": "a", "ciphers": []}, "at least 1"),
        ({"certificates_path": "a", "ciphers": ["RC4-SHA"]}, "TLS_AES_128_GCM_SHA256"),
        ({"certificates_path": "a", "curves": ["P-192"]}, "X25519"),
        ({"certificates_path": "a", "min_version": "1.1"}, "1.2"),
        ({"certificates_path": "a", "ocsp_cache": "b"}, "nothing is fetched without `ocsp_stapling`"),
    ],
)
def test_what_the_section_refuses(keys: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        tls(**keys)


def test_expiry_is_told_when_a_quarter_of_the_life_is_left(ring: Keyring) -> None:
    now = datetime.datetime.now(datetime.UTC)
    assert ring.expiring(now) == []
    assert ring.expiring(now + datetime.timedelta(days=15)) == []
    (line,) = ring.expiring(now + datetime.timedelta(days=25))
    assert "short.crt" in line
    assert "renewed.example" in line
    assert " in 4 days; renew it" in line
    assert "expired on" in ring.expiring(now + datetime.timedelta(days=31))[0]


def test_authorities_for_clients_expire_too(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    long, short = (Authority(tmp_path, name, lasting=datetime.timedelta(days=days)) for name, days in LASTING.items())
    (tmp_path / "ca.pem").write_bytes(long.path.read_bytes() + short.path.read_bytes())
    door = {"client_ca": str(tmp_path / "ca.pem"), "client_auth": "require"}
    found, problems = load(tls(**pair(tmp_path, "a", ["a.example"]), **door))
    assert problems == []
    assert found is not None
    assert found.expiring(now) == []
    (line,) = found.expiring(now + datetime.timedelta(days=25))
    assert re.fullmatch(r'".*ca\.pem" \(CN=authority of short\) expires on .* UTC, in 4 days; renew it', line)
    (line,) = found.expiring(now + datetime.timedelta(days=31))
    assert re.fullmatch(r'".*ca\.pem" \(CN=authority of short\) expired on .* UTC; renew it', line)


def test_a_key_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    made = pair(tmp_path, "a", ["a.example"])
    os.chmod(made["key_path"], 0o644)
    found, problems = load(tls(**made))
    assert problems == []
    assert found is not None
    assert ["users other than its owner can read" in warning for warning in found.warnings()] == [True]


def test_a_chain_that_lacks_its_intermediate_is_warned_about(tmp_path: Path) -> None:
    made = pair(tmp_path, "a", ["a.example"], issuer="Somebody Else")
    found, problems = load(tls(**made))
    assert problems == []
    assert found is not None
    assert ["add the intermediate certificate" in warning for warning in found.warnings()] == [True]


# What changes


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A watch that looks often, and what it said and published."""
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.02)
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    blocks: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    monkeypatch.setattr(logs, "_write", lambda level, message: said.put(f"{level} {message}"))
    config = tls(**pair(tmp_path, "a", ["a.example"]))
    ring, _ = load(config)
    assert ring is not None
    watch = Watch(config, ring, blocks.put)
    watch.start()
    yield tmp_path, said, blocks
    watch.stop()


def test_a_new_certificate_is_taken(watched) -> None:
    folder, said, blocks = watched
    pair(folder, "a", ["b.example"])
    assert "is in use, for b.example" in said.get(timeout=20)
    assert b"b.example" in blocks.get(timeout=20)


def test_a_renewal_repeats_no_warning_of_another_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(logs, "_write", lambda level, message: said.append(f"{level} {message}"))
    lacking = pair(tmp_path, "lacking", ["lacking.example"], issuer="Somebody Else")
    ending = pair(tmp_path, "ending", ["ending.example"], days=3, begins=-30)
    config = tls(certificates=[lacking, ending, pair(tmp_path, "a", ["a.example"])])
    ring, _ = load(config)
    assert ring is not None
    assert len([*ring.warnings(), *ring.expiring()]) == 2
    watch = Watch(config, ring, lambda _: None)
    watch._look()
    pair(tmp_path, "a", ["b.example"], days=3, begins=-30, issuer="Somebody Else")
    for _ in range(3):  # until the files have settled
        watch._look()
    in_use, chain, expires = said
    assert "is in use, for b.example" in in_use
    assert "a.crt" in chain
    assert "add the intermediate certificate" in chain
    assert "for b.example) expires on" in expires
    # A renewed certificate with the same faults: its own warnings, again.
    pair(tmp_path, "a", ["b.example"], days=3, begins=-30, issuer="Somebody Else")
    for _ in range(3):
        watch._look()
    assert [line.rpartition(" UTC")[2] for line in said[4:]] == [line.rpartition(" UTC")[2] for line in said[1:3]]


@pytest.mark.parametrize("late", [True, False], ids=["at last", "never"])
def test_a_renewal_counts_when_every_worker_has_taken_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """A worker that does not take it is told of; one that has gone meanwhile is not waited for."""
    said: list[str] = []
    monkeypatch.setattr(logs, "_write", lambda level, message: said.append(f"{level} {message}"))
    config = tls(**pair(tmp_path, "a", ["a.example"]))
    ring, _ = load(config)
    assert ring is not None
    taken: dict[object, int] = {"first": 1, "second": 4, "gone": 1}
    watch = Watch(config, ring, lambda _: None, taken=taken.copy)
    watch._look()
    pair(tmp_path, "a", ["b.example"])
    for _ in range(3):  # until the files are at rest
        watch._look()
    taken["first"] = 2
    del taken["gone"]
    watch._look()
    assert said == []
    if late:
        taken["second"] = 5
    for _ in range(25):
        watch._look()
    (line,) = said
    expected = "is in use, for b.example" if late else "error 1 worker has not loaded the new certificates"
    assert expected in line


@pytest.mark.parametrize(
    ("how", "said_of_it"),
    [({"days": -1, "begins": -9}, "expired on"), ({"days": 9, "begins": 1}, "is not valid before")],
)
def test_a_new_one_with_worse_dates_is_told_and_the_old_one_stays(watched, how, said_of_it) -> None:
    folder, said, blocks = watched
    pair(folder, "a", ["b.example"], **how)
    line = said.get(timeout=20)
    assert said_of_it in line
    assert line.endswith("the old ones stay in use")
    assert blocks.empty()


def test_a_new_one_is_taken_once_it_is_valid(watched) -> None:
    folder, said, blocks = watched
    pair(folder, "a", ["b.example"], begins=2 / 86400)
    while "is in use, for b.example" not in (line := said.get(timeout=20)):
        assert "is not valid before" in line
    assert b"b.example" in blocks.get(timeout=20)


def test_a_bad_one_is_told_and_the_old_one_stays(watched) -> None:
    folder, said, blocks = watched
    (folder / "a.key").write_text("nonsense")
    assert "has no private key in PEM form" in (line := said.get(timeout=20))
    assert line.startswith("warning")
    assert line.endswith("the old ones stay in use")
    assert blocks.empty()
    os.unlink(folder / "a.crt")
    assert "does not exist" in said.get(timeout=20)
    said.get(timeout=20)
    assert blocks.empty()
    pair(folder, "a", ["c.example"])
    while "is in use, for c.example" not in said.get(timeout=20):
        pass
    assert b"c.example" in blocks.get(timeout=20)


def test_the_signature_follows_links(tmp_path: Path) -> None:
    """As certbot renews: the file is a link, and the link changes."""
    for number in (1, 2):
        make(tmp_path / f"{number}.crt", tmp_path / f"{number}.key", ["a.example"])
    (tmp_path / "live.crt").symlink_to("1.crt")
    (tmp_path / "live.key").symlink_to("1.key")
    config = tls(cert_path=str(tmp_path / "live.crt"), key_path=str(tmp_path / "live.key"))
    before = signature(config)
    assert signature(config) == before
    (tmp_path / "live.crt").unlink()
    (tmp_path / "live.crt").symlink_to("2.crt")
    assert signature(config) != before


def test_what_expires_is_told_once_a_day(watched, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, said, _ = watched
    pair(folder, "a", ["a.example"], days=3, begins=-30)
    assert "is in use, for a.example" in said.get(timeout=20)
    assert "expires on" in said.get(timeout=20)
    monkeypatch.setattr(watching, "DAY", 0.02)
    for _ in range(2):
        assert "warning certificate" in (line := said.get(timeout=20))
        assert "expires on" in line


def test_ticket_keys_are_renewed_and_old_ones_kept_for_a_while(watched, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, blocks = watched
    monkeypatch.setattr(keyring, "NEW_TICKET_KEY", 0.02)
    found = [keys_of(blocks.get(timeout=20)) for _ in range(4)]
    assert [len(keys) for keys in found] == [2, 3, 3, 3]
    assert found[1][1:] == found[0]
    assert found[3][1:] == found[2][:2]


def keys_of(block: bytearray) -> list[bytes]:
    count = int.from_bytes(block[60:64], "little")
    return [bytes(block[64 + 80 * n : 144 + 80 * n]) for n in range(count)]


def test_published_blocks_are_wiped_when_two_newer_ones_are_there() -> None:
    shared = memory.Published("test", 9000)
    try:
        for number in range(1, 5):
            assert shared.publish(b"secret %d" % number * 1000) == number
        size = os.fstat(shared.descriptor).st_size
        everything = os.pread(shared.descriptor, size, 0)
        assert [b"secret %d" % number in everything for number in range(1, 5)] == [False, False, True, True]
        assert os.fstat(shared.descriptor).st_blocks * 512 < size  # what was never written takes no memory
    finally:
        shared.close()


def test_a_published_memory_has_room_for_some_blocks_and_not_for_ever() -> None:
    shared = memory.Published("test", 300_000)
    try:
        while shared.has_room(bytes(300_000)):
            assert shared.publish(b"x" * 300_000) <= 8
        assert shared.sequence == 8
        assert shared.has_room(b"")
    finally:
        shared.close()


@pytest.mark.parametrize("make", [lambda: memory.Published("test", 10), lambda: memory.ReadOnly("test", 4096)])
def test_what_workers_only_read_they_cannot_write(make: Callable[[], memory.Published | memory.ReadOnly]) -> None:
    """Nor by the way of another descriptor of the same memory, nor make it shorter."""
    shared = make()
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(shared.descriptor, b"x", 0)
        again = os.open(f"/proc/self/fd/{shared.descriptor}", os.O_RDWR)
        try:
            for break_it in (
                lambda: os.pwrite(again, b"x", 0),
                lambda: os.ftruncate(again, 0),
                lambda: os.ftruncate(again, 1 << 30),
                lambda: mmap.mmap(again, 4096, mmap.MAP_SHARED),
                lambda: fcntl.fcntl(again, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
            ):
                with pytest.raises(PermissionError):
                    break_it()
        finally:
            os.close(again)
    finally:
        shared.close()


def test_the_source_is_told_apart_by_place() -> None:
    assert Source("a", "b", "tls") != Source("a", "b", "tls.certificates[0]")


def test_tickets_are_never_sealed_with_zeros(ring: Keyring) -> None:
    """A worker that misses three publications in a row has a block that was wiped: it still seals with its keys."""
    keys = [bytes(range(80)), bytes(range(100, 180))]
    assert tickets_when_wiped(bytes(ring.block(keys))) == keys
