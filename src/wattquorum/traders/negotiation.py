"""Negotiation: how a member finds partners and comes to terms with them, round by round, through the ledger alone.

Sellers post what they have to offer for everybody to see. Buyers answer with vectors of their own, the part that they
need, and a price; sellers accept, answer back or let it lapse; so do buyers, until price and energy suit both or the
gate closes. Everybody concedes with time (time-dependent tactics: Faratin, Sierra, Jennings 1998): each begins with an
opening share of the band for itself and ends at its reserve, sooner or later according to its haste; two whose
reserves do not meet part without a contract.

What this module guarantees, whatever the others do: a member's contracts, its open offers and what it accepts now
never add up to more than its promise at that price nor than its connection carries, every price lies inside the band,
and collateral and fees for all of them are covered by its free money. Any open offer may be accepted in the same
block, so that what is on offer counts as promised until it lapses. Rules: A-4, A-20, L-6, L-7, L-10.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.quantities import WH_PER_KWH, Energy, Points, Price
from wattquorum.foundation.vectors import Int64s, PriceVector, energies, pack_energy, pack_prices
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.context import expanded
from wattquorum.ledger.entities import OpenOffer
from wattquorum.ledger.transactions import Accept, Counter, Offer
from wattquorum.market.collateral import at_stake, collateral
from wattquorum.market.fees import handling_fee
from wattquorum.market.terms import Policy, TermRows
from wattquorum.traders.prices import Band, band_of, kept
from wattquorum.traders.situation import SeenOffer, Situation
from wattquorum.traders.strategy import Step

Promise = Callable[[Situation, Int64s], Int64s]  # what to promise at a price: [Wh per interval]

OPENING: Final = (0.70, 0.95)  # shares of the band; where a member's settings leave them open, drawn for each day
RESERVE: Final = (0.15, 0.55)
HASTE: Final = (0.8, 2.5)
REACH: Final = 0.35  # share of the band between two prices beyond which nobody answers
APPROACHED_AT_ONCE: Final = 4
CROWDING: Final = 0.03  # share of the band by which a member's ranking of public offers is blurred
PART_LEAST: Final = 50  # a deal is worth the trouble from 1/50 of the day's promise
SLACK_PER_INTERVAL: Final = 8  # millionths: what rounding adds to a lock
ENERGY_LEAST: Final = Energy(WH_PER_KWH)


class Manner(NamedTuple):
    """How a member bargains: shares of the band that it wants for itself."""

    opening: float
    reserve: float
    haste: float  # below 1 it waits, above 1 it concedes early
    first_round: int = 0  # when it first posts an offer of its own

    def asks(self, number: int, last: int) -> float:
        """The share asked for in round `number` of 0..`last`."""
        progress = min(number / last, 1.0) if last > 0 else 1.0
        return self.opening + (self.reserve - self.opening) * math.pow(progress, 1.0 / self.haste)


def draw_manner(
    random: np.random.Generator, opening: float | None, reserve: float | None, haste: float | None
) -> Manner:
    """A manner with what is given, and the rest drawn from the usual ranges; always the same number of draws."""
    drawn = [float(random.uniform(low, high)) for low, high in (OPENING, RESERVE, HASTE)]
    first_round = int(random.integers(2))
    given = (opening, reserve, haste)
    chosen = [value if value is not None else other for value, other in zip(given, drawn, strict=True)]
    return Manner(max(chosen[0], chosen[1]), chosen[1], chosen[2], first_round)


class Haggler:
    """Negotiates for a strategy, with one manner for each delivery day."""

    __slots__ = ("_given", "_manners")

    def __init__(self, opening: float | None = None, reserve: float | None = None, haste: float | None = None) -> None:
        """`opening` and `reserve` are shares of the band in 0..1, `haste` is above zero; None draws them each day."""
        for name, value in (("opening", opening), ("reserve", reserve)):
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value}; give a share from 0 to 1")
        if haste is not None and not haste > 0.0:
            raise ValueError(f"haste is {haste}; give a number above 0")
        self._given = (opening, reserve, haste)
        self._manners: dict[int, Manner] = {}

    def decide(self, situation: Situation, random: np.random.Generator, promise: Promise) -> list[Step]:
        """This round's steps towards what `promise` wants."""
        manner = self._manners.get(situation.day)
        if manner is None:
            manner = self._manners[situation.day] = draw_manner(random, *self._given)
        return negotiate(situation, random, promise, manner)


