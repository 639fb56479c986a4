"""The community's authority and its TLS identities: who may connect to whom.

A TLS identity says which ledger address a connection's other end has, on which chain; it is certified by the one
authority that the community founded, for a lifetime, and can be revoked by a signed list. It is no part of the ledger:
whoever holds the authority's key can let strangers connect, but cannot sign a transaction or a block for anybody. TLS
keys are P-256, so that an Ed25519 key never signs anything but what the ledger defines. cryptography is imported here
alone, and for X.509 alone. Times are arguments, in ms since 1970.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wattquorum.foundation.identities import ADDRESS_BYTES, CHAIN_ID_BYTES
from wattquorum.foundation.intervals import format_moment
from wattquorum.foundation.refusals import Refused
from wattquorum.node.disk import read_file

AUTHORITY_DAYS: Final = 7_305  # twenty years; what it certified ends with it
IDENTITY_DAYS: Final = 365
BACKDATED_MS: Final = 3_600_000  # clocks of members may be behind by as much
DAY_MS: Final = 86_400_000
SIGNING_PREFIX: Final = b"WattQuorum authority 1\x00"  # no certificate or list begins so: their DER begins with 0x30
_URI: Final = re.compile(rf"wattquorum:([0-9a-f]{{{2 * CHAIN_ID_BYTES}}})/([0-9a-f]{{{2 * ADDRESS_BYTES}}})")
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)


class Identity(NamedTuple):
    """What a TLS identity says: the chain, the ledger address on it, and in which time it holds [ms]."""

    chain_id: bytes
    address: bytes
    serial: int
    begins_ms: int
    ends_ms: int

    def check_time(self, now_ms: int) -> None:
        """Refused("tls_identity_expired") outside its lifetime."""
        if not self.begins_ms <= now_ms < self.ends_ms:
            raise Refused("tls_identity_expired", "TLS identity", f"valid until {format_moment(self.ends_ms)}")


class Revocations(NamedTuple):
    """A list of what was revoked, by serial number, and how new it is."""

    number: int
    serials: frozenset[int]


class Contexts(NamedTuple):
    """What a node's connections are made with: both ends' rules, and what they check of the other end themselves."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    me: Identity
    revocations: Revocations


class Authority:
    """The community's authority with its secret key: it certifies, revokes and signs."""

    __slots__ = ("_certificate", "_key", "pem")

    def __init__(self, key_pem: bytes, pem: bytes) -> None:
        """Refused("community_foreign") when the key is not that of the certificate."""
        self._key = _private_key(key_pem, "authority.key")
        self._certificate = _certificate(pem, "authority.pem")
        self.pem = pem
        if self._key.public_key() != self._certificate.public_key():
            raise Refused("community_foreign", "authority.key", "another key", "Restore the key of this community.")

    def issue(self, request_pem: str, chain_id: bytes, address: bytes, now_ms: int, days: int = IDENTITY_DAYS) -> bytes:
        """A TLS identity (PEM) for the key of a certificate request, which must be P-256 and must have signed it.

        Nothing else is taken from the request: what the identity says is decided here.
        """
        key = _requested_key(request_pem)
        begins = _moment(max(now_ms - BACKDATED_MS, _begins_ms(self._certificate)))
        ends = _moment(min(now_ms + days * DAY_MS, _ends_ms(self._certificate)))
        if begins >= ends:
            until = format_moment(_ends_ms(self._certificate))
            remedy = "The authority has run out, or will not begin yet: found a new community."
            raise Refused("tls_identity_expired", "authority", f"valid until {until}", remedy)
        uri = x509.UniformResourceIdentifier(f"wattquorum:{chain_id.hex()}/{address.hex()}")
        both = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        built = (
            _builder(_named(address.hex()), self._certificate.subject, key, begins, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._known_by(), critical=False)
        )
        return built.sign(self._key, SHA256()).public_bytes(Encoding.PEM)

    def revocations(self, revoked: Iterable[tuple[int, int]], number: int, now_ms: int) -> bytes:
        """The signed list (PEM) of serial numbers and when each was revoked [ms].

        It holds until the authority ends: an old list must not stop a community whose operator is away. That a node
        never goes back to an older one is told by `number`, which rises.
        """
        built = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(_moment(max(now_ms - BACKDATED_MS, _begins_ms(self._certificate))))
            .next_update(self._certificate.not_valid_after_utc)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._known_by(), critical=False)
        )
        for serial, at_ms in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_moment(at_ms)).build()
            built = built.add_revoked_certificate(entry)
        return built.sign(self._key, SHA256()).public_bytes(Encoding.PEM)

    def sign(self, purpose: str, message: bytes) -> bytes:
        """The authority's ECDSA signature (DER) over a prefix, the purpose and the message."""
        return self._key.sign(_signed_bytes(purpose, message), ec.ECDSA(SHA256()))

    def _known_by(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def make_authority(name: str, now_ms: int, days: int = AUTHORITY_DAYS) -> tuple[bytes, bytes]:
    """A new authority: its secret key and its certificate (PEM)."""
    secret = ec.generate_private_key(ec.SECP256R1())
    key = secret.public_key()
    begins, ends = _moment(now_ms - BACKDATED_MS), _moment(now_ms + days * DAY_MS)
    built = (
        _builder(_named(name), _named(name), key, begins, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key), critical=False)
    )
    return _secret_pem(secret), built.sign(secret, SHA256()).public_bytes(Encoding.PEM)


