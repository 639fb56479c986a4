"""Demo keys and salts: derived from a seed, for chains that say that they are demos, and for nothing else.

A demo must repeat to the byte, so its keys come from its seed; whoever knows the seed can sign as anybody. Every
derivation therefore asks for the genesis and refuses one that is not marked `demo`. A live chain's keys are random:
`wattquorum keys`.
"""

from __future__ import annotations

from wattquorum.foundation.identities import SigningKey, tagged_hash
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.genesis import Genesis

SALT_BYTES = 16


class DemoSecrets:
    """Keys and salts of one demo by name."""

    __slots__ = ("_seed",)

    def __init__(self, seed: int, *, demo: bool) -> None:
        """Refused("demo_only") unless the chain is a demo."""
        if not demo:
            raise Refused("demo_only", "seed", seed)
        self._seed = str(seed).encode()

    def key_seed(self, name: str) -> bytes:
        """What the key of a party of the demo is made from."""
        return tagged_hash("demo key", self._seed, b"\x00", name.encode())

    def key(self, name: str) -> SigningKey:
        """The key of a party of the demo."""
        return SigningKey(self.key_seed(name))

    def salt(self, meter: str, day: int, version: int) -> bytes:
        """The salt of a meter's row."""
        place = f"{meter}/{day}/{version}".encode()
        return tagged_hash("demo salt", self._seed, b"\x00", place)[:SALT_BYTES]

    def check(self, genesis: Genesis) -> None:
        """Refuses a genesis that is not marked as a demo."""
        if not genesis.demo:
            raise Refused("demo_only", "genesis.demo", genesis.demo)
