"""`[tls]`, `[[tls.certificates]]` and `[tls.hosts."host"]`."""

from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from ringway.config import values
from ringway.config.sections.kinds import Bytes, HostName, SystemPath, size
from ringway.config.sections.section import Section

Cipher = Literal[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
]
Curve = Literal["X25519", "P-256", "P-384", "P-521"]


class Certificate(Section):
    """A further certificate. Repeat `[[tls.certificates]]` for each one. Ringway reads the host names from the
    certificate."""

    cert_path: SystemPath = Field(
        description="PEM file with the certificate, followed by its intermediate certificates.",
        examples=["/etc/ringway/example.org.crt"],
    )
    key_path: SystemPath = Field(
        description="PEM file with its private key, without a passphrase.", examples=["/etc/ringway/example.org.key"]
    )
    ocsp_path: SystemPath | None = Field(
        default=None,
        description="File with the authority's OCSP response for this certificate, in DER form, for stapling. "
        "Ringway verifies the response and loads it again after a change, like the certificate. It logs a response "
        "that is wrong or has expired, and does not send it. The issuer's certificate must follow the host's "
        "certificate in `cert_path`.",
        examples=["/etc/ringway/example.org.ocsp"],
    )


class TlsHost(Section):
    """Settings for TLS connections of one host: `[tls.hosts."example.com"]`, `"*.example.com"` or `"*"`."""

    hsts: Annotated[str, AfterValidator(values.hsts)] | None = Field(
        default=None,
        description="Value of Strict-Transport-Security. Ringway sends this field with every response of the host's "
        "routes over TLS (RFC 6797). Browsers then use only HTTPS for that long. Begin with a short `max-age`, "
        "because you cannot revoke it.",
        examples=["max-age=31536000; includeSubDomains"],
    )
    client_ca: SystemPath | None = Field(
        default=None,
        description="Like `client_ca` of `[tls]`, for this host. Absent: the value of the nearest wildcard above the "
        "host, else of `[tls]`.",
        examples=["/etc/ringway/partners-ca.pem"],
    )
    client_auth: Literal["require", "optional", "off"] | None = Field(
        default=None,
        description="Like `client_auth` of `[tls]`, for this host. Absent: the value of the nearest wildcard above "
        "the host, else of `[tls]`.",
        examples=["require"],
    )


