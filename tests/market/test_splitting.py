"""Splitting one contract into ten equal ones gains nothing: at most one Wh a contract and interval moves.

A pair of nodes trades next to other contracts of theirs, so that both compete for what the meters counted; once the
pair has one contract, once ten that promise a tenth each. The node's fine and credit follow its sums of the day.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.market.cases import PAPER_TERMS, rows, terms_in_band
from wattquorum.foundation.quantities import Energy, Points, Ppm
from wattquorum.foundation.vectors import Int64s
from wattquorum.market.allotment import allot_rows
from wattquorum.market.penalties import apportion_fine, defaults, fine, fine_points, shortfall_rows
from wattquorum.market.settlement import settle_rows
from wattquorum.market.terms import Policy, Terms
from wattquorum.standing.credit import credit_after_default

TEN = 10
SELLER, BUYER, OTHERS = 0, 1, 2  # rows of what the meters counted
UNLIMITED = 10**8


class Day(NamedTuple):
    """One interval of a day: what the pair promised each other in all, and what each also promised to others."""

    shared: int  # a multiple of ten
    sold_elsewhere: int
    bought_elsewhere: int
    generated: int
    consumed: int


quantities = st.integers(0, 30_000)
days = st.builds(Day, st.integers(0, 3_000).map(lambda tenth: TEN * tenth), *([quantities] * 2), *([quantities] * 2))


class Outcome(NamedTuple):
    """The day of the pair: money in all, and the seller's shortfall contract by contract."""

    seller_earns: int
    buyer_pays: int
    shortfalls: list[Energy]


def traded(day: Day, parts: int, terms: Terms) -> Outcome:
    promised = np.array([[day.shared // parts]] * parts + [[day.sold_elsewhere], [day.bought_elsewhere]])
    metered = np.array([[day.generated], [day.consumed], [UNLIMITED]])
    generated = allot_rows(metered, promised, np.array([SELLER] * parts + [SELLER, OTHERS]))
    consumed = allot_rows(metered, promised, np.array([BUYER] * parts + [OTHERS, BUYER]))
    money = settle_rows(promised, generated, consumed, rows(terms), Policy.OFF)
    own_sales = slice(0, parts + 1)
    own_purchases = np.array([*range(parts), parts + 1])
    left_over = day.generated - int(generated[own_sales].sum()), day.consumed - int(consumed[own_purchases].sum())
    seller_earns = int((money.energy + money.grid_sale)[own_sales].sum()) + left_over[0] * terms.feed_in // 1_000
    paid = money.energy + money.over_grid_fee + money.grid_purchase
    buyer_pays = int(paid[own_purchases].sum()) + left_over[1] * terms.grid_price // 1_000
    tested: Int64s = shortfall_rows(promised, generated, np.full((len(promised), 1), fill_value=True))
    return Outcome(seller_earns, buyer_pays, [Energy(each) for each in tested[own_sales].tolist()])


@given(days, terms_in_band())
def test_splitting_moves_at_most_one_wh_a_contract_at_the_spread_of_the_grid(day: Day, terms: Terms) -> None:
    whole, split = traded(day, 1, terms), traded(day, TEN, terms)
    contracts = TEN + 1
    spread = contracts * (terms.grid_price - terms.feed_in) // 1_000  # one Wh each at pb - ps
    rounding = 3 * (contracts + 2)  # every transfer, and the grid position, may lose less than a unit
    assert abs(split.seller_earns - whole.seller_earns) <= spread + rounding
    assert abs(split.buyer_pays - whole.buyer_pays) <= spread + rounding


@given(days, st.integers(0, 100_000_000).map(Points))
def test_splitting_leaves_default_fine_and_credit_as_they_were(day: Day, credit: Points) -> None:
    promised = Energy(day.shared + day.sold_elsewhere)
    seen = []
    for parts in (1, TEN):
        shortfalls = traded(day, parts, PAPER_TERMS).shortfalls
        missed = Energy(sum(shortfalls))
        if not defaults(promised, missed, Ppm(50_000)):
            seen.append((missed, 0, credit))
            continue
        after = credit_after_default(credit, Energy(promised - missed), promised, Points(1_000_000))
        due = fine(5_000, fine_points(after.loss, Points(1_000_000)), promised)
        keys = [bytes([i]) for i in range(len(shortfalls))]
        assert sum(apportion_fine(due, shortfalls, [due] * len(shortfalls), keys)) == due
        seen.append((missed, due, after.credit))
    assert seen[0] == seen[1]
