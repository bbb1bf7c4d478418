"""OCSP stapling as `openssl s_client -status` sees it, from files and from a responder."""

import functools
import re
import subprocess
import sys
import time

import pytest
from cryptography import x509
from harness.authority import Authority
from harness.foreign import environment
from harness.ocsp import Responder, issue, say
from harness.waiting import DEADLINE

VERSIONS = pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
NONE = "no response sent"


@pytest.fixture
def responder():
    with Responder() as running:
        yield running


def keys(pair, **more):
    return {"cert_path": str(pair[0]), "key_path": str(pair[1]), **{name: str(path) for name, path in more.items()}}


def serial_of(pair):
    return x509.load_pem_x509_certificates(pair[0].read_bytes())[0].serial_number


def write(path, data):
    """Replaces a file atomically, as programs that renew do."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)
    return path


def stapled(server, authority, version="-tls1_3", *options):
    """Returns the serial number in the staple that a client gets (None: there is none). OpenSSL verifies the staple."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.listener(tls=True).port}", "-status", version]
    command += ["-CAfile", str(authority.path), "-verify_return_error", "-servername", "a.example", *options]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=3 * DEADLINE, env=environment(), check=False)
    text = done.stdout.decode("latin-1")
    assert "Verify return code: 0 (ok)" in text, text + done.stderr.decode("latin-1")
    if f"OCSP response: {NONE}" in text:
        return None
    assert "OCSP Response Status: successful" in text, text
    assert "Cert Status: good" in text, text
    return int(re.search(r"Serial Number: ([0-9A-F]+)", text)[1], 16)


def until(look, what):
    end = time.monotonic() + 3 * DEADLINE
    while not (found := look()):
        assert time.monotonic() < end, what
    return found


# Files


@VERSIONS
@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
def test_a_file(ringway, authority, tmp_path, version, kind):
    pair = issue(authority, ["a.example"], kind=kind)
    file = write(tmp_path / "a.ocsp", say(authority, pair[0]))
    server = ringway({"tls": keys(pair, ocsp_path=file)})
    assert stapled(server, authority, version) == serial_of(pair)


@VERSIONS
def test_rsa_and_ecdsa_each_with_its_own(ringway, authority, tmp_path, version):
    """Each client gets the staple of the certificate that it can verify."""
    pairs = {kind: issue(authority, ["a.example"], kind=kind) for kind in ("ECDSA", "RSA")}
    files = {kind: write(tmp_path / kind, say(authority, pair[0])) for kind, pair in pairs.items()}
    entries = [keys(pairs[kind], ocsp_path=files[kind]) for kind in pairs]
    server = ringway({"tls": {**entries[0], "certificates": entries[1:]}})
    for kind, algorithm in (("ECDSA", "ECDSA+SHA256"), ("RSA", "RSA-PSS+SHA256:RSA+SHA256")):
        assert stapled(server, authority, version, "-sigalgs", algorithm) == serial_of(pairs[kind])


def test_by_host(ringway, authority, tmp_path):
    pairs = [issue(authority, [name]) for name in ("default.example", "a.example", "b.example")]
    file = write(tmp_path / "a.ocsp", say(authority, pairs[1][0]))
    entries = [keys(pairs[1], ocsp_path=file), keys(pairs[2])]
    server = ringway({"tls": {**keys(pairs[0]), "certificates": entries}})
    assert stapled(server, authority) == serial_of(pairs[1])
    for name in ("b.example", "default.example"):
        assert stapled(server, authority, "-tls1_3", "-servername", name) is None


