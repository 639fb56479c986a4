"""The auditor's books of certificates and carbon find each broken law: in facts that lie, and in a state that does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.ledger.green_world import DAY, KWH, MWH, GreenWorld, generating
from tests.ledger.world import QUARTER, START, World
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import pack_energy
from wattquorum.ledger import issuing
from wattquorum.ledger.audit import AuditFault, audit
from wattquorum.ledger.facts import (
    AllowancesMoved,
    BundleEnded,
    BundleMade,
    BundleMoved,
    CarbonChanged,
    CarbonSettled,
    CarryChanged,
    EnergyCertified,
    Fact,
    HoldingCounted,
    Moved,
    SaleOffered,
)
from wattquorum.ledger.green_books import GreenBooks
from wattquorum.ledger.holdings import BundleStatus, Ending
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    BuyCertificates,
    CloseCarbonPeriod,
    GrantQuota,
    IssueCertificates,
    MoveAllowances,
    OfferCertificates,
    ReportEmissions,
    RetireCertificates,
    SealDay,
    SplitBundle,
    TransferCertificates,
    WithdrawCertificates,
)

Facts = Sequence[Fact]
SOMEBODY = bytes(19) + b"\x07"


@pytest.fixture(scope="module")
def lived() -> GreenWorld:
    """Everything once: certified, corrected, rolled up, split, sold, retired, withdrawn, expired, sealed; carbon."""
    world = generating([2 * MWH, 1_500 * KWH], parameters={"certificate_days": 3})
    first, second = world.issue("g-sell", every=1)
    whole = world.rolled_up("g", first, second)
    sale = world.done("g", OfferCertificates(whole, 2, b"", 5, world.now + DAY))
    world.done("c", BuyCertificates(sale))
    ((bought, _),) = world.bundles_of("c").items()
    world.done("c", SplitBundle(bought, 1))
    own, given = world.bundles_of("c")
    world.done("c", RetireCertificates(own, 1, "", "own use"))
    world.done("c", TransferCertificates(given, 1, world.address("d")))
    world.read({"g-sell": [MWH, 1_500 * KWH]}, version=2)
    left = next(key for key, each in world.bundles_of("g").items() if each.unit == MWH)
    world.done("operator", WithdrawCertificates(world.address("g"), left, "corrected"))
    for number in (1, 4):
        day = world.publish(START + number * DAY)
        world.read({"g-sell": [300, 200], "c-buy": [0, 0], "d-buy": [0, 0]}, day=day)
        world.close(day=day)
        if number == 1:
            world.done("operator", SealDay(START), at=START + 2 * QUARTER + 2 * DAY)
    for name in ("c", "d"):
        world.done("operator", GrantQuota(world.address(name), 100))
    world.done("operator", ReportEmissions(world.address("c"), 1, 10))
    world.done("c", MoveAllowances(world.address("d"), 30))
    world.done("operator", ReportEmissions(world.address("c"), 1, 80))
    world.done("operator", CloseCarbonPeriod(1))
    return world


def kept(world: GreenWorld, lie: Callable[[Facts], Facts] | None = None) -> GreenBooks:
    """Books of the world's facts; `lie` tells a transaction's facts otherwise."""
    books = GreenBooks()
    books.enter(world.ledger.founding_facts, world.ledger.genesis.created_ms)
    for executed in world.executed:
        for facts in executed.facts:
            books.enter(lie(facts) if lie else facts, executed.block.header.time_ms)
    return books


def is_a(kind: type, **fields: object) -> Callable[[Fact], bool]:
    return lambda fact: type(fact) is kind and all(getattr(fact, name) == each for name, each in fields.items())


def told(chosen: Callable[[Fact], bool], number: int = 0, **fields: Any) -> Callable[[Facts], Facts]:
    """The chosen fact, of those that are like it the given one, with other fields (functions of the old ones)."""
    count = -1

    def lie(facts: Facts) -> Facts:
        nonlocal count
        found = []
        for fact in facts:
            count += chosen(fact)
            if chosen(fact) and count == number:
                new = {name: each(getattr(fact, name)) if callable(each) else each for name, each in fields.items()}
                fact = changed(fact, **new)
            found.append(fact)
        return found

    return lie


def untold(chosen: Callable[[Fact], bool]) -> Callable[[Facts], Facts]:
    """All facts but the chosen ones."""
    return lambda facts: [fact for fact in facts if not chosen(fact)]


def twice(chosen: Callable[[Fact], bool]) -> Callable[[Facts], Facts]:
    return lambda facts: [each for fact in facts for each in ([fact, fact] if chosen(fact) else [fact])]


def more(amount: int) -> Callable[[int], int]:
    return lambda before: before + amount


issued, rolled = is_a(BundleMade, parents=()), is_a(BundleMade, unit=MWH)
LIES: dict[str, Callable[[Facts], Facts]] = {
    "a Wh that was not measured": told(is_a(EnergyCertified), energy=pack_energy([2 * MWH + 1, 1_500 * KWH])),
    "energy that moves to another interval": told(is_a(EnergyCertified), energy=pack_energy([1_500 * KWH, 2 * MWH])),
    "less than can be certified": told(is_a(EnergyCertified), energy=pack_energy([2 * MWH - 1, 1_500 * KWH])),
    "a certification twice": twice(is_a(EnergyCertified)),
    "a certification without bundles": untold(issued),
    "bundles without a certification": untold(is_a(EnergyCertified)),
    "another withholding": told(is_a(EnergyCertified), withheld=1),
    "another carry": told(is_a(EnergyCertified), carry=more(1)),
    "a carry that a correction did not lower": told(is_a(CarryChanged), carry=0),
    "a carry that no reading made": told(is_a(CarryChanged, day=0), carry=more(1)),
    "a bundle of one certificate more": told(issued, end=more(1)),
    "a bundle that leaves a number out": told(issued, number=1, first=more(1)),
    "a bundle that begins with another's number": told(issued, number=1, first=more(-1)),
    "a bundle of somebody else's": told(issued, owner=SOMEBODY),
    "a bundle of another time": told(issued, start_ms=more(QUARTER), end_ms=more(QUARTER)),
    "a bundle that never expires": told(issued, expires_ms=more(DAY)),
    "a bundle from another source": told(issued, source="sun"),
    "a bundle of a meter that there is not": told(issued, meter="ghost"),
    "a bundle twice": twice(issued),
    "a whole certificate out of nothing": told(rolled, parents=()),
    "a whole certificate more": told(rolled, end=more(1)),
    "a whole certificate less": told(rolled, end=more(-1)),
    "a whole certificate for somebody else": told(rolled, owner=SOMEBODY),
    "a whole certificate that lives longer": told(rolled, expires_ms=more(1)),
    "a roll-up that uses nothing up": untold(is_a(BundleEnded, ending=Ending.ROLLED_UP)),
    "a roll-up that makes nothing": untold(rolled),
    "a split that loses one": told(is_a(BundleMade, unit=MWH), number=1, end=more(-1)),
    "a split that makes one": told(is_a(BundleMade, unit=MWH), number=2, end=more(1)),
    "a split whose parent stays": untold(is_a(BundleEnded, ending=Ending.SPLIT)),
    "a split part of somebody else's": told(is_a(BundleMade, unit=MWH), number=1, owner=SOMEBODY),
    "a split that makes granular ones": told(is_a(BundleMade, unit=MWH), number=1, unit=1),
    "a sale without money": untold(is_a(Moved, amount=5)),
    "a sale for less money": told(is_a(Moved, amount=5), amount=4),
    "a sale whose money goes elsewhere": told(is_a(Moved, amount=5), payee=SOMEBODY),
    "a sale that moves nothing": untold(is_a(BundleMoved, amount=5)),
    "a sale of more than was offered": told(is_a(SaleOffered), count=1),
    "a sale to somebody else": told(is_a(SaleOffered), buyer=SOMEBODY),
    "a sale that was never offered": untold(is_a(SaleOffered)),
    "a sale of more than there is": told(is_a(SaleOffered), count=99),
    "a gift that was paid": told(is_a(BundleMoved, amount=0), amount=1),
    "a gift of somebody else's": told(is_a(BundleMoved, amount=0), giver=SOMEBODY),
    "a final bundle that is used again": twice(is_a(BundleEnded, ending=Ending.RETIRED)),
    "an expiry before its time": told(is_a(BundleEnded, ending=Ending.RETIRED), ending=Ending.EXPIRED),
    "an expiry that is left out": untold(is_a(BundleEnded, ending=Ending.EXPIRED)),
    "a holding that counts more": told(is_a(HoldingCounted), weighted=more(1)),
    "a holding that is left out": untold(is_a(HoldingCounted)),
    "a holding that was retired for others": told(is_a(BundleEnded, ending=Ending.RETIRED), beneficiary="a shop"),
    "a withdrawal that is not one": told(is_a(BundleEnded, ending=Ending.WITHDRAWN), ending=Ending.RETIRED),
    "allowances that somebody bought and nobody sold": told(is_a(CarbonChanged, bought=30), bought=31),
    "allowances that are moved without a word": untold(is_a(AllowancesMoved)),
    "allowances that move twice": twice(is_a(AllowancesMoved)),
    "more allowances than one has": told(is_a(AllowancesMoved), grams=101),
    "allowances that move backwards": told(is_a(AllowancesMoved), grams=-30),
    "a move that changes no account": untold(is_a(CarbonChanged, sold=30)),
    "a period that opens with a quota": told(is_a(CarbonChanged, period=2), quota=1),
    "a period that opens without its deficit": untold(is_a(CarbonChanged, period=2)),
    "a quota that shrinks": told(is_a(CarbonChanged, sold=30), quota=99),
    "emissions that nobody reported": told(is_a(CarbonChanged, bought=30), number=0, emitted=1),
    "an account without a quota": told(is_a(CarbonChanged), quota=0),
    "a deficit out of nothing": told(is_a(CarbonChanged), carried=-1),
    "a settlement that is more": told(is_a(CarbonSettled), settled=more(1)),
    "a settlement that is left out": told(is_a(CarbonSettled), member=SOMEBODY),
    "a settlement of another period": told(is_a(CarbonSettled), period=2),
    "a report that was none": told(is_a(CarbonSettled), reported=False),
}


def test_the_facts_that_the_ledger_tells_keep_every_law(lived: GreenWorld) -> None:
    kept(lived).check(lived.ledger.state)
    told_kinds = {type(fact) for executed in lived.executed for facts in executed.facts for fact in facts}
    assert {SaleOffered, HoldingCounted, AllowancesMoved, CarbonSettled, CarryChanged} <= told_kinds


@pytest.mark.parametrize("lie", LIES)
def test_facts_that_lie_are_found(lived: GreenWorld, lie: str) -> None:
    with pytest.raises(Refused) as refused:
        kept(lived, LIES[lie]).check(lived.ledger.state)
    assert refused.value.code == "conservation_broken"


def test_a_wh_is_not_certified_twice_even_where_the_carry_has_room_for_it() -> None:
    """What the second day's issue certified is told as the first day's again, with bundles to match."""
    world = generating([300])
    later = START + DAY
    day = world.publish(later)
    world.read({"g-sell": [300], "c-buy": [0], "d-buy": [0]}, day=day)
    world.close(day=day)
    world.issue("g-sell")
    world.issue("g-sell", day=later)
    before = more(-DAY)
    bundle = told(is_a(BundleMade, start_ms=later), start_ms=before, end_ms=before, expires_ms=before)
    again = told(is_a(EnergyCertified, day=later), day=START)
    kept(world).check(world.ledger.state)
    with pytest.raises(Refused) as refused:
        kept(world, lambda facts: again(bundle(facts)))
    assert (refused.value.code, refused.value.field) == ("conservation_broken", "certified")
    assert "Of interval 0 it may be 0 Wh" in str(refused.value)


# The state


def one_of(world: GreenWorld, table: Table) -> tuple[bytes, Any]:
    return next(iter(world.ledger.state.items(table)))


def forged(world: GreenWorld, table: Table, key: bytes, record: Any) -> None:
    """Both kinds of books find an entry that no fact made: the ones that watched, and the ones of a snapshot."""
    state = world.ledger.state
    books = kept(world)
    mark = state.mark()
    if record is None:
        state.drop(table, key)
    else:
        state.put(table, key, record)
    try:
        with pytest.raises(Refused) as refused:
            books.check(state)
        assert refused.value.code == "conservation_broken"
    finally:
        state.roll_back(mark)
    kept(world).check(state)


@pytest.fixture
def standing() -> GreenWorld:
    """A world with one entry or more in every table of certificates and carbon."""
    world = generating([3 * MWH])
    whole = world.rolled_up("g", *world.issue("g-sell"))
    world.done("g", OfferCertificates(whole, 2, b"", 5, world.now + DAY))
    world.done("operator", GrantQuota(world.address("c"), 100))
    return world


@pytest.mark.parametrize(
    "table",
    [Table.BUNDLE, Table.DEVICE, Table.CERTIFIED, Table.SALE, Table.HOLDING, Table.CARBON],
    ids=lambda t: t.name,
)
def test_what_is_dropped_or_made_without_a_fact_is_found(standing: GreenWorld, table: Table) -> None:
    key, record = one_of(standing, table)
    forged(standing, table, key, None)
    other = bytes([key[0] ^ 1]) + key[1:]
    forged(standing, table, other, record)


CHANGES: dict[Table, list[dict[str, Any]]] = {
    Table.BUNDLE: [
        {"end": 4},
        {"first": 1},
        {"status": BundleStatus.RETIRED},
        {"counted": False},
        {"expires_ms": 2**60},
    ],
    Table.DEVICE: [{"carry": 1}, {"granular": 1}, {"whole": 4}],
    Table.CERTIFIED: [{"energy": pack_energy([3 * MWH - 1])}],
    Table.SALE: [{"count": 3}, {"amount": 4}, {"valid_until_ms": 2**60}],
    Table.HOLDING: [{"held": 4}, {"weighted": 1}, {"counted": 1}],
    Table.CARBON: [{"quota": 101}, {"bought": 1}, {"sold": 1}, {"emitted": 1}, {"carried": -1}, {"settled": 1}],
}


@pytest.mark.parametrize("table", CHANGES, ids=lambda t: t.name)
def test_what_is_changed_without_a_fact_is_found_where_a_block_touched_it(standing: GreenWorld, table: Table) -> None:
    key, record = one_of(standing, table)
    for fields in CHANGES[table]:
        forged(standing, table, key, changed(record, **fields))


def test_a_whole_life_is_audited_from_every_block_on(lived: GreenWorld) -> None:
    rows = {root_of_rows(decode_rows(data)): data for executed in lived.executed for data in executed.rows}
    found = audit(lived.genesis_bytes, [each.data for each in lived.executed], rows.get, {}, verify_each)
    assert found.digest == lived.ledger.digest


def test_books_that_start_from_a_state_go_on_like_the_others(standing: GreenWorld) -> None:
    books = GreenBooks()
    books.adopt(standing.ledger.state, standing.ledger.shelf)
    books.check(standing.ledger.state)
    height = standing.ledger.height
    standing.read({"g-sell": [2 * MWH]}, version=2)
    standing.read({"g-sell": [4 * MWH]}, version=3)
    standing.issue("g-sell")
    (sale,) = [key for key, _ in standing.ledger.state.items(Table.SALE)]
    standing.done("c", BuyCertificates(sale))
    standing.seal()
    for executed in standing.executed[height:]:
        for facts in executed.facts:
            books.enter(facts, executed.block.header.time_ms)
    books.check(standing.ledger.state)


def adopting(world: GreenWorld, table: Table, key: bytes, record: Any) -> None:
    state = world.ledger.state
    mark = state.mark()
    state.put(table, key, record)
    try:
        with pytest.raises(Refused) as refused:
            GreenBooks().adopt(state, world.ledger.shelf)
        assert refused.value.code == "conservation_broken"
    finally:
        state.roll_back(mark)


def test_a_state_whose_bundles_do_not_add_up_is_not_adopted(standing: GreenWorld) -> None:
    key, bundle = one_of(standing, Table.BUNDLE)
    adopting(standing, Table.BUNDLE, key, changed(bundle, end=4))  # a certificate that was never issued
    adopting(standing, Table.BUNDLE, key[:20] + bytes(16), bundle)  # the same ones twice
    adopting(standing, Table.BUNDLE, key, changed(bundle, end=2))  # fewer than are held
    owner, holding = one_of(standing, Table.HOLDING)
    adopting(standing, Table.HOLDING, owner, changed(holding, held=4))


def test_the_audit_stops_at_the_block_in_which_a_law_was_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    # An executor that certifies one Wh too many: each node alike, so that the laws alone tell.
    world = generating([300])
    monkeypatch.setattr(issuing, "issuable", lambda measured, *_: measured + 1)
    World.block(world, [world.signed("operator", IssueCertificates(START, ("g-sell",), 1))])
    rows = {root_of_rows(decode_rows(data)): data for executed in world.executed for data in executed.rows}
    with pytest.raises(AuditFault) as fault:
        audit(world.genesis_bytes, [each.data for each in world.executed], rows.get, {}, verify_each)
    assert fault.value.where == f"block {world.ledger.height}"
    assert (fault.value.reason.code, fault.value.reason.field) == ("conservation_broken", "certified")
