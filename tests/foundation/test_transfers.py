"""Transfers: what is paid is received (L-1)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.codec import Decoder, encode
from wattquorum.foundation.quantities import Money
from wattquorum.foundation.transfers import Kind, Transfer, net, transfer

ANNA, BERND, GRID = b"a" * 20, b"b" * 20, b"g" * 20
accounts = st.sampled_from([ANNA, BERND, GRID])
moneys = st.integers(-(2**62), 2**62).map(Money)


def test_a_positive_amount_goes_from_payer_to_payee() -> None:
    assert transfer(Kind.ENERGY, ANNA, BERND, Money(5)) == Transfer(Kind.ENERGY, ANNA, BERND, 5)


def test_a_negative_amount_goes_the_other_way_and_nothing_moves_for_zero() -> None:
    assert transfer(Kind.GRID_SALE, GRID, BERND, Money(-5)) == Transfer(Kind.GRID_SALE, BERND, GRID, 5)
    assert transfer(Kind.ENERGY, ANNA, BERND, Money(0)) is None


def test_what_each_account_gains_by_hand() -> None:
    moved = [
        Transfer(Kind.ENERGY, ANNA, BERND, 50),
        Transfer(Kind.OVER_GRID_FEE, ANNA, GRID, 4),
        Transfer(Kind.GRID_SALE, GRID, BERND, 8),
    ]
    assert net(moved) == {ANNA: -54, BERND: 58, GRID: -4}
    assert net([]) == {}


@given(st.lists(st.tuples(st.sampled_from(Kind), accounts, accounts, moneys)))
def test_transfers_make_and_lose_no_money(given_transfers: list[tuple[Kind, bytes, bytes, Money]]) -> None:
    moved = [each for each in (transfer(*one) for one in given_transfers) if each is not None]
    assert all(each.amount > 0 for each in moved)
    totals = net(moved)
    assert sum(totals.values()) == 0
    for account in (ANNA, BERND, GRID):
        paid = sum(amount for _, payer, _, amount in given_transfers if payer == account)
        received = sum(amount for _, _, payee, amount in given_transfers if payee == account)
        assert totals.get(account, 0) == received - paid


@given(st.sampled_from(Kind), accounts, accounts, st.integers(1, 2**62))
def test_a_transfer_is_encoded_as_an_array_and_back(kind: Kind, payer: bytes, payee: bytes, amount: int) -> None:
    moved = Transfer(kind, payer, payee, amount)
    assert Decoder[Transfer](Transfer, "transfer").decode(encode(moved)) == moved
