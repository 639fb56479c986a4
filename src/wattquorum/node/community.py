"""The community's certificates: by which replicas know each other on the network.

One authority, made with the community, certifies for each replica a key of its own (P-256; ledger keys are never used
for TLS) under the replica's address on the chain, so that who speaks on a connection is who signs on the ledger. Both
sides of a connection show theirs, TLS 1.3 alone is spoken, and there are no tickets to resume by, so that nothing of an
earlier handshake is of use. Certificates end by themselves, and sooner when the authority's list says so.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wattquorum.foundation.identities import ADDRESS_BYTES, CHAIN_ID_BYTES
from wattquorum.foundation.refusals import Refused

AUTHORITY_YEARS: Final = 20
REPLICA_DAYS: Final = 730
LIST_DAYS: Final = 3_650  # a list that is old says nothing wrong; a community without its authority must go on
SCHEME: Final = "wattquorum:"
CLOCKS_APART: Final = timedelta(minutes=10)


class Identity(NamedTuple):
    """Whom a certificate names: a chain and a replica's address on it."""

    chain_id: bytes
    address: bytes

    @property
    def uri(self) -> str:
        """As it stands in the certificate."""
        return f"{SCHEME}{self.chain_id.hex()}/{self.address.hex()}"


class Authority:
    """The community's certifying key. Whoever has it decides who may connect, and nothing else."""

    __slots__ = ("_key", "certificate")

    def __init__(self, certificate_pem: bytes, key_pem: bytes) -> None:
        """From what `pem` and `key_pem` gave; Refused("certificate_wrong") for anything else."""
        try:
            key = serialization.load_pem_private_key(key_pem, None)
            self.certificate = x509.load_pem_x509_certificate(certificate_pem)
        except (ValueError, TypeError):
            raise Refused("certificate_wrong", "authority", "it cannot be read") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != self.certificate.public_key():
            raise Refused("certificate_wrong", "authority", "its key is another's")
        self._key = key

    @classmethod
    def create(cls, name: str, now: datetime) -> Authority:
        """A new authority of this name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(
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
        certificate = (
            _builder(subject, subject, now, now + timedelta(days=365 * AUTHORITY_YEARS))
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate.public_bytes(serialization.Encoding.PEM), private_pem(key))

    @property
    def pem(self) -> bytes:
        """Its certificate, which everybody in the community has."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """Its secret."""
        return private_pem(self._key)

    def certify(self, request_pem: bytes, identity: Identity, now: datetime, days: int = REPLICA_DAYS) -> bytes:
        """A certificate for the key of a signing request. Who asks, and for which address, the caller has checked."""
        try:
            request = x509.load_pem_x509_csr(request_pem)
            key = request.public_key()
            signed = request.is_signature_valid
        except (ValueError, InvalidSignature):
            raise Refused("certificate_wrong", "request", "it cannot be read") from None
        if not signed or not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise Refused("certificate_wrong", "request", "it is not signed by a P-256 key")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.address.hex())])
        certificate = (
            _builder(subject, self.certificate.subject, now, now + timedelta(days=days))
            .public_key(key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=True
            )
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.uri)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def revoked(self, serials: Mapping[int, datetime], now: datetime) -> bytes:
        """The list of certificates that count no more, by serial number, and since when."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - CLOCKS_APART)
            .next_update(now + timedelta(days=LIST_DAYS))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for serial, since in sorted(serials.items()):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _builder(subject: x509.Name, issuer: x509.Name, since: datetime, until: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since - CLOCKS_APART)
        .not_valid_after(until)
    )


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A secret key as a file holds it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def new_key() -> tuple[bytes, bytes]:
    """A new TLS key and a request to certify it."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return private_pem(key), request.public_bytes(serialization.Encoding.PEM)


def serials(list_pem: bytes, authority_pem: bytes) -> dict[int, datetime]:
    """The certificates that a list revokes; Refused("certificate_wrong") unless the authority signed it."""
    try:
        found = x509.load_pem_x509_crl(list_pem)
        key = x509.load_pem_x509_certificate(authority_pem).public_key()
        signed = isinstance(key, ec.EllipticCurvePublicKey) and found.is_signature_valid(key)
    except (ValueError, TypeError):
        raise Refused("certificate_wrong", "list", "it cannot be read") from None
    if not signed:
        raise Refused("certificate_wrong", "list", "the community's authority did not sign it")
    return {each.serial_number: each.revocation_date_utc for each in found}


def serial_of(certificate_pem: bytes) -> int:
    """A certificate's serial number; Refused("certificate_wrong") where it cannot be read."""
    try:
        return x509.load_pem_x509_certificate(certificate_pem).serial_number
    except ValueError:
        raise Refused("certificate_wrong", "certificate", "it cannot be read") from None


def now_utc() -> datetime:
    """What time it is."""
    return datetime.now(UTC)


class TlsFiles(NamedTuple):
    """Where a node has what it shows and what it checks by."""

    authority: Path
    certificate: Path
    key: Path
    revoked: Path


def contexts(files: TlsFiles) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """How a node is connected to, and how it connects: TLS 1.3, certificates of the community on both sides.

    Raises Refused("certificate_wrong") where the files are not what they should be.
    """
    found = []
    for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # names are addresses on the chain, which the certificate has and DNS does not
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_X509_STRICT
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            context.num_tickets = 0
        try:
            context.load_cert_chain(files.certificate, files.key)
            context.load_verify_locations(files.authority)
            context.load_verify_locations(files.revoked)
        except (ssl.SSLError, OSError) as fault:
            raise Refused("certificate_wrong", "files", f"{files.certificate.parent}: {fault}") from None
        found.append(context)
    return found[0], found[1]


def identity_of(certificate: Mapping[str, Any]) -> Identity | None:
    """Whom a certificate that TLS has verified names, as `getpeercert` gives it; None where it is no replica's."""
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "URI" and value.startswith(SCHEME):
            chain, _, address = value.removeprefix(SCHEME).partition("/")
            try:
                found = Identity(bytes.fromhex(chain), bytes.fromhex(address))
            except ValueError:
                return None
            fits = len(found.chain_id) == CHAIN_ID_BYTES and len(found.address) == ADDRESS_BYTES
            return found if fits and found.uri == value else None
    return None
