"""A world in which certificates and carbon are watched as well: by an auditor's books, and by books of the tests' own.

The tests' own books take what was signed (payloads), what was read, and what the state holds after every block, in
plain dictionaries and integers. They look at the whole state each time, which an auditor could not afford.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tests.ledger.watched import WatchedWorld, snapshot_of
from tests.ledger.world import HOUR, QUARTER, START, key_of
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import MILLION, POINTS_MAX
from wattquorum.foundation.refusals import shown
from wattquorum.foundation.vectors import energy_list
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.blocks import Outcome, Receipt
from wattquorum.ledger.conservation import Books
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.facts import (
    BundleEnded,
    BundleMade,
    BundleMoved,
    DayClosed,
    DaySealed,
    EnergyCertified,
    Fact,
    Moved,
    ReadingTaken,
)
from wattquorum.ledger.holdings import Bundle, BundleStatus, CarbonAccount, Device, Ending, Holding
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.transactions import (
    BuyCertificates,
    CloseCarbonPeriod,
    GrantQuota,
    IssueCertificates,
    MeterPoint,
    MoveAllowances,
    OfferCertificates,
    Payload,
    Received,
    Register,
    ReportEmissions,
    RollUp,
    SealDay,
    WithdrawSale,
)
from wattquorum.ledger.weighing import certificate_points
from wattquorum.standing.weight import Scale

KWH, MWH = 1_000, 1_000_000
DAY = 24 * HOUR
Range = tuple[int, int]


class GreenWatcher:
    """Books of certificates and carbon that look at everything after every block."""

    def __init__(self) -> None:
        self.measured: dict[tuple[int, str], list[int]] = {}
        self.certified: dict[tuple[int, str], list[int]] = {}
        self.sealed: set[int] = set()
        self.carry: dict[str, int] = defaultdict(int)
        self.issued: dict[str, int] = defaultdict(int)
        self.rolled: dict[str, int] = defaultdict(int)  # Wh that went into whole certificates
        self.made: dict[bytes, BundleMade] = {}
        self.final: dict[bytes, Ending] = {}
        self.for_own_use: set[bytes] = set()
        self.gone: dict[tuple[str, int], list[Range]] = defaultdict(list)  # numbers that have left the state
        self.before: dict[bytes, Bundle] = {}
        self.held: dict[bytes, int] = {}
        self.area: dict[bytes, int] = defaultdict(int)  # certificates x ms, block by block
        self.moment = 0
        self.counted_at = 0
        self.counted: dict[bytes, int] = {}  # of the count that stands
        self.offers: dict[bytes, OfferCertificates] = {}
        self.carbon: dict[bytes, dict[str, int]] = {}
        self.period = 1

    # What was done

    def see(self, executed: Executed) -> None:
        now = executed.block.header.time_ms
        for owner, held in self.held.items():
            self.area[owner] += held * (now - self.moment)
        self.moment = now
        block = executed.block
        for data, receipt, facts in zip(block.transactions, block.receipts, executed.facts, strict=True):
            if receipt.outcome is Outcome.DONE:
                received = Received(data)
                self._signed(received.body.sender, received.body.payload, receipt.transaction[:16], facts)
            for fact in facts:
                self._see(fact)

    def _see(self, fact: Fact) -> None:
        match fact:
            case ReadingTaken() if fact.side is Side.SELL:
                place = fact.day, fact.meter
                energy = zip(energy_list(fact.energy), fact.quality, strict=True)
                before = self.measured.get(place, [0])
                self.measured[place] = [wh if quality == 0 else 0 for wh, quality in energy]
                self.carry[fact.meter] += sum(self.measured[place]) - sum(before)
            case EnergyCertified():
                place = fact.day, fact.meter
                added, measured = energy_list(fact.energy), self.measured[place]
                before = self.certified.get(place, [0] * len(added))
                self.certified[place] = [a + b for a, b in zip(added, before, strict=True)]
                for new, all_, seen in zip(added, self.certified[place], measured, strict=True):
                    assert new == 0 or all_ <= seen
                assert sum(added) <= max(self.carry[fact.meter], 0)
                self.carry[fact.meter] -= sum(added)
                assert fact.withheld == self._gap(place)
            case BundleMade():
                assert fact.bundle not in self.made
                assert fact.expires_ms > self.moment
                self.made[fact.bundle] = fact
                if not fact.parents:
                    self.issued[fact.meter] += fact.end - fact.first
            case BundleEnded():
                self._end(fact)
            case BundleMoved():
                assert fact.bundle not in self.final
            case DaySealed():
                self.sealed.add(fact.day)
                meters = {meter for day, meter in self.measured if day == fact.day}
                for meter in meters:
                    left = sum(
                        self._gap(place) for place in self.measured if place[1] == meter and place[0] not in self.sealed
                    )
                    self.carry[meter] = min(self.carry[meter], left)
            case _:
                pass

    def _gap(self, place: tuple[int, str]) -> int:
        measured = self.measured[place]
        certified = self.certified.get(place, [0] * len(measured))
        return sum(max(m - c, 0) for m, c in zip(measured, certified, strict=True))

    def _end(self, fact: BundleEnded) -> None:
        assert fact.bundle not in self.final
        self.final[fact.bundle] = fact.ending
        made = self.made[fact.bundle]
        if fact.ending in (Ending.ROLLED_UP, Ending.EXPIRED):
            self.gone[made.meter, made.unit].append((made.first, made.end))
        if fact.ending is Ending.ROLLED_UP:
            self.rolled[made.meter] += made.end - made.first
        if fact.ending is Ending.RETIRED and not fact.beneficiary:
            self.for_own_use.add(fact.bundle)
        if fact.ending is Ending.WITHDRAWN and self.carry[made.meter] < 0:
            self.carry[made.meter] = min(0, self.carry[made.meter] + (made.end - made.first) * made.unit)

    def _signed(self, sender: bytes, payload: Payload, created: bytes, facts: Sequence[Fact]) -> None:
        moved = [fact for fact in facts if isinstance(fact, BundleMoved) and fact.sale]
        assert len(moved) == isinstance(payload, BuyCertificates)
        match payload:
            case OfferCertificates():
                self.offers[created] = payload
            case BuyCertificates():
                sale = self.offers.pop(payload.sale)
                ((fact,),) = (moved,)
                part = self.made[fact.bundle] if fact.bundle in self.made else _made(facts, fact.bundle)
                assert part.end - part.first == sale.count
                assert fact.bundle == sale.bundle or part.parents == (sale.bundle,)
                paid = [(each.payer, each.payee, each.amount) for each in facts if isinstance(each, Moved)][:1]
                assert paid == [(sender, fact.giver, sale.amount)][: bool(sale.amount)] or not sale.amount
                assert sale.buyer in (b"", sender)
            case WithdrawSale():
                del self.offers[payload.sale]
            case GrantQuota():
                self._account(payload.member)["quota"] += payload.grams
            case MoveAllowances():
                giver, taker = self.carbon[sender], self.carbon[payload.to]
                giver["sold"] += payload.grams
                taker["bought"] += payload.grams
                assert _left(giver) >= 0
            case ReportEmissions():
                self.carbon[payload.member] |= {"emitted": payload.grams, "reported": True}
            case CloseCarbonPeriod():
                assert payload.period == self.period
                self.period += 1
                for member, own in self.carbon.items():
                    left = _left(own)
                    last = {"settled": left, "settled_quota": own["quota"], "settled_reported": own["reported"]}
                    self.carbon[member] = {**ZERO, **last, "carried": min(left, 0), "closed_ms": self.moment}
            case _:
                pass

    def _account(self, member: bytes) -> dict[str, int]:
        return self.carbon.setdefault(member, dict(ZERO))

    # What stands

    def check(self, world: GreenWorld, executed: Executed) -> None:
        state = world.ledger.state
        bundles = {key[20:]: each for key, each in state.items(Table.BUNDLE)}
        for bundle_id, bundle in self.before.items():
            if bundle_id not in bundles and bundle.status is not BundleStatus.ACTIVE:
                self.gone[bundle.meter, bundle.unit].append((bundle.first, bundle.end))
        self.before = bundles
        for bundle_id, bundle in bundles.items():
            ending = self.final.get(bundle_id)
            assert (bundle.status is BundleStatus.ACTIVE) is (ending is None)
            assert bundle.size > 0
        self._check_devices(state, bundles)
        self._check_holdings(state, executed, world.intervals * QUARTER)
        self._check_carbon(state)

    def _check_devices(self, state: State, bundles: dict[bytes, Bundle]) -> None:
        numbers = {series: list(ranges) for series, ranges in self.gone.items()}
        for bundle in bundles.values():
            numbers.setdefault((bundle.meter, bundle.unit), []).append((bundle.first, bundle.end))
        devices: dict[str, Device] = {key.decode(): each for key, each in state.items(Table.DEVICE)}
        assert {name: each.carry for name, each in devices.items()} == {
            name: carry for name, carry in self.carry.items() if name in devices
        }
        for name, device in devices.items():
            for unit, end in ((1, device.granular), (MWH, device.whole)):
                place = 0
                for first, after in sorted(numbers.pop((name, unit), [])):
                    assert first == place
                    place = after
                assert place == end
            assert device.granular == self.issued[name]
            assert device.whole * MWH == self.rolled[name]
            certified = [sum(each) for (_, meter), each in self.certified.items() if meter == name]
            assert device.granular == sum(certified)
        assert numbers == {}

    def _check_holdings(self, state: State, executed: Executed, length_ms: int) -> None:
        held: dict[bytes, int] = defaultdict(int)
        for key, bundle in state.items(Table.BUNDLE):
            # Whole ones count while they are active, and after a consumer has retired them for itself.
            own = key[20:] in self.for_own_use and state.get(Table.ACCOUNT, key[:20]).has(Role.CONSUMER)
            if bundle.unit == MWH and (own or bundle.status is BundleStatus.ACTIVE):
                held[key[:20]] += bundle.size
        holdings: dict[bytes, Holding] = dict(state.items(Table.HOLDING))
        assert {owner: each.held for owner, each in holdings.items() if each.held} == held
        self.held = held
        closed = [fact for facts in executed.facts for fact in facts if isinstance(fact, DayClosed)]
        if closed and 2 * (self.moment - self.counted_at) >= length_ms:
            self.counted_at = self.moment
            self.counted = {owner: area for owner, area in self.area.items() if area}
            points = certificate_points(state, Scale.SHARE)
            assert sum(points.values()) == (POINTS_MAX if any(self.area.values()) else 0)
            self.area = defaultdict(int)
        assert {owner: each.counted for owner, each in holdings.items() if each.counted} == self.counted

    def _check_carbon(self, state: State) -> None:
        accounts: dict[bytes, CarbonAccount] = dict(state.items(Table.CARBON))
        assert accounts.keys() == self.carbon.keys()
        for member, own in self.carbon.items():
            assert {name: getattr(accounts[member], name) for name in own} == own
        assert sum(own["bought"] - own["sold"] for own in self.carbon.values()) == 0


ZERO: dict[str, int] = {
    "carried": 0,
    "quota": 0,
    "bought": 0,
    "sold": 0,
    "emitted": 0,
    "reported": False,
    "settled": 0,
    "settled_quota": 0,
    "settled_reported": False,
    "closed_ms": 0,
}


def _left(own: dict[str, int]) -> int:
    return own["carried"] + own["quota"] + own["bought"] - own["sold"] - own["emitted"]


def _made(facts: Sequence[Fact], bundle: bytes) -> BundleMade:
    (found,) = [fact for fact in facts if isinstance(fact, BundleMade) and fact.bundle == bundle]
    return found


class GreenWorld(WatchedWorld):
    """A watched world whose certificates and carbon are watched too."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.green = GreenWatcher()
        self.books = Books()
        self.books.enter(self.ledger.founding_facts, b"", self.ledger.genesis.created_ms)

    def block(self, transactions: Sequence[bytes], rows: Sequence[bytes] = (), *, at: int | None = None) -> Executed:
        executed = super().block(transactions, rows, at=at)
        self.green.see(executed)
        self.green.check(self, executed)
        for facts, receipt in zip(executed.facts, executed.block.receipts, strict=True):
            self.books.enter(facts, receipt.transfers, executed.block.header.time_ms)
        self.books.check(self.ledger.state, self.ledger._reserved)
        return executed

    # Steps that many tests take

    def generator(self, name: str, *technologies: str, feeder: str = "f1", owner: str | None = None) -> None:
        """A member with one meter for injection of each technology: NAME-sell, NAME-sell-2 and so on."""
        meters = tuple(
            MeterPoint(
                f"{name}-sell" + (f"-{i + 1}" if i else ""), Side.SELL, feeder, 100 * MILLION, technology, MILLION
            )
            for i, technology in enumerate(technologies or ("wind",))
        )
        self.done("operator", Register(key_of(name).public, name, owner or name, meters))
        self.deposit(name, 10_000 * MILLION)

    def issue(self, *meters: str, day: int = START, every: int | None = None) -> list[bytes]:
        """Certifies meters; the new bundles in their order."""
        before = len(self.facts(BundleMade))
        self.done("operator", IssueCertificates(day, meters, every or self.intervals))
        return [fact.bundle for fact in self.facts(BundleMade)[before:] if isinstance(fact, BundleMade)]

    def rolled_up(self, name: str, *bundles: bytes) -> bytes:
        """Rolls bundles up; the whole certificates."""
        self.done(name, RollUp(bundles))
        return self.last_made().bundle

    def last_made(self) -> BundleMade:
        found = self.facts(BundleMade)[-1]
        assert isinstance(found, BundleMade)
        return found

    def bundles_of(self, name: str) -> dict[bytes, Bundle]:
        """A member's bundles in the state, by id."""
        state = self.ledger.state
        return {key[20:]: state.get(Table.BUNDLE, key) for key in state.listed(Table.BUNDLE, self.address(name))}

    def bundle(self, name: str, bundle_id: bytes) -> Bundle:
        return self.bundles_of(name)[bundle_id]

    def device(self, meter: str) -> Device:
        found: Device = self.ledger.state.get(Table.DEVICE, meter.encode())
        return found

    def held(self, name: str) -> int:
        found: Holding | None = self.ledger.state.get(Table.HOLDING, self.address(name))
        return found.held if found else 0

    def carbon(self, name: str) -> CarbonAccount:
        found: CarbonAccount = self.ledger.state.get(Table.CARBON, self.address(name))
        return found

    def seal(self, day: int = START) -> None:
        self.done("operator", SealDay(day), at=day + self.intervals * QUARTER + 48 * HOUR)

    def refused(self, name: str, payload: Payload, code: str, field: str, value: object) -> Receipt:
        """A transaction that must be refused just so and change nothing but its sender's nonce."""
        before, account = snapshot_of(self.ledger.state), self.account(name)
        receipt = self.do(name, payload)
        assert (receipt.outcome, receipt.code, receipt.field, receipt.value) == (
            Outcome.REFUSED,
            code,
            field,
            shown(value),
        )
        assert self.account(name) == changed(account, nonce=account.nonce + 1)
        place = (Table.ACCOUNT, self.address(name))
        assert {**snapshot_of(self.ledger.state), place: b""} == {**before, place: b""}
        return receipt


def generating(energy: Sequence[int] = (2 * MWH,), **options: object) -> GreenWorld:
    """g was measured to generate this on a day that is closed; c and d consume nothing."""
    world = GreenWorld(intervals=len(energy), **options)
    world.generator("g")
    world.member("c", Side.BUY)
    world.member("d", Side.BUY)
    world.publish()
    nothing = [0] * len(energy)
    assert world.read({"g-sell": energy, "c-buy": nothing, "d-buy": nothing}).outcome is Outcome.DONE
    world.close()
    return world
