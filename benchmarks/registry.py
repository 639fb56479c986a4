"""A registry of a million bundles: splits, transfers and retirements a second.

The rules are executed as the ledger does them, without signatures; the floor is the same change made to a bare
dictionary of the same bundles, without checks, journal, index or facts. After each kind the state's digest of the
changes is taken, as a block would, and belongs to ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.measuring import Line, Section, seconds
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import SigningKey, address_of, tagged_hash
from wattquorum.foundation.intervals import MS_PER_DAY
from wattquorum.foundation.quantities import MS_PER_HOUR, Millis
from wattquorum.green.certificates import WHOLE
from wattquorum.ledger.accounts import Account, Role, Side, Status, reserved
from wattquorum.ledger.certificates import retire_certificates, split_bundle, transfer_certificates
from wattquorum.ledger.context import Context, Tariffs
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.genesis import Founder, Genesis, encode_genesis
from wattquorum.ledger.holdings import Bundle, BundleStatus, Device
from wattquorum.ledger.state import Meter, State, Table, next_digest
from wattquorum.ledger.transactions import (
    MeterPoint,
    Payload,
    RetireCertificates,
    SplitBundle,
    TransferCertificates,
    identifier,
)

BUNDLES: Final = 1_000_000
OWNERS: Final = 1_000
ACTIONS: Final = 20_000  # of each kind
CERTIFICATES: Final = 4  # in each bundle
START: Final = 1_465_768_800_000
METER: Final = "bench-wind"


class Registry:
    """A state with owners, one device and its bundles, all of whole certificates."""

    def __init__(self, bundles: int, owners: int) -> None:
        key = SigningKey(tagged_hash("benchmark key", b"registry"))
        founder = Founder("operator", "operator", key.public.hex(), ("GOVERNOR",))
        genesis = Genesis(1, "registry", "CNY", True, START - MS_PER_DAY, 1, (founder,), (key.public.hex(),), {})
        self.ledger = Ledger(encode_genesis(genesis))
        self.state: State = self.ledger.state
        self.owners = [address_of(self.ledger.chain_id, bytes([i % 256, i // 256])) for i in range(owners)]
        for i, owner in enumerate(self.owners):
            roles = int(Role.GENERATOR | Role.CONSUMER)
            name = f"owner-{i}"
            self.state.put(Table.ACCOUNT, owner, Account(key.public, Status.ACTIVE, roles, 0, 0, 0, name, name, 0, 0))
        point = MeterPoint(METER, Side.SELL, "f", 1, "wind", 1)
        self.state.put(Table.METER, METER.encode(), Meter(self.owners[0], point, 0))
        self.state.put(Table.DEVICE, METER.encode(), Device(0, bundles * CERTIFICATES, 0))
        self.keys: list[tuple[bytes, bytes]] = []
        for i in range(bundles):
            owner, bundle_id = self.owners[i % owners], identifier(tagged_hash("bundle", i.to_bytes(8, "big")))
            hour = START + i % (365 * 24) * MS_PER_HOUR
            first = i * CERTIFICATES
            self.state.put(
                Table.BUNDLE,
                owner + bundle_id,
                Bundle(
                    METER,
                    WHOLE,
                    first,
                    first + CERTIFICATES,
                    hour,
                    hour + MS_PER_HOUR,
                    hour + 365 * MS_PER_DAY,
                    BundleStatus.ACTIVE,
                    True,
                ),
            )
            self.keys.append((owner, bundle_id))
        self.state.commit()
        self.context = Context(
            self.state, self.ledger.shelf, Tariffs(), self.ledger.chain_id, reserved(self.ledger.chain_id)
        )
        self.context.now, self.context.height = Millis(START), 1

    def run(self, rule: Callable[[Context, Any], None], said: Sequence[tuple[bytes, Payload]]) -> None:
        """Executes payloads by their senders, and takes the digest of what changed."""
        for number, (sender, payload) in enumerate(said):
            self.context.sender = sender
            self.context.hash = tagged_hash("benchmark", number.to_bytes(8, "big"), type(payload).__name__.encode())
            self.context.facts = []
            rule(self.context, payload)
        next_digest(bytes(32), self.state.changes())
        self.state.commit()


def measured(bundles: int = BUNDLES, owners: int = OWNERS, actions: int = ACTIONS) -> Section:
    """Each kind on bundles of its own, spread over the registry."""
    registry = Registry(bundles, owners)
    bare = {owner + bundle_id: CERTIFICATES for owner, bundle_id in registry.keys}
    step = bundles // (3 * actions)
    lots = [registry.keys[kind * step :: 3 * step][:actions] for kind in range(3)]
    next_owner = dict(zip(registry.owners, [*registry.owners[1:], registry.owners[0]], strict=True))

    def split(keys: Sequence[tuple[bytes, bytes]]) -> None:
        for owner, bundle_id in keys:
            size = bare.pop(owner + bundle_id)
            bare[owner + tagged_hash("bundle", bundle_id, b"1")[:16]] = 1
            bare[owner + tagged_hash("bundle", bundle_id, b"2")[:16]] = size - 1

    def move(keys: Sequence[tuple[bytes, bytes]]) -> None:
        for owner, bundle_id in keys:
            bare[next_owner[owner] + bundle_id] = bare.pop(owner + bundle_id)

    def retire(keys: Sequence[tuple[bytes, bytes]]) -> None:
        for owner, bundle_id in keys:
            bare[owner + bundle_id] = 0

    kinds: tuple[tuple[str, Callable[[Context, Any], None], Callable[[bytes, bytes], Payload], Any], ...] = (
        ("splits", split_bundle, lambda _, bundle_id: SplitBundle(bundle_id, 1), split),
        (
            "transfers",
            transfer_certificates,
            lambda owner, bundle_id: TransferCertificates(bundle_id, CERTIFICATES, next_owner[owner]),
            move,
        ),
        (
            "retirements",
            retire_certificates,
            lambda _, bundle_id: RetireCertificates(bundle_id, CERTIFICATES, "", "benchmark"),
            retire,
        ),
    )
    lines = []
    for (name, rule, payload, floor), keys in zip(kinds, lots, strict=True):
        said = [(owner, payload(owner, bundle_id)) for owner, bundle_id in keys]
        ours, least = seconds(lambda: registry.run(rule, said)), seconds(lambda: floor(keys))  # noqa: B023
        lines.append(Line(name, len(keys) / ours, "a second", f"{ours / least:.0f} times the bare dictionary"))
    size = len(encode(registry.state.get(Table.BUNDLE, b"".join(registry.keys[-1]))))
    lines.append(Line("a bundle, encoded", size, "bytes"))
    return Section(f"A registry of {bundles:,} bundles of {owners:,} owners", lines)