class Tls(Section):
    """Certificates and policy for `listen`. Without this section `listen` serves plain HTTP.

    Ringway selects a certificate for the host that a client asks for (SNI), by exact name or by `*.` name. A client
    that asks for no host or for an unknown one gets the default: the pair of `cert_path` and `key_path`, or else the
    first certificate. You can have RSA and ECDSA certificates for the same names. When a file changes, Ringway reads
    it again within seconds, checks it, and uses it for new connections without a restart. When the file has an error,
    Ringway logs it and keeps the old certificate.
    """

    cert_path: SystemPath | None = Field(
        default=None,
        description="PEM file with the certificate, followed by its intermediate certificates. A relative path "
        "starts at the folder of the configuration file. `ringway cert DIR` makes a self-signed certificate.",
        examples=["./server.crt", "/etc/letsencrypt/live/example.com/fullchain.pem"],
    )
    key_path: SystemPath | None = Field(
        default=None,
        description="PEM file with the private key of the certificate, without a passphrase. Only the supervisor "
        "reads it.",
        examples=["./server.key"],
    )
    ocsp_path: SystemPath | None = Field(
        default=None,
        description="File with the authority's OCSP response for the certificate of `cert_path`, in DER form, for "
        "stapling. Ringway verifies the response and loads it again after a change, like the certificate. It logs a "
        "response that is wrong or has expired, and does not send it. The issuer's certificate must follow the "
        "host's certificate in `cert_path`.",
        examples=["/etc/ringway/example.com.ocsp"],
    )
    ocsp_stapling: bool = Field(
        default=False,
        description="Fetch OCSP responses from the responders that certificates name, verify them, and staple them. "
        "The supervisor fetches a response again when half of its lifetime is left. Workers never wait for a "
        "response. Ringway fetches nothing for a certificate that names no responder or has an `ocsp_path`.",
    )
    ocsp_cache: SystemPath | None = Field(
        default=None,
        description="Folder for fetched OCSP responses, which keeps them over a restart or an upgrade. Absent: "
        "Ringway fetches them again. A reload keeps them in any case.",
        examples=["/var/cache/ringway"],
    )
    certificates: list[Certificate] = Field(
        default=[], description="Further certificates, each a table with `cert_path` and `key_path`."
    )
    certificates_path: SystemPath | None = Field(
        default=None,
        description="Folder with further certificates, in the layouts of certbot, lego, acme.sh, Caddy, mkcert, "
        "HAProxy and Kubernetes: `NAME.crt` (or `.pem`, `.cer`) with `NAME.key`, `NAME.pem` with `NAME-key.pem`, "
        "`fullchain.pem` with `privkey.pem`. Ringway reads the folder and the folders in it. The folder can be empty "
        "when `plain_listen` is set. Ringway staples an OCSP response beside a certificate (`NAME.ocsp`, "
        "`fullchain.ocsp`), like that of an `ocsp_path`. It notices new and removed files.",
        examples=["/etc/letsencrypt/live"],
    )
    client_ca: SystemPath | None = Field(
        default=None,
        description="PEM file with the authorities that Ringway accepts client certificates from. After a change of "
        "the file, Ringway uses it for new connections, without a restart.",
        examples=["/etc/ringway/clients-ca.pem"],
    )
    client_auth: Literal["require", "optional", "off"] | None = Field(
        default=None,
        description='Whether clients must show a certificate: `"require"`, `"optional"` (Ringway answers 400 when it '
        'does not accept the certificate of a client), `"off"`. Upstreams get the identity of the client, see '
        "docs/tls.md. Absent: off.",
        examples=["require"],
    )
    hosts: dict[HostName, TlsHost] = Field(
        default={}, description='Further settings by host, see `[tls.hosts."host"]`.'
    )
    min_version: Literal["1.2", "1.3"] = Field(
        default="1.2", description="The oldest version of TLS that Ringway accepts."
    )
    ciphers: list[Cipher] = Field(
        default=list(get_args(Cipher)),
        min_length=1,
        description="Cipher suites by OpenSSL's names. Names of TLS 1.3 begin with `TLS_`. All of them have forward "
        "secrecy and authenticated encryption. The client's order decides. The default is Mozilla's intermediate set "
        "without finite-field Diffie-Hellman.",
    )
    curves: list[Curve] = Field(
        default=["X25519", "P-256", "P-384"],
        min_length=1,
        description="Groups for the key exchange, in order of preference.",
    )
    ktls_enabled: bool = Field(
        default=False,
        description="Kernel TLS: after the handshake the kernel encrypts and decrypts, and files go by sendfile "
        "straight to the encrypted connection. It needs the kernel's `tls` module (`modprobe tls`). `ringway check` "
        "shows which versions and ciphers the kernel supports. All others stay in user space, see "
        "`ktls_fallback_enabled`.",
    )
    ktls_fallback_enabled: bool = Field(
        default=True,
        description="Use TLS in user space when kernel TLS is not available. `false` makes kernel TLS mandatory. "
        "Ringway then does not start when kernel TLS works with no version and cipher, and rejects connections that "
        "negotiate an unsupported one.",
    )
    ktls_directions: Literal["both", "send"] = Field(
        default="both",
        description='Directions that the kernel takes over: `"both"`, or `"send"` (only encryption).',
    )
    ktls_after: Bytes = size(
        0,
        0,
        2**62,
        "Bytes of output that Ringway encrypts in user space on each connection before the kernel takes over "
        "sending. 0: the kernel takes over right after the handshake.",
    )

    @field_validator("ocsp_cache")
    @classmethod
    def _only_fetched(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("ocsp_stapling") is False:
            raise values.Flaw(
                "nothing is fetched without `ocsp_stapling`", "add ocsp_stapling = true, or remove `ocsp_cache`"
            )
        return value

    @model_validator(mode="after")
    def _some_certificate(self) -> Self:
        if (self.cert_path is None) != (self.key_path is None):
            missing, given = ("key_path", "cert_path") if self.key_path is None else ("cert_path", "key_path")
            suffix = {"cert_path": "crt", "key_path": "key"}[missing]
            raise values.Flaw(f"`{given}` needs `{missing}` beside it", f'add {missing} = "./server.{suffix}"')
        if self.ocsp_path is not None and self.cert_path is None:
            raise values.Flaw("`ocsp_path` belongs to a certificate", "add cert_path, or remove `ocsp_path`")
        if self.cert_path is None and not self.certificates and self.certificates_path is None:
            raise values.Flaw("there is no certificate", 'add cert_path = "./server.crt" and key_path = "./server.key"')
        return self
