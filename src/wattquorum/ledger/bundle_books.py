"""The auditor's books of bundles: from facts alone, where each certificate stands, whose it is, and for how long.

What they hold a chain to: a device's certificates are numbered without gap; a split's children share out their parent's
numbers and a roll-up takes 1,000,000 Wh for each whole certificate; a bundle that ended never comes back; money and
certificates of a sale change hands together; holdings are the whole certificates that count, by their time (A-5, A-13,
L-20, L-22).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import ADDRESS_BYTES
from wattquorum.foundation.intervals import MS_PER_DAY
from wattquorum.ledger.facts import BundleEnded, BundleMade, BundleMoved, HoldingCounted, SaleEnded, SaleOffered
from wattquorum.ledger.holdings import Bundle, BundleStatus, Ending, Holding, Sale, SaleEnding
from wattquorum.ledger.laws import fault, must
from wattquorum.ledger.state import State, Table

WH, MWH = 1, 1_000_000  # what a certificate stands for: granular and whole [Wh]
LEAVES: Final = (Ending.SPLIT, Ending.ROLLED_UP, Ending.EXPIRED)  # the state at once; others when they expire


class Lot(NamedTuple):
    """A bundle and whose it is."""

    owner: bytes
    bundle: Bundle


class Held(NamedTuple):
    """An owner's whole certificates, and certificates x ms since the last count up to `since_ms`."""

    held: int
    since_ms: int
    area: int
    counted: int

    def area_at(self, moment_ms: int) -> int:
        """Certificates x ms up to a moment."""
        return self.area + self.held * (moment_ms - self.since_ms)


