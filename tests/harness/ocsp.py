"""Makes OCSP responses, and a responder that serves them over HTTP."""

import base64
import datetime
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from harness.authority import Authority
from harness.waiting import Journal

STATUS = {
    "good": ocsp.OCSPCertStatus.GOOD,
    "revoked": ocsp.OCSPCertStatus.REVOKED,
    "unknown": ocsp.OCSPCertStatus.UNKNOWN,
}


def issue(authority: Authority, names: list[str], url: str | None = None, **how: Any) -> tuple[Path, Path]:
    """Issues a certificate, followed by that of its issuer, and its key. `url`: the responder that it names."""
    extensions = list(how.pop("extensions", []))
    if url is not None:
        place = x509.UniformResourceIdentifier(url)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
        extensions.append(x509.AuthorityInformationAccess([access]))
    pair = authority.issue(names, extensions=extensions, **how)
    pair[0].write_bytes(pair[0].read_bytes() + authority.path.read_bytes())
    return pair


def opened(pair: tuple[Path, Path]) -> tuple[x509.Certificate, Any]:
    certificate = x509.load_pem_x509_certificates(pair[0].read_bytes())[0]
    return certificate, serialization.load_pem_private_key(pair[1].read_bytes(), None)


def say(
    authority: Authority,
    certificate: Path,
    status: str = "good",
    since: float = -60,
    until: float | None = 3600,
    signer: tuple[x509.Certificate, Any] | None = None,
    by_hash: bool = False,
    algorithm: hashes.HashAlgorithm | None = None,
) -> bytes:
    """Returns a response in DER form. Times are in seconds from now. `signer`: certificate and key of the signer, if
    that is not the authority. The response includes that certificate."""
    now = datetime.datetime.now(datetime.UTC)
    leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    own, key = signer or (authority.certificate, authority.key)
    revoked = status == "revoked"
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=leaf,
            issuer=authority.certificate,
            algorithm=algorithm or hashes.SHA1(),
            cert_status=STATUS[status],
            this_update=now + datetime.timedelta(seconds=since),
            next_update=None if until is None else now + datetime.timedelta(seconds=until),
            revocation_time=now if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH if by_hash else ocsp.OCSPResponderEncoding.NAME, own)
    )
    if signer is not None:
        builder = builder.certificates([own])
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class Responder:
    """A responder. `answer`: its answer to the next request, or a status of HTTP. `asked`: the serial numbers of all
    requests."""

    def __init__(self) -> None:
        self.answer: bytes | int = 503
        self.answers: dict[int, bytes] = {}
        """Answers by serial number. They replace `answer`."""
        self.asked: list[int] = []
        self.methods: list[str] = []
        self.journal = Journal()
        responder = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                responder.take(self, base64.b64decode(urllib.parse.unquote(self.path.rpartition("/")[2])))

            def do_POST(self) -> None:
                responder.take(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def take(self, handler: BaseHTTPRequestHandler, data: bytes) -> None:
        serial = ocsp.load_der_ocsp_request(data).serial_number
        answer = self.answers.get(serial, self.answer)
        body = answer if isinstance(answer, bytes) else b""
        handler.send_response(answer if isinstance(answer, int) else 200)
        handler.send_header("Content-Type", "application/ocsp-response")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        with self.journal:
            self.asked.append(serial)
            self.methods.append(handler.command)
            self.journal.notify_all()

    def __enter__(self) -> "Responder":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
