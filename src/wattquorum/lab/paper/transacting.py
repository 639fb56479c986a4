"""Transacting: a day's trade of fifteen pairs by the product's own rules, to the unit (section 5.1, tables 1 and 2).

Nodes 17 and 29 default, all others keep their promises. Money is transfers between partners and grid (A-17); credits
are updated first, then who defaulted pays (A-18): what its partner lost, and a fine that the performing nodes other
than the two share in proportion to their credit (A-19). Credit begins at 50 points: at 0, as in the other sections, a
first default would cost no credit, yet the paper shows penalties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.quantities import MILLION, Energy, Money, Points, Ppm, Price
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.paper.draws import Draws, between
from wattquorum.lab.paper.inputs import Inputs
from wattquorum.lab.paper.trading import Cast
from wattquorum.market.penalties import Fine, defaults, fine, fine_points, share_fines
from wattquorum.market.settlement import paper_compensation, settle_interval
from wattquorum.market.terms import Policy, TermRows, Terms
from wattquorum.standing.credit import credit_after_default, credit_after_performance_paper

PRICE_STEP: Final = 1_000  # prices are negotiated in thousandths of a CNY [millionths per kWh]
ADDRESS_BYTES: Final = 20


class Account(NamedTuple):
    """A row of table 1 or 2: a node's day."""

    node: int
    partner: int
    price: Price
    promised: Energy
    delivered: Energy
    energy: Money  # between the partners
    grid_fee: Money  # a consumer's over-grid fee
    grid: Money  # surplus sold to the grid, or shortage bought from it
    compensation: Money  # paid to the partner by who defaulted
    fine: Money  # paid to those that performed
    compensated: Money  # received from the partner
    share: Money  # received of fines
    credit_before: Points
    credit: Points
    defaulted: bool

    @property
    def result(self) -> Money:
        """A generator's income, or a consumer's expenditure, before penalties."""
        return Money(self.energy + self.grid_fee + self.grid)

    @property
    def penalty(self) -> Money:
        """All that is paid for a default (A-18)."""
        return Money(self.compensation + self.fine)


def prices_of(inputs: Inputs, seeds: Sequence[int]) -> list[list[int]]:
    """Each pair's negotiated price: any within the band, in thousandths."""
    low = inputs.feed_in // PRICE_STEP + 1
    high = (inputs.grid_price - inputs.over_grid_fee - 1) // PRICE_STEP
    drawn = between(Draws(seeds, "price", inputs.pairs).row(0), low, high) * PRICE_STEP
    return [[int(price) for price in row] for row in drawn]


def transacted(inputs: Inputs, seed: int) -> list[Account]:
    """The day of all nodes, generators first."""
    kept = replace(inputs, default_ppm=Ppm(0), reliable_ppm=Ppm(0), defaulter_ppm=Ppm(MILLION))
    day = Cast(kept, [seed]).day(0)
    promised, delivered = [Energy(int(e)) for e in day.promised[0]], [Energy(int(e)) for e in day.delivered[0]]
    return accounts(inputs, [Price(price) for price in prices_of(inputs, [seed])[0]], promised, delivered)


def accounts(
    inputs: Inputs, prices: Sequence[Price], promised: Sequence[Energy], delivered: Sequence[Energy]
) -> list[Account]:
    """Settlement, credit and penalties of a day: prices of pairs, energies of nodes [Wh]."""
    pairs, nodes = inputs.pairs, inputs.nodes
    broke = [defaults(promised[i], Energy(promised[i] - delivered[i]), Ppm(0)) for i in range(nodes)]
    before, after_day, losses = inputs.first_credit, list[Points](), list[Points]()
    for i in range(nodes):
        side = promised[:pairs] if i < pairs else promised[pairs:]
        if broke[i]:
            after = credit_after_default(before, delivered[i], promised[i], inputs.minimum_credit_loss)
            after_day.append(after.credit)
            losses.append(after.loss)
        else:
            after_day.append(credit_after_performance_paper(before, promised[i], Energy(sum(side))))
            losses.append(Points(0))
    fines = [
        fine(inputs.mu, fine_points(losses[i], inputs.minimum_credit_loss), promised[i]) if broke[i] else Money(0)
        for i in range(nodes)
    ]
    shares = _shares(fines, broke, after_day, pairs)
    paid = _compensations(inputs, prices, promised, delivered, broke)
    rows = []
    for i in range(nodes):
        pair, other = i % pairs, (i + pairs) % nodes
        terms = Terms(prices[pair], inputs.feed_in, inputs.grid_price, inputs.over_grid_fee)
        money = settle_interval(terms, promised[pair], delivered[pair], delivered[pair + pairs], Policy.PAPER)
        sells = i < pairs
        rows.append(
            Account(
                i + 1,
                other + 1,
                prices[pair],
                promised[i],
                delivered[i],
                money.energy,
                Money(0) if sells else money.over_grid_fee,
                money.grid_sale if sells else money.grid_purchase,
                paid[i],
                fines[i],
                paid[other],
                shares[i],
                before,
                after_day[i],
                broke[i],
            )
        )
    return rows


def _shares(fines: Sequence[Money], broke: Sequence[bool], credit: Sequence[Points], pairs: int) -> list[Money]:
    """What each node gets of the fines (A-19)."""
    performing = [i for i, defaulted in enumerate(broke) if not defaulted]
    place = {i: at for at, i in enumerate(performing)}
    due = []
    for i, amount in enumerate(fines):
        partner = (i + pairs) % len(fines)
        if broke[i]:
            due.append(Fine(amount, (place[partner],) if partner in place else ()))
    shared = share_fines(due, [((i + 1).to_bytes(ADDRESS_BYTES, "big"), credit[i]) for i in performing])
    found = [Money(0)] * len(fines)
    for i, share in zip(performing, shared.shares, strict=True):
        found[i] = share
    return found


def _compensations(
    inputs: Inputs,
    prices: Sequence[Price],
    promised: Sequence[Energy],
    delivered: Sequence[Energy],
    broke: Sequence[bool],
) -> list[Money]:
    """What each node owes its partner (A-18's k-term)."""
    pairs = inputs.pairs

    def column(values: Sequence[int]) -> Int64s:
        return np.array(values, dtype=np.int64)[:, None]

    terms = TermRows(*map(column, (prices, [inputs.feed_in], [inputs.grid_price], [inputs.over_grid_fee])))
    owed = paper_compensation(
        column(promised[:pairs]),
        column(delivered[:pairs]),
        column(delivered[pairs:]),
        terms,
        np.array(broke[:pairs]),
        np.array(broke[pairs:]),
    )
    return [Money(int(amount)) for side in owed for amount in side[:, 0]]
