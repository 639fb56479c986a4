"""Payloads of every type with values of every kind: whatever a signer says, it is done or refused, and nothing raises.

The values are drawn from the payloads' own types, so that a new transaction is covered by being one.
"""

from __future__ import annotations

import enum
import types
import typing
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.green_world import DAY, MWH, GreenWorld
from tests.ledger.watched import snapshot_of
from tests.ledger.world import HOUR, QUARTER, START, key_of
from wattquorum.foundation.codec import Meta, Record
from wattquorum.foundation.vectors import pack_energy, pack_prices
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.parameters import RANGES
from wattquorum.ledger.readings import encode_rows, root_of_rows
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    PAYLOAD_TYPES,
    BuyCertificates,
    CloseCarbonPeriod,
    GrantQuota,
    IssueCertificates,
    MoveAllowances,
    OfferCertificates,
    Payload,
    ReportEmissions,
    RetireCertificates,
    RollUp,
    SplitBundle,
    TransferCertificates,
    WithdrawCertificates,
    WithdrawMoney,
    WithdrawSale,
)

KWH = 1_000
FOUR = [KWH] * 4
END = START + 4 * QUARTER
TOMORROW = START + 24 * HOUR


class Known(typing.NamedTuple):
    """Ids that a payload may name."""

    contract: bytes
    offer: bytes
    payout: bytes
    bundles: tuple[bytes, ...]
    sale: bytes


def lived_in() -> tuple[GreenWorld, Known]:
    """A day that is closed, one that is open with an offer and a contract, a payout and a debt.

    w has granular certificates, whole ones with a sale of them, and retired ones; more of its day can be certified.
    g and c have allowances.
    """
    world = GreenWorld()
    world.generator("w", "wind", "pv", "hydro")
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.member("low", Side.BUY, money=1)
    world.publish()
    world.publish(TOMORROW)
    world.contract("g", "c", FOUR)
    contract = world.contract("g", "c", FOUR, day=TOMORROW)
    offer = world.offer("g", Side.SELL, FOUR, day=TOMORROW)
    payout = world.done("c", WithdrawMoney(5))
    wind = {meter: [MWH] * 4 for meter in ("w-sell", "w-sell-2", "w-sell-3")}
    world.read({"g-sell": [0] * 4, "c-buy": FOUR, "low-buy": FOUR, **wind})
    world.close()
    granular = world.issue("w-sell", every=1)
    whole = world.rolled_up("w", *granular[:3])
    world.done("w", SplitBundle(whole, 2))
    kept, used = (key for key, each in world.bundles_of("w").items() if each.unit == MWH)
    world.done("w", RetireCertificates(used, 1, "", "own use"))
    sale = world.done("w", OfferCertificates(kept, 1, b"", 5, world.now + DAY))
    for name in ("g", "c"):
        world.done("operator", GrantQuota(world.address(name), KWH))
    return world, Known(contract, offer, payout, (granular[3], kept, used), sale)


WORLD, KNOWN = lived_in()
ROWS = WORLD.rows({"c-buy": FOUR, "g-sell": FOUR, "w-sell": [MWH - 1] * 4}, version=2)
((DEBT, _),) = WORLD.debts_of("low")
SENDERS = ["operator", "g", "c", "low", "w"]
ADDRESSES = [*(WORLD.address(name) for name in SENDERS), WORLD.ledger._reserved.grid, bytes(20)]
KNOWN_BYTES: dict[str, list[bytes]] = {
    "offer": [KNOWN.offer, KNOWN.contract],
    "contract": [KNOWN.contract, KNOWN.offer],
    "payout": [KNOWN.payout],
    "bundle": list(KNOWN.bundles),
    "bundles": list(KNOWN.bundles),
    "sale": [KNOWN.sale],
    "buyer": [b"", *ADDRESSES],
    "owner": [WORLD.address("w")],
    "debt": [DEBT],
    "root": [root_of_rows(ROWS)],
    "key": [key_of("new").public, key_of("g").public],
    "energy": [pack_energy(FOUR), pack_energy([0] * 4), pack_energy([500] * 4), b"\xff" * 16],
    "price": [pack_prices([500_000]), b"\xff\xff\xff\x7f"],
    "feed_in": [pack_prices([400_000])],
    "grid_price": [pack_prices([750_000])],
    "over_grid_fee": [pack_prices([40_000])],
    "partner": [b"", *ADDRESSES],
}
NAMES = ["g-sell", "c-buy", "w-sell-2", "new", "f1", "f2", "ref-1", *(each.name for each in RANGES)]
NUMBERS = [0, 1, 2, 3, 4, KWH, QUARTER, START, END, TOMORROW, TOMORROW + QUARTER, TOMORROW + 24 * HOUR, 2**63 - 1]
# What a payload of certificates or carbon must hit to be done at all.
KNOWN_NUMBERS = {
    "count": [0, 1, 2, KWH, MWH, 2**63 - 1],
    "grams": [0, 1, KWH, 10**15, 2**63 - 1],
    "period": [0, 1, 2],
    "every": [0, 1, 3, 4, 5],
    "day": [START, TOMORROW, START + 1, 2**63 - 1],
}
NEARLY_ALWAYS_KNOWN = ("bundle", "bundles", "sale", "owner")
KNOWN_NAMES = {"meters": ["w-sell", "w-sell-2", "w-sell-3", "c-buy", "new"]}
ROLES = [int(role) for role in Role]


