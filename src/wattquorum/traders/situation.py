"""A situation: everything a member may use when it decides, and nothing that it could not know at that hour.

Strategies get a situation and a random stream, and no more: no state, no service, no clock. What is in it is what a
real member has: its own account and readings, the tariffs and parameters of the day, the offers that the ledger shows
to it, and the forecast that it was told. `Board` and `look` are the one place where it is read off the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import MS_PER_HOUR
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s
from wattquorum.ledger.accounts import MEMBER, Account, Side
from wattquorum.ledger.context import expanded, promised_to
from wattquorum.ledger.entities import Day, MemberSide, Meter, OfferStatus, OpenOffer
from wattquorum.ledger.genesis import version_key
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.state import State, Table, day_key, side_key
from wattquorum.traders.forecast import Forecast


class SeenOffer(NamedTuple):
    """An open offer that a member can see."""

    id: bytes
    offer: OpenOffer


class Known(NamedTuple):
    """What everybody knows of a member."""

    name: str
    owner: str
    sides: tuple[Side, ...]


class Outcome(NamedTuple):
    """What became of one of the member's own transactions: the offer it was about and the refusal's code.

    An empty code means that it was done. `offer` is empty for a first offer that was refused.
    """

    offer: bytes
    code: str


class Rounds(NamedTuple):
    """Where the negotiation of a day stands."""

    number: int  # this round, from 0
    to_go: int  # rounds after this one
    length_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """What one side of a member knows in one round. Arrays have one entry per interval of `window`."""

    address: bytes
    name: str
    owner: str
    side: Side
    technology: str
    feeder: str
    limit_w: int  # P_max or connection limit over all its meters of this side [W]
    day: int  # the delivery day: its start [ms UTC]
    window: Window
    now_ms: int
    gate_ms: int
    rounds: Rounds
    feed_in: Int64s  # [millionths per kWh]
    grid_price: Int64s
    over_grid_fee: Int64s
    parameters: Parameters
    credit: int  # own credit C [millionths of a point]
    balance: int  # free money [millionths]
    locked: int  # own collateral in open contracts [millionths]
    history: Int64s  # own readings that are due by now, [past days, intervals] in Wh, oldest first
    forecast: Forecast
    promised: Int64s  # over all own contracts of the day and side [Wh]
    offers: tuple[SeenOffer, ...]  # open offers of the other side, public or addressed to this member
    own_offers: tuple[SeenOffer, ...]  # open offers by this member
    directory: Mapping[bytes, Known]
    outcomes: tuple[Outcome, ...]  # of own transactions of this day, oldest first

    @property
    def limit_wh(self) -> int:
        """What the connection carries in an interval [Wh] (A-4, L-10)."""
        return self.limit_w * self.window.length_ms // MS_PER_HOUR


class Board:
    """The open offers of a day at one moment, read once for everybody."""

    __slots__ = ("_by_author", "_by_partner", "_public")

    def __init__(self, state: State, day: int, now_ms: int) -> None:
        """Offers whose time has run out are left out, as their acceptance would be refused."""
        self._public: list[SeenOffer] = []
        self._by_partner: dict[bytes, list[SeenOffer]] = {}
        self._by_author: dict[bytes, list[SeenOffer]] = {}
        prefix = len(day_key(day))
        for key in state.of_day(Table.OFFER, day):
            offer: OpenOffer = state.get(Table.OFFER, key)
            if offer.status is not OfferStatus.OPEN or offer.valid_until_ms < now_ms:
                continue
            seen = SeenOffer(key[prefix:], offer)
            self._by_author.setdefault(offer.author, []).append(seen)
            if offer.partner:
                self._by_partner.setdefault(offer.partner, []).append(seen)
            else:
                self._public.append(seen)

    def visible_to(self, address: bytes, side: Side, directory: Mapping[bytes, Known]) -> tuple[SeenOffer, ...]:
        """The offers that a member could answer on this side: of the other side and of another owner."""
        owner = directory[address].owner
        return tuple(
            seen
            for seen in (*self._by_partner.get(address, ()), *self._public)
            if seen.offer.side is not side and directory[seen.offer.author].owner != owner
        )

    def of(self, address: bytes, side: Side) -> tuple[SeenOffer, ...]:
        """A member's own open offers on a side."""
        return tuple(seen for seen in self._by_author.get(address, ()) if seen.offer.side is side)


