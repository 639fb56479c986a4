"""Identities: tagged hashes, Ed25519 signatures and addresses.

H is SHA-256 over a length-prefixed domain tag, so that no hash of one kind can pass for another. Signatures are
Ed25519 by PyNaCl alone; its edge cases (it refuses non-canonical scalars and points of small order) are part of the
protocol. An address is the first 20 bytes of H(chain id, first key) and survives every rotation of the key (L-24).
Checking is a pure function here; checking many at once, over threads or processes, is handed in from above.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final, NamedTuple

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ADDRESS_BYTES: Final = 20
CHAIN_ID_BYTES: Final = 16
SIGNING_PREFIX: Final = b"WattQuorum signature 1\x00"


def tagged_hash(tag: str, *parts: bytes) -> bytes:
    """H(tag, parts): SHA-256 over the length-prefixed tag and the parts, 32 bytes."""
    return hashlib.sha256(_prefix(tag) + b"".join(parts)).digest()


@cache
def _prefix(tag: str) -> bytes:
    """The length-prefixed tag; there are two dozen in all."""
    name = tag.encode("ascii")
    return bytes((len(name),)) + name


def hasher(tag: str) -> Callable[[bytes], bytes]:
    """H(tag, .) with its tag prepared, for where thousands of things of one kind are hashed."""
    prefix, sha256 = _prefix(tag), hashlib.sha256

    def hash_of(data: bytes) -> bytes:
        return sha256(prefix + data).digest()

    return hash_of


def address_of(chain_id: bytes, first_key: bytes) -> bytes:
    """The address of an account: the first 20 bytes of H(chain id, its first public key)."""
    return tagged_hash("address", chain_id, first_key)[:ADDRESS_BYTES]


class SigningKey:
    """An Ed25519 key pair. The secret half never appears in a representation."""

    __slots__ = ("_secret", "public")

    def __init__(self, seed: bytes) -> None:
        self.public, self._secret = crypto_sign_seed_keypair(seed)

    def sign(self, purpose: str, message: bytes) -> bytes:
        """The 64-byte signature over the domain-separated prefix, the purpose and the message."""
        return bytes(crypto_sign(signed_bytes(purpose, message), self._secret)[:SIGNATURE_BYTES])


def signed_bytes(purpose: str, message: bytes) -> bytes:
    """What a signature covers: a fixed prefix, the purpose, and the message as it was received."""
    return _signing_prefix(purpose) + message


@cache
def _signing_prefix(purpose: str) -> bytes:
    return SIGNING_PREFIX + purpose.encode("ascii") + b"\x00"


class Signed(NamedTuple):
    """A signature to check: who, over which bytes (prefix included), and the signature."""

    key: bytes
    message: bytes
    signature: bytes


def is_signed(check: Signed) -> bool:
    """Whether the signature belongs to the key and the message."""
    if len(check.key) != KEY_BYTES or len(check.signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(check.signature + check.message, check.key)
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True


# The verdicts, in order. They may still be on their way when it returns: who takes one waits for it.
Verifier = Callable[[Sequence[Signed]], Iterable[bool]]


def verify_each(checks: Sequence[Signed]) -> list[bool]:
    """The verifier that checks here and now."""
    return [is_signed(check) for check in checks]