class BundleBooks:
    """Bundles, sales and holdings from facts; `check` compares what changed with a state."""

    __slots__ = (
        "_counted_ms",
        "_due",
        "_held",
        "_lots",
        "_now",
        "_numbers",
        "_owed",
        "_paid",
        "_rolled",
        "_sales",
        "_split",
        "_touched_bundles",
        "_touched_owners",
        "_touched_sales",
        "issued",
    )

    def __init__(self) -> None:
        self._lots: dict[bytes, Lot] = {}
        self._due: dict[int, dict[bytes, None]] = {}  # bundles by the day on which they expire
        self._numbers: dict[tuple[str, int], int] = {}  # by meter and unit: how many certificates there were
        self._held: dict[bytes, Held] = {}
        self._sales: dict[bytes, SaleOffered] = {}
        self._counted_ms = 0
        self._now = 0
        # Within one transaction
        self.issued: list[Lot] = []  # bundles that come from no other bundle
        self._split: dict[bytes, tuple[Lot, list[Lot]]] = {}
        self._rolled: dict[bytes, Lot] = {}
        self._owed: list[tuple[bytes, bytes, int]] = []
        self._paid: list[tuple[bytes, bytes, int]] = []
        # Within one block
        self._touched_bundles: dict[bytes, bytes] = {}  # by the entry's key: the bundle
        self._touched_owners: dict[bytes, None] = {}
        self._touched_sales: dict[bytes, None] = {}

    def adopt(self, state: State) -> None:
        """Starts from a state, whose bundles must be numbered apart and add up to its holdings."""
        for key, bundle in state.items(Table.BUNDLE):
            self._lots[key[ADDRESS_BYTES:]] = Lot(key[:ADDRESS_BYTES], bundle)
            self._due.setdefault(bundle.expires_ms // MS_PER_DAY, {})[key[ADDRESS_BYTES:]] = None
        for name, device in state.items(Table.DEVICE):
            meter = name.decode("ascii")
            self._numbers |= {(meter, WH): device.granular, (meter, MWH): device.whole}
        self._held = {
            owner: Held(each.held, each.since_ms, each.weighted, each.counted)
            for owner, each in state.items(Table.HOLDING)
        }
        self._sales = {key: SaleOffered(key, *_terms(sale)) for key, sale in state.items(Table.SALE)}
        registry = state.get(Table.REGISTRY, b"")
        self._counted_ms = registry.counted_ms if registry else 0
        self._check_all()

    def _check_all(self) -> None:
        ends: dict[tuple[str, int], int] = {}
        held: dict[bytes, int] = {}
        for owner, bundle in sorted(self._lots.values(), key=lambda lot: (lot.bundle.unit, lot.bundle.first)):
            series = bundle.meter, bundle.unit
            must(bundle.first >= ends.get(series, 0), "bundle", bundle.meter, "Two bundles share a certificate.")
            ends[series] = bundle.end
            if bundle.counted:
                held[owner] = held.get(owner, 0) + bundle.end - bundle.first
        for series, end in ends.items():
            must(end <= self._numbers.get(series, 0), "bundle", series[0], "A certificate was never issued.")
        told = {owner: each.held for owner, each in self._held.items() if each.held}
        must(held == told, "holding", "all", "Holdings are not the sum of the bundles that count.")

    def begin(self, moment_ms: int) -> None:
        """Before the facts of one transaction."""
        self._now = moment_ms

    def number(self, meter: str, unit: int) -> int:
        """How many certificates of a device there were so far."""
        return self._numbers.get((meter, unit), 0)

    # Bundles

    def made(self, fact: BundleMade) -> None:
        """A bundle that was issued, split off, or rolled up."""
        bundle = Bundle(
            fact.meter,
            fact.unit,
            fact.first,
            fact.end,
            fact.start_ms,
            fact.end_ms,
            fact.expires_ms,
            BundleStatus.ACTIVE,
            fact.unit == MWH,
        )
        lot = Lot(fact.owner, bundle)
        must(fact.first < fact.end, "bundle", fact.bundle, "It has no certificates.")
        must(fact.bundle not in self._lots, "bundle", fact.bundle, "There is one of this id.")
        must(bundle.expires_ms > self._now, "bundle", fact.bundle, "It had expired before it was made.")
        if len(fact.parents) == 1 and fact.parents[0] in self._split:
            self._split[fact.parents[0]][1].append(lot)
        elif fact.parents:
            self._rolled_up(fact, lot)
            self._hold(fact.owner, bundle.size)
        else:
            must(fact.unit == WH, "bundle", fact.bundle, "Whole certificates are rolled up from granular ones.")
            self._next(fact.bundle, bundle)
            self.issued.append(lot)
        self._put(fact.bundle, lot)

    def _next(self, bundle_id: bytes, bundle: Bundle) -> None:
        series = bundle.meter, bundle.unit
        expected = self._numbers.get(series, 0)
        must(bundle.first == expected, "bundle", bundle_id, f"The device's next certificate is {expected}.")
        self._numbers[series] = bundle.end

    def _rolled_up(self, fact: BundleMade, lot: Lot) -> None:
        parents = [self._rolled.pop(each, None) for each in fact.parents]
        energy_wh, start_ms, end_ms, expires_ms = 0, lot.bundle.start_ms, lot.bundle.end_ms, lot.bundle.expires_ms
        for parent in parents:
            if parent is None or parent.owner != lot.owner or parent.bundle.meter != fact.meter:
                raise fault("bundle", fact.bundle, "It comes from bundles that did not end for it.")
            must(parent.bundle.unit == WH, "bundle", fact.bundle, "Only granular bundles are rolled up.")
            energy_wh += parent.bundle.end - parent.bundle.first
            start_ms, end_ms = min(start_ms, parent.bundle.start_ms), max(end_ms, parent.bundle.end_ms)
            expires_ms = min(expires_ms, parent.bundle.expires_ms)
        whole = fact.unit == MWH and energy_wh == MWH * (fact.end - fact.first)
        must(whole, "bundle", fact.bundle, f"{energy_wh} Wh went into it, and each certificate takes {MWH}.")
        spanned = (start_ms, end_ms, expires_ms) == (fact.start_ms, fact.end_ms, fact.expires_ms)
        must(spanned, "bundle", fact.bundle, "Its production or expiry is not that of its parents.")
        self._next(fact.bundle, lot.bundle)

    def moved(self, fact: BundleMoved) -> None:
        """A bundle that was given or sold."""
        lot = self._active(fact.bundle, fact.giver)
        must(fact.giver != fact.taker, "bundle", fact.bundle, "It was moved to its owner.")
        self._take(fact.bundle)
        self._put(fact.bundle, Lot(fact.taker, lot.bundle))
        if lot.bundle.counted:
            self._hold(fact.giver, -lot.bundle.size)
            self._hold(fact.taker, lot.bundle.size)
        if fact.sale:
            self._sold(fact, lot.bundle)
        else:
            must(fact.amount == 0, "sale", fact.bundle, "Something was paid for a gift.")

    def ended(self, fact: BundleEnded, *, consumer: bool) -> Bundle:
        """A bundle that is not active any more; `consumer` tells whether its owner has that role (A-13)."""
        expired = fact.ending is Ending.EXPIRED
        lot = self._active(fact.bundle, fact.owner, expired=expired)
        own = fact.ending is Ending.RETIRED and consumer and not fact.beneficiary
        stays = lot.bundle.counted and (own or fact.ending is Ending.SPLIT)
        if lot.bundle.counted and not stays:
            self._hold(fact.owner, -lot.bundle.size)
        self._take(fact.bundle)
        if fact.ending is Ending.SPLIT:
            self._split[fact.bundle] = lot, []
        elif fact.ending is Ending.ROLLED_UP:
            self._rolled[fact.bundle] = lot
        if fact.ending not in LEAVES:
            status = BundleStatus.RETIRED if fact.ending is Ending.RETIRED else BundleStatus.WITHDRAWN
            self._put(fact.bundle, Lot(lot.owner, changed(lot.bundle, status=status, counted=stays)))
        return lot.bundle

    def _active(self, bundle_id: bytes, owner: bytes, *, expired: bool = False) -> Lot:
        lot = self._lots.get(bundle_id)
        if lot is None or lot.owner != owner or lot.bundle.status is not BundleStatus.ACTIVE:
            raise fault("bundle", bundle_id, "It is not an active bundle of this owner.")
        must((self._now >= lot.bundle.expires_ms) is expired, "bundle", bundle_id, "Its time of expiry says otherwise.")
        return lot

    def _put(self, bundle_id: bytes, lot: Lot) -> None:
        self._lots[bundle_id] = lot
        self._due.setdefault(lot.bundle.expires_ms // MS_PER_DAY, {})[bundle_id] = None
        self._touched_bundles[lot.owner + bundle_id] = bundle_id

    def _take(self, bundle_id: bytes) -> None:
        lot = self._lots.pop(bundle_id)
        del self._due[lot.bundle.expires_ms // MS_PER_DAY][bundle_id]
        self._touched_bundles[lot.owner + bundle_id] = bundle_id

    # Sales

    def offered(self, fact: SaleOffered) -> None:
        """Certificates that are for sale."""
        lot = self._active(fact.bundle, fact.seller)
        must(0 < fact.count <= lot.bundle.size, "sale", fact.sale, "More is for sale than the bundle has.")
        self._sales[fact.sale] = fact
        self._touched_sales[fact.sale] = None

    def sale_ended(self, fact: SaleEnded) -> None:
        """An offer that was taken back; the books see for themselves what was bought or lapsed."""
        if fact.ending is SaleEnding.WITHDRAWN:
            must(self._sales.pop(fact.sale, None) is not None, "sale", fact.sale, "It was not for sale.")
            self._touched_sales[fact.sale] = None

    def paid(self, payer: bytes, payee: bytes, amount: int) -> None:
        """Money for certificates."""
        self._paid.append((payer, payee, amount))

    def _sold(self, fact: BundleMoved, bundle: Bundle) -> None:
        sale = self._sales.pop(fact.sale, None)
        if sale is None or sale.seller != fact.giver or sale.buyer not in (b"", fact.taker):
            raise fault("sale", fact.sale, "It was not offered to this buyer.")
        parent = self._split.get(sale.bundle)
        offered = fact.bundle == sale.bundle or (parent is not None and Lot(fact.giver, bundle) in parent[1])
        agreed = (sale.count, sale.amount) == (bundle.size, fact.amount) and sale.valid_until_ms >= self._now
        must(offered and agreed, "sale", fact.sale, "Other certificates were sold than were offered.")
        self._touched_sales[fact.sale] = None
        if fact.amount:
            self._owed.append((fact.taker, fact.giver, fact.amount))

    def finish(self) -> None:
        """After the facts of one transaction: what was split is all there, and what was sold is paid."""
        for parent_id, (parent, children) in self._split.items():
            end = parent.bundle.first
            for child in sorted(children, key=lambda lot: lot.bundle.first):
                same = child == Lot(parent.owner, changed(parent.bundle, first=end, end=child.bundle.end))
                must(same, "bundle", parent_id, "A part of it is not what follows the part before.")
                end = child.bundle.end
            must(end == parent.bundle.end, "bundle", parent_id, "Its parts do not make it up.")
        must(not self._rolled, "bundle", "rolled up", "It went into no whole certificate.")
        must(not self.issued, "bundle", "issued", "It stands for energy that nobody certified.")
        must(self._paid == self._owed, "sale", len(self._paid), "Money and certificates must change hands together.")
        self._split, self._owed, self._paid = {}, [], []

    # Holdings

    def _hold(self, owner: bytes, change: int) -> None:
        before = self._held.get(owner, Held(0, self._now, 0, 0))
        area = before.area_at(self._now)
        self._held[owner] = Held(before.held + change, self._now, area, before.counted)
        self._touched_owners[owner] = None

    def day_closed(self, length_ms: int, told: Sequence[HoldingCounted]) -> None:
        """With a day's close what expired has left, and what everybody held is counted, unless it was just before."""
        today = self._now // MS_PER_DAY
        for day in sorted(each for each in self._due if each < today):
            for bundle_id in list(self._due[day]):
                owner, bundle = self._lots[bundle_id]
                must(bundle.status is not BundleStatus.ACTIVE, "bundle", bundle_id, "It expired and is still active.")
                self._take(bundle_id)
                if bundle.counted:
                    self._hold(owner, -bundle.size)
            del self._due[day]
        for sale in list(self._sales.values()):
            lot = self._lots.get(sale.bundle)
            stands = lot is not None and lot.owner == sale.seller and lot.bundle.status is BundleStatus.ACTIVE
            if not stands or sale.valid_until_ms < self._now:
                del self._sales[sale.sale]
                self._touched_sales[sale.sale] = None
        expected: dict[bytes, tuple[int, int]] = {}
        if 2 * (self._now - self._counted_ms) >= length_ms:
            self._counted_ms = self._now
            expected = self._count()
        found = {each.member: (each.weighted, each.held) for each in told}
        must(found == expected, "holding", len(found), "What was held in the time is something else.")

    def _count(self) -> dict[bytes, tuple[int, int]]:
        """Begins to count again; what each owner held, by its time and now, where that changes what counts."""
        counted = {}
        for owner, each in list(self._held.items()):
            area = each.area_at(self._now)
            if area or each.counted:
                counted[owner] = area, each.held
            if area or each.held:
                self._held[owner] = Held(each.held, self._now, 0, area)
            else:
                del self._held[owner]
            self._touched_owners[owner] = None
        return counted

    # Comparing

    def check(self, state: State) -> None:
        """After a block: what was touched stands in the state as in the books, and nothing else came or went."""
        for key, bundle_id in self._touched_bundles.items():
            lot = self._lots.get(bundle_id)
            expected = lot.bundle if lot is not None and key == lot.owner + bundle_id else None
            must(state.get(Table.BUNDLE, key) == expected, "bundle", bundle_id, "The books have another one.")
        for owner in self._touched_owners:
            self._check_holding(owner, state.get(Table.HOLDING, owner))
        for sale_id in self._touched_sales:
            offered, sale = self._sales.get(sale_id), state.get(Table.SALE, sale_id)
            told = SaleOffered(sale_id, *_terms(sale)) if sale is not None else None
            must(told == offered, "sale", sale_id, "The books have another one.")
        for table, number in (
            (Table.BUNDLE, len(self._lots)),
            (Table.HOLDING, len(self._held)),
            (Table.SALE, len(self._sales)),
        ):
            must(state.count(table) == number, table.name.lower(), state.count(table), f"The books have {number}.")
        self._touched_bundles, self._touched_owners, self._touched_sales = {}, {}, {}

    def _check_holding(self, owner: bytes, holding: Holding | None) -> None:
        books = self._held.get(owner)
        if holding is None or books is None:
            must(holding is None and books is None, "holding", owner, "One has it, the other has not.")
            return
        must(books.held >= 0, "holding", owner, "It lies below zero.")
        now = max(self._now, holding.since_ms)
        state_area = holding.weighted + holding.held * (now - holding.since_ms)
        same = (holding.held, state_area, holding.counted) == (books.held, books.area_at(now), books.counted)
        must(same, "holding", owner, f"The books say {books.held}, the state {holding.held}.")


def _terms(sale: Sale) -> tuple[bytes, bytes, int, bytes, int, int]:
    return sale.seller, sale.bundle, sale.count, sale.buyer, sale.amount, sale.valid_until_ms
