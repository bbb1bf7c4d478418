"""What `[tls]` negotiates, as another project's scanner sees it: sslyze, with its check of Mozilla's profiles."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness.foreign import environment
from harness.waiting import DEADLINE

SCANNER = Path(sys.prefix) / "scanner" / "bin" / "sslyze"
SCANS = "certinfo sslv2 sslv3 tlsv1 tlsv1_1 tlsv1_2 tlsv1_3 elliptic_curves reneg compression fallback heartbleed robot"
SCANS += " openssl_ccs ems resum early_data"
pytestmark = pytest.mark.slow  # hundreds of handshakes, with the scanner's own timeouts


@pytest.fixture
def scan(ringway, authority, tmp_path):
    """Starts Ringway with these keys of `[tls]`, and an RSA and an ECDSA certificate. Returns the results of sslyze,
    and its complaints about a profile of Mozilla ("": none)."""
    pairs = [authority.issue(["localhost"], kind=kind) for kind in ("ECDSA", "RSA")]
    pairs = [{"cert_path": str(certificate), "key_path": str(key)} for certificate, key in pairs]

    def run(profile, both=True, **tls):
        server = ringway({"tls": {**pairs[0], "certificates": pairs[1:] if both else [], **tls}})
        report = tmp_path / "report.json"
        command = [SCANNER, *(f"--{name}" for name in SCANS.split()), f"--mozilla_config={profile}"]
        command += ["--certinfo_ca_file", authority.path, "--sni", "localhost", "--json_out", report]
        command += [f"127.0.0.1:{server.listener(tls=True).port}"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=10 * DEADLINE, env=environment(), check=False
        )
        verdict = done.stdout.partition("COMPLIANCE AGAINST TLS CONFIGURATION")[2]
        assert verdict, done.stdout + done.stderr
        assert (done.returncode == 0) == ("OK - Compliant" in verdict), verdict
        (result,) = json.loads(report.read_text())["server_scan_results"]
        found = {name: attempt["result"] for name, attempt in result["scan_result"].items() if attempt["result"]}
        return found, "" if done.returncode == 0 else verdict

    return run


def suites(found, version):
    return {
        accepted["cipher_suite"]["name"] for accepted in found[f"{version}_cipher_suites"]["accepted_cipher_suites"]
    }


def curves(found):
    return {curve["name"] for curve in found["elliptic_curves"]["supported_curves"]}


def test_the_default_is_mozillas_intermediate(scan):
    found, wrong = scan("intermediate")
    assert wrong == ""
    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        assert suites(found, version) == set()
        assert not found[f"{version}_cipher_suites"]["is_tls_version_supported"]
    assert suites(found, "tls_1_2") == {
        f"TLS_ECDHE_{kind}_WITH_{cipher}"
        for kind in ("ECDSA", "RSA")
        for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
    }
    assert suites(found, "tls_1_3") == {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    }
    assert curves(found) == {"X25519", "secp256r1", "secp384r1"}
    assert len(found["certificate_info"]["certificate_deployments"]) == 2


def test_what_has_a_name(scan):
    """Every attack that the scanner knows. Early data is never accepted, because it can be replayed (RFC 8446 8)."""
    found, _ = scan("intermediate")
    assert not found["tls_compression"]["supports_compression"]
    assert found["session_renegotiation"]["supports_secure_renegotiation"]
    assert not found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"]
    assert not found["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert not found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert found["robot"]["robot_result"] == "NOT_VULNERABLE_RSA_NOT_SUPPORTED"
    assert found["tls_fallback_scsv"]["supports_fallback_scsv"]
    assert found["tls_extended_master_secret"]["supports_ems_extension"]
    assert not found["tls_1_3_early_data"]["supports_early_data"]
    assert found["session_resumption"]["tls_ticket_resumption_result"] == "FULLY_SUPPORTED"


def test_tls_1_3_alone_is_mozillas_modern(scan):
    found, wrong = scan("modern", both=False, min_version="1.3")
    assert wrong == ""
    assert suites(found, "tls_1_2") == set()
    assert len(suites(found, "tls_1_3")) == 3


def test_what_is_configured_is_what_is_seen(scan):
    """The scanner does complain about a curve outside of Mozilla's profile."""
    ciphers = ["TLS_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"]
    found, wrong = scan("intermediate", ciphers=ciphers, curves=["P-521", "P-384"])
    assert suites(found, "tls_1_2") == {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"}
    assert suites(found, "tls_1_3") == {"TLS_AES_256_GCM_SHA384"}
    assert curves(found) == {"secp384r1", "secp521r1"}
    assert "secp521r1" in wrong
