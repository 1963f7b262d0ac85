"""A certificate authority of one's own, for servers on this machine: it signs, and nobody else knows its key.

Certificates lie in PEM files, each with its key, as Kafka, Redis and Python read them: no key store, no program but
this one.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from boxoffice.embedded.folders import make_private, write_for_owner
from boxoffice.embedded.ports import HOST

if TYPE_CHECKING:
    from pathlib import Path

_VALID: Final = timedelta(days=365)
_EARLIER: Final = timedelta(hours=1)
"""Clocks of one machine agree; those of its containers nearly do."""


class Authority:
    """Signs for servers and clients on loopback; its files lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self.certificate: Final = self._folder / "authority.pem"
        """Whom to trust."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        # Another one's of the same name would be taken for it.
        self._name: Final = f"boxoffice {secrets.token_hex(8)}"
        self._own = _pem(self._signed(self._name, self._key, ca=True))

    def prepare(self) -> None:
        """Write its own certificate."""
        make_private(self._folder)
        self.certificate.write_bytes(self._own)

    def store(self, name: str) -> Path:
        """A file with a key, and the certificate of who has it, by that common name."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._signed(name, key, ca=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.path_of(name)
        write_for_owner(path, private + _pem(signed))
        return path

    def path_of(self, name: str) -> Path:
        """Where the store of that name lies."""
        return self._folder / f"{name}.pem"

    def _signed(self, subject: str, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        return _unsigned(subject, self._name, key.public_key(), ca=ca).sign(self._key, hashes.SHA256())


def _unsigned(subject: str, issuer: str, key: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
    )
    if ca:
        return builder.add_extension(_MAY_SIGN, critical=True)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST)), x509.DNSName("localhost")])
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return builder.add_extension(addresses, critical=False).add_extension(both, critical=False)


_MAY_SIGN: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