def test_who_does_not_ask_gets_none_and_all_is_well(ringway, authority, tmp_path):
    pair = issue(authority, ["localhost"])
    server = ringway({"tls": keys(pair, ocsp_path=write(tmp_path / "a", say(authority, pair[0])))})
    for _ in range(2):
        with server.connect(tls=True) as client:
            assert client.get("/").status == 404


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"until": -1, "since": -100}, "the response expired on "),
        ({"since": 3000}, "the response is not valid before "),
        ({"until": None}, "has no expiry time"),
        ({"status": "revoked"}, "the certificate was revoked on "),
        ({"status": "unknown"}, "the responder does not know the certificate"),
    ],
)
def test_a_response_that_is_not_shown(ringway, authority, tmp_path, how, why):
    """The certificate serves without a staple."""
    pair = issue(authority, ["a.example"])
    server = ringway({"tls": keys(pair, ocsp_path=write(tmp_path / "a.ocsp", say(authority, pair[0], **how)))})
    assert why in server.wait_line(r' warning certificate ".*" is not stapled with ".*a\.ocsp"')
    assert stapled(server, authority) is None


def test_signed_by_somebody_else(ringway, authority, tmp_path):
    """The signer has the issuer's name, but another key."""
    pair = issue(authority, ["a.example"])
    twin = Authority(tmp_path)
    forged = say(authority, pair[0], signer=(twin.certificate, twin.key))
    server = ringway({"tls": keys(pair, ocsp_path=write(tmp_path / "a.ocsp", forged))})
    assert "the signature of the response is wrong" in server.wait_line("is not stapled with")
    assert stapled(server, authority) is None


def test_a_staple_expires(ringway, authority, tmp_path):
    """Ringway sends the response until it expires, and not longer."""
    pair = issue(authority, ["a.example"])
    file = write(tmp_path / "a.ocsp", say(authority, pair[0], until=2 * DEADLINE / 3))
    server = ringway({"tls": keys(pair, ocsp_path=file)})
    assert stapled(server, authority) == serial_of(pair)
    server.wait_line(r' warning certificate ".*" is no longer stapled: ".*a\.ocsp" has expired')
    assert stapled(server, authority) is None
    write(file, say(authority, pair[0]))
    until(lambda: stapled(server, authority) == serial_of(pair), "a new file is not taken")


def test_a_new_certificate_waits_for_its_staple(ringway, authority, tmp_path):
    """Ringway uses the renewed certificate at once, without the old response, which does not match it."""
    pair = issue(authority, ["a.example"])
    file = write(tmp_path / "a.ocsp", say(authority, pair[0]))
    server = ringway({"tls": keys(pair, ocsp_path=file)})
    new = issue(authority, ["a.example"])
    new[1].replace(pair[1])
    new[0].replace(pair[0])
    server.wait_line("is not stapled with .*: the response is for another certificate")
    until(lambda: stapled(server, authority) is None, "the old staple is still shown")
    write(file, say(authority, pair[0]))
    until(lambda: stapled(server, authority) == serial_of(pair), "the new staple is not taken")


def in_folder(folder, name, pair):
    """Writes a pair as `NAME.crt` and `NAME.key`."""
    target = folder / f"{name}.crt", folder / f"{name}.key"
    for source, there in zip(pair, target, strict=True):
        source.replace(there)
    return target


def test_a_file_in_a_folder(ringway, authority, tmp_path):
    """A response next to its certificate appears, is renewed and is removed while the certificate serves."""
    folder = tmp_path / "certificates"
    (folder / "b.example").mkdir(parents=True)
    pair = in_folder(folder, "a", issue(authority, ["a.example"]))
    other = issue(authority, ["b.example"])
    other[0].replace(folder / "b.example/fullchain.pem")
    other[1].replace(folder / "b.example/privkey.pem")
    other = (folder / "b.example/fullchain.pem",)
    write(folder / "b.example/fullchain.ocsp", say(authority, other[0]))
    server = ringway({"tls": {"certificates_path": str(folder)}})
    assert stapled(server, authority, "-tls1_3", "-servername", "b.example") == serial_of(other)
    assert stapled(server, authority) is None
    file = write(folder / "a.ocsp", b"nonsense")
    server.wait_line(r' warning certificate ".*a\.crt" is not stapled with ".*a\.ocsp": it is not an OCSP response')
    write(file, say(authority, pair[0]))
    until(lambda: stapled(server, authority) == serial_of(pair), "the new file is not taken")
    file.unlink()
    until(lambda: stapled(server, authority) is None, "the file is gone, and still shown")
    assert not any("no longer in use" in line for line in server.lines)


