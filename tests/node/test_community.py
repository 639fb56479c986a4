"""The community's authority: what it certifies, what it revokes, and what is refused as not its own."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.node.communities import CHAIN, Community, address, now_ms
from wattquorum.foundation.refusals import Refused
from wattquorum.node import community
from wattquorum.node.community import DAY_MS, Authority, make_authority, make_request, read_identity, read_revocations

A = address(1)


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Community:
    return Community(tmp_path_factory.mktemp("village"))


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(Refused) as found:
        work()
    return found.value.code


def test_a_tls_identity_names_one_address_on_one_chain_for_a_time(village: Community) -> None:
    now = now_ms()
    _, request = make_request("anything")
    pem = village.authority.issue(request, CHAIN, A, now, days=7)
    found = read_identity(pem, village.authority.pem)
    assert (found.chain_id, found.address) == (CHAIN, A)
    assert 0 <= now + 7 * DAY_MS - found.ends_ms < 1_000
    assert found.begins_ms <= now - community.BACKDATED_MS + 1_000
    found.check_time(now)
    assert code_of(lambda: found.check_time(found.ends_ms)) == "tls_identity_expired"
    assert code_of(lambda: found.check_time(found.begins_ms - 1)) == "tls_identity_expired"
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each.value) for each in names] == [f"wattquorum:{CHAIN.hex()}/{A.hex()}"]
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {use.dotted_string for use in uses} == {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert community.identity_of(certificate.public_bytes(Encoding.DER)) == found


def test_serial_numbers_differ(village: Community) -> None:
    _, request = make_request("node")
    issued = [village.authority.issue(request, CHAIN, A, now_ms()) for _ in range(5)]
    assert len({read_identity(pem, village.authority.pem).serial for pem in issued}) == 5


def test_no_identity_outlives_its_authority(village: Community) -> None:
    key, pem = make_authority("short", now_ms(), days=3)
    authority = Authority(key, pem)
    _, request = make_request("node")
    found = read_identity(authority.issue(request, CHAIN, A, now_ms(), days=365), pem)
    assert found.ends_ms < now_ms() + 3 * DAY_MS + 1_000
    assert code_of(lambda: authority.issue(request, CHAIN, A, now_ms() + 4 * DAY_MS)) == "tls_identity_expired"


def requested(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    hashed = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
    built = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashed)
    return built.public_bytes(Encoding.PEM).decode()


def test_only_p256_keys_are_certified(village: Community) -> None:
    others = (
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65_537, 2_048),
    )
    for key in others:
        request = requested(key)
        assert code_of(lambda: village.authority.issue(request, CHAIN, A, now_ms())) == "out_of_range"  # noqa: B023


def test_a_request_must_be_signed_by_its_key(village: Community) -> None:
    _, request = make_request("node")
    der = x509.load_pem_x509_csr(request.encode()).public_bytes(Encoding.DER)
    import base64

    broken = der.replace(b"node", b"evil")
    pem = (
        f"-----BEGIN CERTIFICATE REQUEST-----\n{base64.b64encode(broken).decode()}\n-----END CERTIFICATE REQUEST-----\n"
    )
    assert code_of(lambda: village.authority.issue(pem, CHAIN, A, now_ms())) == "request_forged"
    for garbage in ("", "none", "\u00fc", request[:100]):
        found = code_of(lambda: village.authority.issue(garbage, CHAIN, A, now_ms()))  # noqa: B023
        assert found == "encoding_unreadable"


def test_what_another_authority_signed_is_refused(village: Community, tmp_path: Path) -> None:
    other = Community(tmp_path / "other", "village")
    _, request = make_request("node")
    pem = other.authority.issue(request, CHAIN, A, now_ms())
    assert code_of(lambda: read_identity(pem, village.authority.pem)) == "tls_identity_invalid"
    listed = other.authority.revocations((), 1, now_ms())
    assert code_of(lambda: read_revocations(listed, village.authority.pem)) == "community_foreign"
    for garbage in (b"", b"none", pem):
        assert code_of(lambda: read_revocations(garbage, village.authority.pem)) == "encoding_unreadable"  # noqa: B023
    key, _ = make_authority("village", now_ms())
    assert code_of(lambda: Authority(key, village.authority.pem)) == "community_foreign"


def test_an_authority_is_no_identity(village: Community) -> None:
    assert code_of(lambda: read_identity(village.authority.pem, village.authority.pem)) == "tls_identity_invalid"
    assert code_of(lambda: community.identity_of(b"garbage")) == "tls_identity_invalid"


def test_a_list_says_what_was_revoked_and_how_new_it_is(village: Community) -> None:
    listed = village.authority.revocations([(5, now_ms()), (7, now_ms())], 42, now_ms())
    found = read_revocations(listed, village.authority.pem)
    assert (found.number, sorted(found.serials)) == (42, [5, 7])
    assert read_revocations(village.authority.revocations((), 0, now_ms()), village.authority.pem).serials == set()


def test_a_signature_of_the_authority_is_for_one_purpose_and_one_message(village: Community) -> None:
    authority, signature = village.authority.pem, village.authority.sign("invitation", b"message")
    assert community.is_signed_by(authority, "invitation", b"message", signature)
    assert not community.is_signed_by(authority, "admission", b"message", signature)
    assert not community.is_signed_by(authority, "invitation", b"other", signature)
    assert not community.is_signed_by(authority, "invitation", b"message", signature[:-1])
    assert not community.is_signed_by(authority, "invitation", b"message", b"")


def test_contexts_take_tls_1_3_and_this_community_alone(village: Community) -> None:
    contexts = village.contexts(A)
    for context in (contexts.server, contexts.client):
        assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
        assert context.options & ssl.OP_NO_TICKET
        assert context.cert_store_stats() == {"x509": 1, "crl": 1, "x509_ca": 1}
    assert contexts.server.num_tickets == 0
    assert contexts.me.address == A


def test_a_key_is_known_by_its_identity(village: Community) -> None:
    key, request = make_request("node")
    other, _ = make_request("node")
    pem = village.authority.issue(request, CHAIN, A, now_ms())
    assert community.is_key_of(key, pem)
    assert not community.is_key_of(other, pem)
    assert code_of(lambda: community.is_key_of(b"none", pem)) == "encoding_unreadable"


def test_contexts_are_made_of_files_that_belong_together(village: Community, tmp_path: Path) -> None:
    other = Community(tmp_path / "other", "village")
    mine = village.certified(A)
    authority, listed = village.folder / "authority.pem", village.folder / "revoked.pem"
    made = community.make_contexts
    assert code_of(lambda: made(authority, other.folder / "revoked.pem", mine)) == "community_foreign"
    assert code_of(lambda: made(other.folder / "authority.pem", listed, mine)) == "community_foreign"
    assert code_of(lambda: made(authority, listed, other.certified(A))) == "tls_identity_invalid"
    assert code_of(lambda: made(authority, tmp_path / "nothing", mine)) == "file_unreadable"
    _, request = make_request("node")
    for key in (make_request("node")[0], b""):  # another key, and none
        mine.write_bytes(village.authority.issue(request, CHAIN, A, now_ms()) + key)
        assert code_of(lambda: made(authority, listed, mine)) == "tls_identity_invalid"


def test_the_fingerprint_and_the_name_are_those_of_the_certificate(village: Community) -> None:
    certificate = x509.load_pem_x509_certificate(village.authority.pem)
    assert community.fingerprint_of(village.authority.pem) == certificate.fingerprint(SHA256()).hex()
    assert community.name_of(village.authority.pem) == "village"
