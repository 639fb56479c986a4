"""Wash trading: what members gain in voting power by trades that mean nothing (L-5, L-17, L-18).

A small market of members of different sizes trades for a fortnight on a ledger, once honestly and once for each
attempt; every trade is signed, metered and settled like any other. Voting power is what members would have in a
committee of one voter for each legal owner (L-17). What is tried:

- two members of different owners collude: they promise each other all that their connections carry, every day, and
  deliver what they really have; or a twentieth more than they have, which is no default;
- a member splits what it has over ten accounts of its own, sells what it has from one and a Wh a day from nine others,
  or breaks with a second account what it promises too much;
- a member promises once, to a willing partner, a thousand times what it has;
- the largest generator keeps back all that it promised, or the largest pair promises a Wh and keeps it, every day or on
  the last one, so that others might seem larger.

Nothing is gained by any of it, for what is compared is what legal owners delivered of promises they kept, Wh by Wh
(L-5, L-18). What others gain is the share of power that whoever tries it gives up, and that there is less to be
compared with. Carbon and certificates are not traded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.intervals import MS_PER_DAY, QUARTER_HOUR, Window
from wattquorum.foundation.quantities import MILLION, MS_PER_HOUR, Millis, Money, Points, Power, Ppm
from wattquorum.foundation.vectors import Int64s, pack_energy, pack_prices
from wattquorum.lab.cast import Signer, demo_genesis, registration
from wattquorum.lab.members import Member, MemberMeter
from wattquorum.lab.offices import CASHIER, GOVERNORS, GRID_OPERATOR, METER_OPERATOR, PROPOSER, REGISTRAR, ROLES
from wattquorum.lab.telemetry import metered_row
from wattquorum.ledger.accounts import Account, Side
from wattquorum.ledger.blocks import Outcome, order
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.readings import encode_rows, root_of_rows
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    Accept,
    Approve,
    ApproveContracts,
    CloseDay,
    ClosePage,
    CommitReadings,
    Deposit,
    Offer,
    Payload,
    Propose,
    PublishDay,
    SealDay,
    identifier,
)
from wattquorum.ledger.weighing import members
from wattquorum.simulation.demo_keys import DemoSecrets
from wattquorum.standing.power import project, tolerance_default
from wattquorum.standing.voters import voters

PAIRS: Final = 15  # of a generator and a consumer
DAYS: Final = 14
INTERVALS: Final = 4
SIZES: Final = tuple(1_000 * (8 + 7 * i % PAIRS) for i in range(PAIRS))  # what pairs generate and use [Wh per interval]
WH: Final = SIZES[1]  # of the pair that tries: the middle one
LARGEST: Final = f"gen-{SIZES.index(max(SIZES))}"
LIMIT: Final = Power(1_000_000)  # of everybody's connection: more than ten times what it uses
HUGE_LIMIT: Final = Power(100_000_000)
BOUND: Final = Ppm(50_000)  # no attempt gains anybody, accomplices included, more than this of an honest share
START: Final = 1_465_768_800_000  # 2016-06-12T22:00:00Z, midnight in Berlin
FEEDER: Final = "f"
FEED_IN, GRID_PRICE, OVER_GRID_FEE = pack_prices([400_000]), pack_prices([750_000]), pack_prices([40_000])
PRICE: Final = pack_prices([550_000])
MONEY: Final = 10**15
SIDES: Final = ("injection", "withdrawal")


@dataclass(frozen=True, slots=True)
class Player:
    """An account: its legal owner, its side, its connection, and what its meter counts in every interval [Wh]."""

    name: str
    owner: str
    side: Side
    metered: int = WH
    limit: Power = LIMIT


class Deal(NamedTuple):
    """A promise of a day between two accounts, alike in every interval [Wh]."""

    seller: str
    buyer: str
    energy: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A market to compare with the honest one: who there is, what is promised on each day, whose power it is about."""

    name: str
    owners: tuple[str, ...]
    players: tuple[Player, ...]
    days: tuple[tuple[Deal, ...], ...]


class Gain(NamedTuple):
    """What an attempt brought: shares of all voting power [ppm] of its owners together, honest and with it."""

    name: str
    honest: Ppm
    tried: Ppm
    others: int  # the most that any other owner gained of its own honest share [ppm of it]

    @property
    def change(self) -> int:
        """Gained, or below zero lost, of the honest share [ppm of it]."""
        return (self.tried - self.honest) * MILLION // self.honest


def honest_players() -> tuple[Player, ...]:
    """Generators and consumers, each of an owner of its own."""
    return tuple(
        Player(f"{word}-{i}", f"{word}-{i}", side, size)
        for word, side in (("gen", Side.SELL), ("con", Side.BUY))
        for i, size in enumerate(SIZES)
    )


def honest_days() -> tuple[tuple[Deal, ...], ...]:
    """Everybody trades all of its energy with its partner, every day."""
    return (tuple(Deal(f"gen-{i}", f"con-{i}", size) for i, size in enumerate(SIZES)),) * DAYS