# The responder


@VERSIONS
def test_it_is_fetched(ringway, authority, responder, version):
    pair = issue(authority, ["a.example"], responder.url)
    responder.answer = say(authority, pair[0])
    server = ringway({"tls": {**keys(pair), "ocsp_stapling": True}})
    server.wait_line(rf' info OCSP of ".*": {responder.url} says good until .*; stapled')
    until(lambda: stapled(server, authority, version) == serial_of(pair), "it is not stapled")
    assert responder.asked == [serial_of(pair)]
    assert responder.methods == ["GET"]


def test_it_is_asked_by_post_where_the_address_is_long(ringway, authority, responder):
    """RFC 6960 A.1"""
    pair = issue(authority, ["a.example"], f"{responder.url}/{'x' * 200}")
    responder.answer = say(authority, pair[0])
    server = ringway({"tls": {**keys(pair), "ocsp_stapling": True}})
    until(lambda: stapled(server, authority) == serial_of(pair), "it is not stapled")
    assert responder.methods == ["POST"]


def test_each_certificate_is_asked_for(ringway, authority, responder):
    pairs = [issue(authority, ["a.example"], responder.url, kind=kind) for kind in ("ECDSA", "RSA")]
    responder.answers = {serial_of(pair): say(authority, pair[0]) for pair in pairs}
    entries = [keys(pair) for pair in pairs]
    server = ringway({"tls": {**entries[0], "certificates": entries[1:], "ocsp_stapling": True}})
    for pair, algorithm in zip(pairs, ("ECDSA+SHA256", "RSA-PSS+SHA256"), strict=True):
        look = functools.partial(stapled, server, authority, "-tls1_3", "-sigalgs", algorithm)
        assert until(look, "it is not stapled") == serial_of(pair)


def test_it_is_fetched_again_before_it_expires(ringway, authority, responder):
    """Ringway fetches again when half of the lifetime is left."""
    pair = issue(authority, ["a.example"], responder.url)
    short, long = say(authority, pair[0], until=DEADLINE), say(authority, pair[0])
    responder.answer = short
    server = ringway({"tls": {**keys(pair), "ocsp_stapling": True}})
    responder.journal.until(lambda: responder.asked, "first question")
    responder.answer = long
    responder.journal.until(lambda: len(responder.asked) == 2, "second question", 2 * DEADLINE)
    assert stapled(server, authority) == serial_of(pair)


def test_a_responder_that_fails_is_asked_again(ringway, authority, responder):
    """Ringway backs off. It uses the last response until that expires."""
    pair = issue(authority, ["a.example"], responder.url)
    server = ringway({"tls": {**keys(pair), "ocsp_stapling": True}})
    server.wait_line(rf' warning OCSP of ".*": {responder.url} does not answer \(.*503.*\); not stapled')
    assert stapled(server, authority) is None
    responder.answer = b"nonsense"
    server.wait_line(r' warning OCSP of ".*": it is not an OCSP response in DER form; not stapled', 3 * DEADLINE)
    responder.answer = say(authority, pair[0])
    until(lambda: stapled(server, authority) == serial_of(pair), "it is not asked again")


def test_a_revoked_certificate(ringway, authority, responder):
    """Ringway logs an error, and staples neither the last response, which is no longer true, nor this one."""
    pair = issue(authority, ["a.example"], responder.url)
    responder.answer = say(authority, pair[0], until=DEADLINE)
    server = ringway({"tls": {**keys(pair), "ocsp_stapling": True}})
    until(lambda: stapled(server, authority) == serial_of(pair), "it is not stapled")
    responder.answer = say(authority, pair[0], "revoked")
    server.wait_line(r' error OCSP of ".*": the certificate was revoked on .*; not stapled', 3 * DEADLINE)
    until(lambda: stapled(server, authority) is None, "it is still stapled")


# Must-staple, RFC 7633


MUST = x509.TLSFeature([x509.TLSFeatureType.status_request])


