"""Keyed hash: a stand-in for Ed25519 in worlds of many engines, a twentieth of its time.

It has the lengths of the real one, and only who holds a secret can make what others accept; that everybody checks with
the secrets themselves makes it worthless anywhere else. Engines are handed how to sign and to check, and cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from wattquorum.foundation.identities import Signed, signed_bytes, tagged_hash

# No formats of anything that is stored or sent: these tags live in a world and end with it.
_SECRET: Final = "secret"
_KEY: Final = "key"
_SIGNATURE: Final = "toy signature"


def secret_of(name: bytes) -> bytes:
    """What a party of a world signs with."""
    return tagged_hash(_SECRET, name)


def key_of(secret: bytes) -> bytes:
    """What others know a secret's holder by."""
    return tagged_hash(_KEY, secret)


class KeyedHash:
    """The signatures of the parties of a world."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._secrets = {key_of(secret): secret for secret in secrets}

    def signer(self, secret: bytes) -> Callable[[str, bytes], bytes]:
        """Signs (purpose, message) as who holds the secret."""

        def sign(purpose: str, message: bytes) -> bytes:
            return _made(secret, signed_bytes(purpose, message))

        return sign

    def verify(self, checks: Sequence[Signed]) -> list[bool]:
        """A verdict on each."""
        return [signature == _made(self._secrets[key], message) for key, message, signature in checks]


def _made(secret: bytes, message: bytes) -> bytes:
    made = tagged_hash(_SIGNATURE, secret, message)
    return made + made