def make_request(name: str) -> tuple[bytes, str]:
    """A new TLS key (PEM) and the request to certify it (PEM), signed by it."""
    secret = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_named(name)).sign(secret, SHA256())
    return _secret_pem(secret), request.public_bytes(Encoding.PEM).decode("ascii")


def fingerprint_of(authority_pem: bytes) -> str:
    """The SHA-256 of the authority's certificate, for people to compare over the telephone."""
    return _certificate(authority_pem, "authority").fingerprint(SHA256()).hex()


def name_of(authority_pem: bytes) -> str:
    """The community's name."""
    return _common_name(_certificate(authority_pem, "authority"))


def is_signed_by(authority_pem: bytes, purpose: str, message: bytes, signature: bytes) -> bool:
    """Whether the authority signed this message for this purpose."""
    key = _certificate(authority_pem, "authority").public_key()
    if not _is_p256(key):
        return False
    try:
        cast(ec.EllipticCurvePublicKey, key).verify(signature, _signed_bytes(purpose, message), ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def identity_of(der: bytes) -> Identity:
    """What a TLS identity says whose chain of trust has been checked, as that of a connection's other end has.

    Refused("tls_identity_invalid") unless it names one address, the same twice, and one chain.
    """
    try:
        return _identity(x509.load_der_x509_certificate(der))
    except _UNREADABLE:
        raise Refused("tls_identity_invalid", "TLS identity", der[:16]) from None


def read_identity(pem: bytes, authority_pem: bytes) -> Identity:
    """What a TLS identity (PEM) says after checking that this authority signed it; Refused("tls_identity_invalid")."""
    certificate = _certificate(pem, "TLS identity")
    try:
        certificate.verify_directly_issued_by(_certificate(authority_pem, "authority"))
    except (InvalidSignature, *_UNREADABLE):
        raise Refused("tls_identity_invalid", "TLS identity", "not signed by this authority") from None
    return _identity(certificate)


def is_key_of(key_pem: bytes, pem: bytes) -> bool:
    """Whether a secret key is that of a TLS identity."""
    return _private_key(key_pem, "TLS key").public_key() == _certificate(pem, "TLS identity").public_key()


def is_requested_by(pem: bytes, request_pem: str) -> bool:
    """Whether a TLS identity certifies the key of a request."""
    return _requested_key(request_pem) == _certificate(pem, "TLS identity").public_key()


def read_revocations(pem: bytes, authority_pem: bytes) -> Revocations:
    """A list of revocations after checking that this authority signed it; Refused("community_foreign")."""
    try:
        listed = x509.load_pem_x509_crl(pem)
        number = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (x509.ExtensionNotFound, *_UNREADABLE):
        raise Refused("encoding_unreadable", "list of revocations", pem[:32].decode("ascii", "replace")) from None
    authority = _certificate(authority_pem, "authority")
    if not _is_p256(authority.public_key()) or not listed.is_signature_valid(
        cast(ec.EllipticCurvePublicKey, authority.public_key())
    ):
        raise Refused("community_foreign", "list of revocations", "signed by another authority")
    return Revocations(number, frozenset(each.serial_number for each in listed))


def make_contexts(authority: Path, revocations: Path, identity: Path) -> Contexts:
    """Both ends' TLS: 1.3 alone, each end certified by the community's authority and by no other.

    `identity` holds a node's TLS identity and its secret key. No session is ever resumed and nothing is taken
    before the handshake ends, so that what somebody recorded opens nothing.
    Refused where a file is missing, cannot be read, or is another community's.
    """
    authority_pem = read_file(authority, authority.name)
    revoked = read_revocations(read_file(revocations, revocations.name), authority_pem)
    me = read_identity(read_file(identity, identity.name), authority_pem)
    made = []
    for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(protocol)
        context.check_hostname = False  # an end is known by its ledger address, which is compared after the handshake
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_CRL_CHECK_LEAF
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        try:
            context.load_verify_locations(cafile=authority)
            context.load_verify_locations(cafile=revocations)
            context.load_cert_chain(identity, password="")  # so that OpenSSL never asks on a terminal
        except ssl.SSLError as fault:
            raise Refused("tls_identity_invalid", identity.name, fault.reason or "its key cannot be used") from None
        made.append(context)
    server, client = made
    server.num_tickets = 0
    return Contexts(server, client, me, revoked)


def _identity(certificate: x509.Certificate) -> Identity:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (name,) = names
        found = _URI.fullmatch(str(name.value))
    except (x509.ExtensionNotFound, *_UNREADABLE):
        found = None
    if found is None or _common_name(certificate) != found[2]:
        raise Refused("tls_identity_invalid", "TLS identity", _common_name(certificate))
    chain_id, address = bytes.fromhex(found[1]), bytes.fromhex(found[2])
    return Identity(chain_id, address, certificate.serial_number, _begins_ms(certificate), _ends_ms(certificate))


def _certificate(pem: bytes, field: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except _UNREADABLE:
        raise Refused("encoding_unreadable", field, pem[:32].decode("ascii", "replace")) from None


def _private_key(pem: bytes, field: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except _UNREADABLE:
        raise Refused("encoding_unreadable", field, "no secret key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not _is_p256(key.public_key()):
        raise Refused("out_of_range", field, "another kind of key", "TLS keys are P-256.")
    return key


def _requested_key(pem: str) -> ec.EllipticCurvePublicKey:
    try:
        request = x509.load_pem_x509_csr(pem.encode("ascii"))
        key = request.public_key()
    except (UnicodeEncodeError, *_UNREADABLE):
        raise Refused("encoding_unreadable", "certificate request", pem[:32]) from None
    if not _is_p256(key):
        raise Refused("out_of_range", "certificate request", "another kind of key", "TLS keys are P-256.")
    if not request.is_signature_valid:
        raise Refused("request_forged", "certificate request", "not signed by its key")
    return cast(ec.EllipticCurvePublicKey, key)


def _is_p256(key: object) -> bool:
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    """For an authority: it signs certificates and lists; for a TLS identity: handshakes."""
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _common_name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def _secret_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _signed_bytes(purpose: str, message: bytes) -> bytes:
    return SIGNING_PREFIX + purpose.encode("ascii") + b"\x00" + message


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1_000, UTC)


def _begins_ms(certificate: x509.Certificate) -> int:
    return _ms(certificate.not_valid_before_utc)


def _ends_ms(certificate: x509.Certificate) -> int:
    return _ms(certificate.not_valid_after_utc)


def _ms(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