def test_must_staple_and_nothing_is_stapled(ringway, authority, tmp_path):
    """The log says what to do: for a file that has expired, a responder that is not asked, and neither of them, also in
    a folder."""
    old = issue(authority, ["a.example"], extensions=[MUST])
    named = issue(authority, ["b.example"], "http://ocsp.example/", extensions=[MUST])
    silent = issue(authority, ["c.example"], extensions=[MUST])
    file = write(tmp_path / "a.ocsp", say(authority, old[0], until=-1, since=-100))
    folder = tmp_path / "certificates"
    folder.mkdir()
    lying = in_folder(folder, "d", issue(authority, ["d.example"], extensions=[MUST]))
    entries = [keys(old, ocsp_path=file), keys(named), keys(silent)]
    server = ringway({"tls": {"certificates": entries, "certificates_path": str(folder)}})
    remedies = {
        old: f'renew "{file}"',
        named: "set ocsp_stapling = true",
        silent: "name a file with a response: ocsp_path",
        lying: f'put a response into "{folder}/d.ocsp"',
    }
    for pair, remedy in remedies.items():
        told = f'"{pair[0]}" is not stapled; it is must-staple, so some clients reject it; {remedy}$'
        server.wait_line(f" warning certificate {told}")
        assert re.search(f"warning +{told}", server.command("check").stdout, re.M)


def test_must_staple_and_all_is_well(ringway, authority, responder, tmp_path):
    """By a file and by a responder, until the responder fails for longer than the last response is valid."""
    filed = issue(authority, ["b.example"], extensions=[MUST])
    fetched = issue(authority, ["a.example"], responder.url, extensions=[MUST])
    plain = issue(authority, ["c.example"])
    file = write(tmp_path / "b.ocsp", say(authority, filed[0]))
    responder.answer = say(authority, fetched[0], until=DEADLINE / 2)
    entries = [keys(filed, ocsp_path=file), keys(plain)]
    server = ringway({"tls": {**keys(fetched), "certificates": entries, "ocsp_stapling": True}})
    server.wait_line("; stapled$")
    assert "must-staple" not in server.text + server.command("check").stdout
    responder.answer = 503
    server.wait_line(" warning OCSP of .*; the last staple stays in use until ", 3 * DEADLINE)
    server.wait_line(" warning OCSP of .*; not stapled; it is must-staple, so some clients reject it$", 3 * DEADLINE)


# The cache


def test_a_reload_goes_on_with_what_was_fetched(ringway, authority, responder):
    pair = issue(authority, ["a.example"], responder.url)
    responder.answer = say(authority, pair[0])
    server = ringway({"tls": {**keys(pair), "ocsp_stapling": True}})
    until(lambda: stapled(server, authority) == serial_of(pair), "it is not stapled")
    responder.answer = 503
    server.reload()
    assert stapled(server, authority) == serial_of(pair)
    assert len(responder.asked) == 1


def test_a_restart_goes_on_with_what_is_in_the_folder(ringway, authority, responder, tmp_path):
    """The staple is there from the first connection on. The next fetch is when it would have been anyway."""
    pairs = [issue(authority, [name], responder.url) for name in ("a.example", "b.example")]
    responder.answers = {serial_of(pair): say(authority, pair[0]) for pair in pairs}
    cache = tmp_path / "cache"
    cache.mkdir()
    stapling = {"ocsp_stapling": True, "ocsp_cache": str(cache)}
    config = {"tls": {**keys(pairs[0]), "certificates": [keys(pairs[1])], **stapling}}
    first = ringway(config)
    until(lambda: len(list(cache.glob("*.ocsp"))) == 2, "there are not two responses in the folder")
    first.stop()
    responder.answers = {}
    second = ringway(config)
    assert stapled(second, authority) == serial_of(pairs[0])
    assert stapled(second, authority, "-tls1_3", "-servername", "b.example") == serial_of(pairs[1])
    assert sorted(responder.asked) == sorted(map(serial_of, pairs))