def values(hint: Any, name: str) -> st.SearchStrategy[Any]:
    """What a field of this type may hold."""
    if typing.get_origin(hint) is typing.Annotated:
        base, *extras = typing.get_args(hint)
        meta = next((each for each in extras if isinstance(each, Meta)), Meta())
        if base is int:
            low = -(2**63) if meta.ge is None or meta.ge < 0 else 0
            high = meta.le if meta.le is not None else 2**63 - 1
            if name in KNOWN_NUMBERS:
                return st.sampled_from(KNOWN_NUMBERS[name])
            known = [number for number in [*NUMBERS, *ROLES] if low <= number <= high]
            return st.one_of(st.sampled_from(known), st.integers(int(low), int(high)))
        if typing.get_origin(base) is tuple:
            return values(base, name)
        if base is bytes:
            least, most = meta.min_length or 0, min(meta.max_length or 64, 64)
            known_bytes = KNOWN_BYTES.get(name, []) + (ADDRESSES if most == 20 == least else [])
            anything = st.binary(min_size=least, max_size=most)
            if name in NEARLY_ALWAYS_KNOWN:
                return st.sampled_from([*known_bytes, b"\1" * least])
            return st.one_of(st.sampled_from(known_bytes), anything) if known_bytes else anything
        return st.sampled_from(KNOWN_NAMES.get(name, NAMES))
    if typing.get_origin(hint) is tuple:
        items = typing.get_args(hint)
        if items[-1] is Ellipsis:
            return st.lists(values(items[0], name), max_size=3).map(tuple)
        return st.tuples(*(values(item, name) for item in items))
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return st.one_of(*(values(item, name) for item in typing.get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        return st.sampled_from(list(hint))
    if hint is bool:
        return st.booleans()
    assert isinstance(hint, type)
    assert issubclass(hint, Record)
    return records(hint)


def records(kind: type[Record]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return st.builds(kind, *(values(hints[name], name) for name in kind.__struct_fields__))


# Certificates and carbon, by those who may: their ids are few among so many payloads.
BY_OFFICE = (IssueCertificates, WithdrawCertificates, GrantQuota, ReportEmissions, CloseCarbonPeriod)
BY_OWNERS = (
    TransferCertificates,
    SplitBundle,
    RollUp,
    OfferCertificates,
    BuyCertificates,
    WithdrawSale,
    RetireCertificates,
    MoveAllowances,
)

anything = st.tuples(st.one_of(*(records(kind) for kind in PAYLOAD_TYPES)), st.sampled_from([*SENDERS, "operator"]))
green = st.one_of(
    st.tuples(st.one_of(*(records(kind) for kind in BY_OFFICE)), st.just("operator")),
    st.tuples(st.one_of(*(records(kind) for kind in BY_OWNERS)), st.sampled_from(["w", "w", "c"])),
)


@settings(max_examples=100)
@given(st.lists(anything, min_size=1, max_size=6))
def test_any_payload_by_anybody_is_done_or_refused(tried: list[tuple[Payload, str]]) -> None:
    done_or_refused(tried)


@settings(max_examples=60)
@given(st.lists(green, min_size=4, max_size=12))
def test_any_payload_of_certificates_and_carbon_is_done_or_refused(tried: list[tuple[Payload, str]]) -> None:
    done_or_refused(tried)


def done_or_refused(tried: list[tuple[Payload, str]]) -> None:
    world, _ = lived_in()
    for payload, sender in tried:
        before = snapshot_of(world.ledger.state)
        receipt = world.do(sender, payload, rows=[encode_rows(ROWS)])
        recovered = world.account(sender).key != key_of(sender).public  # by governors, for another key
        assert receipt.outcome is not Outcome.INADMISSIBLE or (recovered and receipt.code == "signature_forged")
        if receipt.outcome is Outcome.REFUSED:
            place = (Table.ACCOUNT, world.address(sender))
            after = snapshot_of(world.ledger.state)
            assert {**after, place: b""} == {**before, place: b""}


def test_no_payload_of_certificates_and_carbon_is_left_out() -> None:
    names = {kind.__name__ for kind in PAYLOAD_TYPES if 30 <= kind.__struct_config__.tag <= 42}
    assert {kind.__name__ for kind in (*BY_OFFICE, *BY_OWNERS)} == names
