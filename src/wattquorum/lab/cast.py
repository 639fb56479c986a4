"""The cast of a demo market: who there is, with which keys, and what they sign first.

Operators are separate parties with separate keys, as they would be in a real market (`lab.offices`), among them three
governors of whom two must agree. Members come from members.toml. One `Signer` keeps the nonce of every party, so that
whoever acts only says what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.quantities import MS_PER_HOUR, Millis
from wattquorum.lab.members import Member, MemberMeter
from wattquorum.lab.offices import PROPOSER, ROLES
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.genesis import FORMAT, Founder, Genesis, chain_id_of, encode_genesis
from wattquorum.ledger.transactions import Body, MeterPoint, Payload, Register, sign
from wattquorum.simulation.demo_keys import DemoSecrets

APPROVALS_NEEDED: Final = 2
EXPIRY_BLOCKS: Final = 1_000
EXPIRY_MS: Final = 24 * MS_PER_HOUR
SIDES: Final = {"injection": Side.SELL, "withdrawal": Side.BUY}


def demo_genesis(
    secrets: DemoSecrets,
    name: str,
    currency: str,
    created_ms: Millis,
    replicas: Sequence[str] = (PROPOSER,),
    parameters: Mapping[str, int] | None = None,
) -> bytes:
    """The genesis of a demo chain as it is stored; `replicas` names those whose keys may propose blocks."""
    founders = tuple(Founder(party, party, secrets.key(party).public.hex(), roles) for party, roles in ROLES.items())
    proposers = tuple(secrets.key(replica).public.hex() for replica in replicas)
    changes = dict(parameters or {})
    genesis = Genesis(FORMAT, name, currency, True, created_ms, APPROVALS_NEEDED, founders, proposers, changes)
    secrets.check(genesis)
    return encode_genesis(genesis)


def meter_point(meter: MemberMeter) -> MeterPoint:
    """A member's meter as the ledger registers it."""
    return MeterPoint(
        meter.meter_id, SIDES[meter.direction], meter.feeder, meter.limit, meter.technology, meter.power_factor
    )


def registration(member: Member, key: SigningKey) -> Register:
    """What the registrar signs to admit a member."""
    return Register(key.public, member.name, member.owner, tuple(meter_point(meter) for meter in member.meters))


class Signer:
    """Signs for every party of a demo, and keeps their nonces."""

    __slots__ = ("_chain_id", "_keys", "_nonces", "addresses")

    def __init__(self, secrets: DemoSecrets, genesis_bytes: bytes, parties: Sequence[str]) -> None:
        self._chain_id = chain_id_of(genesis_bytes)
        self._keys = {party: secrets.key(party) for party in parties}
        self._nonces = dict.fromkeys(parties, 0)
        self.addresses = {party: address_of(self._chain_id, key.public) for party, key in self._keys.items()}

    def sign(self, party: str, payload: Payload, height: int, now_ms: int) -> bytes:
        """A party's next transaction."""
        nonce = self._nonces[party]
        self._nonces[party] = nonce + 1
        body = Body(self._chain_id, self.addresses[party], nonce, height + EXPIRY_BLOCKS, now_ms + EXPIRY_MS, payload)
        return sign(self._keys[party], body)

    def key(self, party: str) -> SigningKey:
        """A party's key."""
        return self._keys[party]