def directory_of(state: State) -> dict[bytes, Known]:
    """All members by address, as the ledger's public accounts tell them."""
    directory: dict[bytes, Known] = {}
    for address, account in state.items(Table.ACCOUNT):
        if account.has(MEMBER):
            sides = tuple(side for side in Side if state.get(Table.SIDE, side_key(address, side)) is not None)
            directory[address] = Known(account.name, account.owner, sides)
    return directory


def look(
    state: State,
    board: Board,
    directory: Mapping[bytes, Known],
    address: bytes,
    side: Side,
    *,
    day: int,
    now_ms: int,
    rounds: Rounds,
    history: Int64s,
    forecast: Forecast,
    outcomes: tuple[Outcome, ...] = (),
) -> Situation:
    """What a member sees of the ledger on one side, with the readings, forecast and outcomes that it was told.

    Raises Refused("day_unknown"), Refused("account_unknown") or Refused("side_impossible").
    """
    published: Day | None = state.get(Table.DAY, day_key(day))
    if published is None:
        raise Refused("day_unknown", "day", day)
    account: Account | None = state.get(Table.ACCOUNT, address)
    if account is None:
        raise Refused("account_unknown", "address", address)
    own: MemberSide | None = state.get(Table.SIDE, side_key(address, side))
    if own is None:
        raise Refused("side_impossible", "side", side.name)
    meter: Meter = state.get(Table.METER, own.meters[0].encode())
    count = published.window.intervals
    return Situation(
        address=address,
        name=account.name,
        owner=account.owner,
        side=side,
        technology=meter.point.technology,
        feeder=own.feeder,
        limit_w=own.limit_w,
        day=day,
        window=published.window,
        now_ms=now_ms,
        gate_ms=published.gate_ms,
        rounds=rounds,
        feed_in=_frozen(expanded(published.feed_in, count)),
        grid_price=_frozen(expanded(published.grid_price, count)),
        over_grid_fee=_frozen(expanded(published.over_grid_fee, count)),
        parameters=state.get(Table.PARAMETERS, version_key(published.parameters_version)),
        credit=own.credit,
        balance=account.balance,
        locked=account.locked,
        history=_frozen(history),
        forecast=forecast,
        promised=_frozen(promised_to(state, day, address, side, count)),
        offers=board.visible_to(address, side, directory),
        own_offers=board.of(address, side),
        directory=directory,
        outcomes=outcomes,
    )


def past_days(readings: Mapping[int, Int64s], window: Window, due_before_ms: int) -> Int64s:
    """Own readings as rows at the same time of day as `window`, oldest first: int64 [past days, intervals] in Wh.

    `readings` holds a meter's energy in blocks of the window's interval length, each under its start [ms UTC]; only
    blocks that end at or before `due_before_ms` count. Each row lies a whole number of 24 hours before the window, so
    that a day of 23 or 25 hours needs no repair. Rows that are not fully covered are left out.
    """
    day_ms, length = 24 * MS_PER_HOUR, window.length_ms
    known: dict[int, int] = {}
    for start, energy in readings.items():
        if start + len(energy) * length <= due_before_ms:
            known.update(zip(range(start, start + len(energy) * length, length), energy.tolist(), strict=True))
    rows: list[list[int]] = []
    if known:
        first = min(known)
        back = (window.start_ms - first) // day_ms
        for days in range(back, 0, -1):
            start = window.start_ms - days * day_ms
            row = [known.get(start + index * length) for index in range(window.intervals)]
            if None not in row:
                rows.append([value for value in row if value is not None])
    return np.array(rows, dtype=np.int64).reshape(len(rows), window.intervals)


def _frozen(array: Int64s) -> Int64s:
    """A view that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view