def attempts() -> tuple[Attempt, ...]:
    """The four kinds of attempt, the second in two ways; sales by the honest others go on as they were."""
    players, days = honest_players(), honest_days()
    others = tuple(deal for deal in days[0] if deal.seller != "gen-1")
    most = LIMIT * QUARTER_HOUR // MS_PER_HOUR
    colluding = Attempt(
        "two members promise each other all they can",
        ("gen-1", "con-1"),
        players,
        ((Deal("gen-1", "con-1", most), *others),) * DAYS,
    )
    rest = tuple(player for player in players if player.name != "gen-1")
    parts = tuple(Player(f"part-{i}", "gen-1", Side.SELL, WH // 10) for i in range(1, 11))
    split = Attempt(
        "one member splits itself into ten accounts",
        ("gen-1",),
        (*parts, *rest),
        ((*(Deal(part.name, "con-1", WH // 10) for part in parts), *others),) * DAYS,
    )
    dwarfs = tuple(Player(f"dwarf-{i}", "gen-1", Side.SELL, 1) for i in range(1, 10))
    diluted = Attempt(
        "one member adds nine accounts that sell a Wh each",
        ("gen-1",),
        (players[1], *dwarfs, *rest),
        ((Deal("gen-1", "con-1", WH - 9), *(Deal(dwarf.name, "con-1", 1) for dwarf in dwarfs), *others),) * DAYS,
    )
    huge = tuple(
        Player(each.name, each.owner, each.side, each.metered, HUGE_LIMIT) if each.owner in ("gen-1", "con-1") else each
        for each in players
    )
    absurd = Attempt(
        "one member promises a thousand times as much, once",
        ("gen-1",),
        huge,
        (*days[: DAYS - 1], (Deal("gen-1", "con-1", 1_000 * WH), *others)),
    )
    idle = tuple(
        Player(each.name, each.owner, each.side, 0, each.limit) if each.name == LARGEST else each for each in players
    )
    withheld = Attempt("the largest generator keeps back all it promised", (LARGEST,), idle, days)
    sink = tuple(
        each
        for player in players
        for each in (
            (
                Player("main", "gen-1", Side.SELL, WH * 9 // 10),
                Player("sink", "gen-1", Side.SELL, WH - WH * 9 // 10),
            )
            if player.name == "gen-1"
            else (player,)
        )
    )
    broken = Attempt(
        "one member breaks what it promises too much with a second account",
        ("gen-1",),
        sink,
        ((Deal("main", "con-1", WH * 9 // 10), Deal("sink", "con-1", WH * 22 // 100), *others),) * DAYS,
    )
    big, small = LARGEST, LARGEST.replace("gen", "con")
    without = tuple(deal for deal in days[0] if deal.seller != big)
    tiny = Attempt(
        "the largest pair promises a Wh a day and keeps it",
        (big, small),
        players,
        ((Deal(big, small, 1), *without),) * DAYS,
    )
    last = Attempt(
        "the largest pair promises a Wh on the last day and keeps it",
        (big, small),
        players,
        (*days[: DAYS - 1], (Deal(big, small, 1), *without)),
    )
    shaded = Attempt(
        "a pair promises a twentieth more than it has",
        ("gen-1", "con-1"),
        players,
        ((Deal("gen-1", "con-1", WH * 20 // 19), *others),) * DAYS,
    )
    return colluding, split, diluted, absurd, withheld, broken, tiny, last, shaded


def gains(tolerance: int | None = None) -> list[Gain]:
    """What every attempt gained, with powers at a tolerance, a third of all but one unless given."""
    honest = powers(honest_players(), honest_days(), tolerance)
    found = []
    for attempt in attempts():
        tried = powers(attempt.players, attempt.days, tolerance)
        rest = [owner for owner in honest if owner not in attempt.owners]
        found.append(
            Gain(
                attempt.name,
                Ppm(sum(honest[owner] for owner in attempt.owners)),
                Ppm(sum(tried[owner] for owner in attempt.owners)),
                max((tried[each] - honest[each]) * MILLION // honest[each] for each in rest),
            )
        )
    return found


def powers(players: tuple[Player, ...], days: tuple[tuple[Deal, ...], ...], tolerance: int | None) -> dict[str, Ppm]:
    """Each owner's share of all voting power after the days were traded, with its best account [ppm]."""
    best = _traded(players, days).weights
    owners = sorted(best)
    chosen = tolerance_default(len(owners)) if tolerance is None else tolerance
    found = project([best[owner] for owner in owners], [owner.encode() for owner in owners], chosen)
    return {owner: Ppm(power * MILLION // sum(found)) for owner, power in zip(owners, found, strict=True)}


def earned(players: tuple[Player, ...], days: tuple[tuple[Deal, ...], ...]) -> dict[str, Money]:
    """What each owner's accounts hold together after the days were traded, less what was paid in [millionths]."""
    return dict(_traded(players, days).money)


class _Traded(NamedTuple):
    """What the days brought each owner; the same at every tolerance."""

    weights: dict[str, Points]  # with its best account
    money: dict[str, Money]


@cache
def _traded(players: tuple[Player, ...], days: tuple[tuple[Deal, ...], ...]) -> _Traded:
    market = _Market(players)
    for number, deals in enumerate(days):
        market.trade(START + number * MS_PER_DAY, deals)
    state = market.ledger.state
    weights = {each.owner: each.weight for each in voters(members(state, market.ledger.parameters))}
    money = {player.owner: Money(0) for player in players}
    for player in players:
        account: Account = state.get(Table.ACCOUNT, market.signer.addresses[player.name])
        money[player.owner] = Money(money[player.owner] + account.balance + account.locked - MONEY)
    return _Traded(weights, money)


class _Market:
    """A ledger with its operators and players, without a disk: what is measured is rules, not storage."""

    def __init__(self, players: Sequence[Player]) -> None:
        self.players = {player.name: player for player in players}
        self.secrets = DemoSecrets(1, demo=True)
        genesis = demo_genesis(self.secrets, "wash", "CNY", Millis(START - 3 * MS_PER_DAY))
        self.ledger = Ledger(genesis)
        self.signer = Signer(self.secrets, genesis, [*ROLES, *self.players])
        opening = START - 2 * MS_PER_DAY
        registered: list[tuple[str, Payload]] = [
            (REGISTRAR, registration(_member(each), self.signer.key(each.name))) for each in players
        ]
        self.order(opening, registered)
        paid: list[tuple[str, Payload]] = [
            (CASHIER, Deposit(self.signer.addresses[name], MONEY, name)) for name in self.players
        ]
        self.order(opening + 1, paid)

    def trade(self, day: int, deals: Sequence[Deal]) -> None:
        """One delivery day from its publication to its seal."""
        window = Window(day, day + INTERVALS * QUARTER_HOUR, QUARTER_HOUR)
        evening = day - 12 * MS_PER_HOUR
        action = PublishDay(
            window,
            (FEEDER,),
            FEED_IN,
            GRID_PRICE,
            OVER_GRID_FEE,
            evening + 10,
            window.end_ms + 1,
            window.end_ms + 2,
            window.end_ms + MS_PER_HOUR,
        )
        published = self.order(evening, [(GOVERNORS[0], Propose(action))])
        self.order(evening + 1, [(GOVERNORS[1], Approve(identifier(published[0])))])
        offered = self.order(
            evening + 2,
            [
                (
                    deal.seller,
                    Offer(
                        day,
                        Side.SELL,
                        self.signer.addresses[deal.buyer],
                        pack_energy([deal.energy] * INTERVALS),
                        PRICE,
                        day,
                    ),
                )
                for deal in deals
            ],
        )
        made = [identifier(each) for each in offered]
        self.order(evening + 3, [(deal.buyer, Accept(day, each)) for deal, each in zip(deals, made, strict=True)])
        self.order(evening + 11, [(GRID_OPERATOR, ApproveContracts(day, tuple(made)))])
        rows = [
            metered_row(self.secrets, name, window, _flat(player.metered), bytes(INTERVALS), 1)
            for name, player in sorted(self.players.items())
        ]
        commit = CommitReadings(day, FEEDER, root_of_rows(rows), len(rows))
        self.order(window.end_ms + 1, [(METER_OPERATOR, commit)], (encode_rows(rows),))
        self.order(window.end_ms + 3, [(GRID_OPERATOR, ClosePage(day, FEEDER))])
        self.order(window.end_ms + 4, [(GRID_OPERATOR, CloseDay(day))])
        self.order(window.end_ms + MS_PER_HOUR, [(GRID_OPERATOR, SealDay(day))])

    def order(self, at: int, said: Sequence[tuple[str, Payload]], attachments: tuple[bytes, ...] = ()) -> list[bytes]:
        """The transactions as the next block, all of which must be done; their hashes."""
        signed = tuple(self.signer.sign(party, payload, self.ledger.height, at) for party, payload in said)
        key = self.secrets.key(PROPOSER)
        entry = order(key, self.ledger.chain_id, at, self.ledger.applied, signed, attachments)
        receipts = self.ledger.execute(entry, verify_each).block.receipts
        wrong = [receipt.code for receipt in receipts if receipt.outcome is not Outcome.DONE]
        if wrong:
            raise AssertionError(f"a scenario's transactions are all done, but {wrong}")
        return [receipt.transaction for receipt in receipts]


def _member(player: Player) -> Member:
    direction = SIDES[player.side - 1]
    technology = "wind" if player.side is Side.SELL else "village"
    meter = MemberMeter(player.name, direction, FEEDER, player.limit, technology, Ppm(MILLION))
    return Member(player.name, player.owner, (meter,))


def _flat(energy: int) -> Int64s:
    return np.full(INTERVALS, energy, dtype=np.int64)