def negotiate(
    situation: Situation,
    random: np.random.Generator,
    promise: Promise,
    manner: Manner,
    *,
    partners: Sequence[str] = (),
    posts: bool | None = None,
) -> list[Step]:
    """One round for one member: answers to offers that came to it, answers to public ones, and an offer of its own.

    `partners` names the only members to deal with, all when empty. `posts` says whether it makes offers of its own;
    when None, sellers do and buyers look for them.
    """
    band = band_of(situation)
    if not band.has_room or situation.now_ms >= situation.gate_ms:
        return []
    round_ = _Round(situation, promise, manner, band, partners)
    round_.answer()
    round_.approach(random)
    if posts or (posts is None and situation.side is Side.SELL):
        round_.post()
    return round_.steps


class _Round:
    """One member's round as it takes shape: what is committed, what money is left, the steps so far."""

    __slots__ = (
        "_answered",
        "_band",
        "_committed",
        "_free",
        "_manner",
        "_named",
        "_promise",
        "_refused",
        "_situation",
        "steps",
    )

    def __init__(
        self, situation: Situation, promise: Promise, manner: Manner, band: Band, partners: Sequence[str]
    ) -> None:
        self._situation = situation
        self._promise = promise
        self._manner = manner
        self._band = band
        self._named = _named(situation, partners) if partners else None
        self._refused = {outcome.offer: None for outcome in situation.outcomes if outcome.code and outcome.offer}
        self._answered = {seen.offer.answers: None for seen in situation.own_offers if seen.offer.answers}
        self._committed = situation.promised.copy()
        self._free = situation.balance
        self.steps: list[Step] = []
        for seen in situation.own_offers:
            self._commit(energies(seen.offer.energy), self._price_of(seen.offer))

    # What the member wants

    def _asks(self, ahead: int = 0) -> float:
        rounds = self._situation.rounds
        return self._manner.asks(rounds.number + ahead, rounds.number + rounds.to_go)

    def _own_price(self) -> Int64s:
        return self._band.keeping(self._asks(), self._situation.side)

    def _suits(self, share: float) -> bool:
        """A price suits when it keeps at least what the member would ask for in the next round."""
        return share >= self._asks(ahead=1) - 1e-9

    # What the member can promise

    def _room(self, energy: Int64s, price: Int64s) -> Int64s:
        """The part of `energy` [Wh per interval] that may still be promised at `price`."""
        wanted = np.minimum(self._promise(self._situation, price), self._situation.limit_wh)
        return self._affordable(np.clip(wanted - self._committed, 0, energy), price)

    def _affordable(self, energy: Int64s, price: Int64s) -> Int64s:
        """The energy, or as much of it in proportion as free money covers."""
        needed = self._needs(energy, price)
        if needed <= self._free:
            return energy
        share = max(self._free - len(energy) * SLACK_PER_INTERVAL, 0) / max(needed, 1)
        scaled = np.floor(energy * share).astype(np.int64)
        return scaled if self._needs(scaled, price) <= self._free else np.zeros_like(energy)

    def _needs(self, energy: Int64s, price: Int64s) -> int:
        """Collateral and handling fee of a contract for this side [millionths]."""
        situation, parameters = self._situation, self._situation.parameters
        points = at_stake(
            Points(situation.credit), Points(parameters.collateral_loss), Points(parameters.minimum_credit_loss)
        )
        terms = TermRows(price, situation.feed_in, situation.grid_price, situation.over_grid_fee)
        locks = collateral(energy, terms, parameters.mu, points, points, Policy(parameters.policy))
        own = locks.seller if situation.side is Side.SELL else locks.buyer
        return own + handling_fee(Energy(int(energy.sum())), Price(parameters.fee))

    def _worthwhile(self, energy: Int64s, price: Int64s) -> bool:
        whole = int(self._promise(self._situation, price).sum())
        return int(energy.sum()) >= max(ENERGY_LEAST, whole // PART_LEAST)

    def _commit(self, energy: Int64s, price: Int64s) -> None:
        self._committed = self._committed + energy
        self._free -= self._needs(energy, price)

    # Steps

    def answer(self) -> None:
        """Accepts, counters or lets lapse what was addressed to this member, the best price first."""
        for share, seen in self._ranked([each for each in self._situation.offers if each.offer.partner]):
            self._respond(share, seen)

    def approach(self, random: np.random.Generator) -> None:
        """Accepts or counters public offers, the best price first, with a ranking of its own among near equals."""
        public = [each for each in self._situation.offers if not each.offer.partner]
        blurred = [
            (share + CROWDING * float(random.standard_normal()), share, seen) for share, seen in self._ranked(public)
        ]
        blurred.sort(key=lambda each: -each[0])
        answers = 0
        for _, share, seen in blurred:
            answers += self._respond(share, seen)
            if answers == APPROACHED_AT_ONCE:
                break

    def post(self) -> None:
        """Offers what is left, to everybody or to each of the named partners, unless such an offer still stands."""
        situation = self._situation
        if situation.rounds.to_go == 0 or situation.rounds.number < self._manner.first_round:
            return
        if any(not seen.offer.answers for seen in situation.own_offers):
            return
        price = self._own_price()
        left = self._room(np.full_like(self._committed, situation.limit_wh), price)
        addressees = self._named if self._named is not None else [b""]
        for address in addressees:
            part = left // len(addressees)
            if not self._worthwhile(part, price):
                return
            self.steps.append(
                Offer(situation.day, situation.side, address, pack_energy(part), _packed(price), self._valid_until())
            )
            self._commit(part, price)

    def _respond(self, share: float, seen: SeenOffer) -> bool:
        """One answer to one offer, or none; whether there was one."""
        situation = self._situation
        offered, price = energies(seen.offer.energy), self._price_of(seen.offer)
        if self._suits(share):
            if bool((self._room(offered, price) == offered).all()):
                self.steps.append(Accept(situation.day, seen.id))
                self._commit(offered, price)
                return True
            price = self._band.inside(price)
        elif share >= self._asks() - REACH:
            price = self._own_price()
        else:
            return False
        part = self._room(offered, price)
        if situation.rounds.to_go == 0 or not self._worthwhile(part, price):
            return False
        self.steps.append(Counter(situation.day, seen.id, pack_energy(part), _packed(price), self._valid_until()))
        self._commit(part, price)
        return True

    # Reading offers

    def _ranked(self, offers: Sequence[SeenOffer]) -> list[tuple[float, SeenOffer]]:
        """The offers worth a look with the share of the band that each leaves to this side, the best first."""
        ranked = []
        for seen in offers:
            if seen.id in self._answered or seen.id in self._refused:
                continue
            if self._named is not None and seen.offer.author not in self._named:
                continue
            position = self._band.position(self._price_of(seen.offer), energies(seen.offer.energy))
            ranked.append((kept(position, self._situation.side), seen))
        ranked.sort(key=lambda each: (-each[0], each[1].id))
        return ranked

    def _price_of(self, offer: OpenOffer) -> Int64s:
        return expanded(offer.price, self._situation.window.intervals)

    def _valid_until(self) -> int:
        """Until the middle of the next round: it can be answered once, and then its energy is free again."""
        situation = self._situation
        return min(situation.now_ms + situation.rounds.length_ms * 3 // 2, situation.gate_ms)


def _named(situation: Situation, names: Sequence[str]) -> list[bytes]:
    """The named members that could be partners: of the other side and of another owner."""
    other = Side.BUY if situation.side is Side.SELL else Side.SELL
    return [
        address
        for address, known in situation.directory.items()
        if known.name in names and other in known.sides and known.owner != situation.owner
    ]


def _packed(price: Int64s) -> PriceVector:
    """Prices of a day, as a single one where all are the same."""
    return pack_prices(price[:1] if bool((price == price[0]).all()) else price)