def test_a_file_in_the_cache_is_judged(ringway, authority, responder, tmp_path):
    """A cached response that says revoked, is for another certificate, or is invalid is not stapled. Ringway asks the
    responder."""
    pair = issue(authority, ["a.example"], responder.url)
    wrong = [say(authority, pair[0], "revoked"), say(authority, issue(authority, ["b.example"])[0]), b"nonsense"]
    config = {"tls": {**keys(pair), "ocsp_stapling": True, "ocsp_cache": str(tmp_path)}}
    responder.answer = say(authority, pair[0])
    ringway(config).wait_line("; stapled")
    (file,) = tmp_path.glob("*.ocsp")
    for number, data in enumerate(wrong, 2):
        file.write_bytes(data)
        ringway(config).wait_line("; stapled")
        assert len(responder.asked) == number
        assert file.read_bytes() == responder.answer


def test_what_was_revoked_is_forgotten(ringway, authority, responder, tmp_path):
    pair = issue(authority, ["a.example"], responder.url)
    responder.answer = say(authority, pair[0], until=DEADLINE)
    server = ringway({"tls": {**keys(pair), "ocsp_stapling": True, "ocsp_cache": str(tmp_path)}})
    until(lambda: list(tmp_path.glob("*.ocsp")), "it is not kept")
    responder.answer = say(authority, pair[0], "revoked")
    server.wait_line(r" error OCSP of .*: the certificate was revoked on .*; not stapled", 3 * DEADLINE)
    assert list(tmp_path.glob("*.ocsp")) == []


def test_a_folder_that_goes_away_is_told_once(ringway, authority, responder, tmp_path):
    """Fetched responses are still stapled."""
    pairs = [issue(authority, [name], responder.url) for name in ("a.example", "b.example")]
    cache = tmp_path / "cache"
    cache.mkdir()
    stapling = {"ocsp_stapling": True, "ocsp_cache": str(cache)}
    server = ringway({"tls": {**keys(pairs[0]), "certificates": [keys(pairs[1])], **stapling}})
    server.wait_line("does not answer")
    cache.rmdir()
    responder.answers = {serial_of(pair): say(authority, pair[0]) for pair in pairs}
    for name, pair in zip(("a.example", "b.example"), pairs, strict=True):
        look = functools.partial(stapled, server, authority, "-tls1_3", "-servername", name)
        assert until(look, "it is not stapled") == serial_of(pair)
    server.wait_line("cannot store OCSP responses")
    told = [line for line in server.lines if "cannot store OCSP responses" in line]
    assert len(told) == 1
    assert told[0].endswith("(No such file or directory): Ringway fetches them again after a restart")


def test_a_responder_that_is_not_there_holds_nothing_up(ringway, authority, unused_port):
    pair = issue(authority, ["a.example"], f"http://127.0.0.1:{unused_port}")
    server = ringway({"tls": {**keys(pair), "ocsp_stapling": True}})
    assert stapled(server, authority) is None
    server.wait_line("does not answer .*refused.*; not stapled")


def test_check_says_what_is_stapled(authority, tmp_path):
    named, silent = issue(authority, ["a.example"], "http://ocsp.example/"), issue(authority, ["b.example"])
    filed = issue(authority, ["c.example"])
    file = write(tmp_path / "c.ocsp", say(authority, filed[0]))
    lines = ['[server]\nlisten = "127.0.0.1:0"\n[tls]\nocsp_stapling = true\n']
    for pair, more in ((named, {}), (silent, {}), (filed, {"ocsp_path": file})):
        entry = "".join(f'{name} = "{value}"\n' for name, value in keys(pair, **more).items())
        lines.append(f"[[tls.certificates]]\n{entry}")
    (tmp_path / "config.toml").write_text("".join(lines))
    command = [sys.executable, "-m", "ringway", "check", "--config", str(tmp_path / "config.toml")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "OCSP from http://ocsp.example/" in text
    assert "OCSP from no responder: the certificate names none" in text
    assert re.search(r"OCSP good until \d{4}-", text)
