"""Readings beside the chain: roots on it, rows checked and kept while a day needs them, substitutes (L-11, L-23)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.ledger.watched import WatchedWorld
from tests.ledger.world import HOUR, QUARTER, START
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import energy_list, pack_energy
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import Outcome, Receipt, decode_ordered, read_rows
from wattquorum.ledger.entities import ReadingSet
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.facts import ContractSettled, MemberJudged, PositionSettled
from wattquorum.ledger.readings import Row, Shelf, decode_rows, encode_rows, root_of_rows
from wattquorum.ledger.state import Table, day_key
from wattquorum.ledger.transactions import AddMeter, ClosePage, CommitReadings, MeterPoint, SealDay

KWH = 1_000
FOUR = [KWH] * 4
MONEY = 10_000 * MILLION
END = START + 4 * QUARTER
SUBSTITUTE = END + 24 * HOUR
FINAL = END + 48 * HOUR
DAY = 24 * HOUR
SALT = bytes(range(100, 116))


def traded(*days: int) -> WatchedWorld:
    """g sells 4 kWh at .50 to c on each day."""
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    for day in days or (START,):
        world.publish(day)
        world.contract("g", "c", FOUR, day=day)
    return world


def row(meter: str, energy: Sequence[int] = FOUR, version: int = 1, salt: bytes = SALT) -> Row:
    return Row(meter, version, pack_energy(energy), bytes(len(energy)), salt)


def commit(world: WatchedWorld, rows: Sequence[Row], *, day: int = START, attached: bool = True) -> Receipt:
    payload = CommitReadings(day, "f1", root_of_rows(rows), len(rows))
    return world.do("operator", payload, rows=[encode_rows(rows)] if attached else [], at=day + 4 * QUARTER)


def replayed(world: WatchedWorld) -> Ledger:
    """A ledger that executed every block with nothing but the rows that were kept beside it."""
    ledger = Ledger(world.genesis_bytes)
    for entry, executed in zip(world.entries, world.executed, strict=True):
        again = ledger.execute_ordered(changed(decode_ordered(entry), attachments=executed.rows), verify_each)
        assert again.data == executed.data
        assert again.facts == executed.facts
        assert again.rows == executed.rows
    return ledger


def test_the_chain_and_the_state_carry_the_root_alone() -> None:
    world = traded()
    odd = [1_234_567, 2_654_321, 1, 2]
    rows = [row("c-buy", odd)]
    commit(world, rows)
    block = world.executed[-1]
    state = b"".join(encode(entry) for entry in world.ledger.state.entries())
    for secret in (SALT, pack_energy(odd), pack_energy(odd[:1])):
        assert secret not in block.data
        assert secret not in state
        assert secret in block.rows[0]
    assert root_of_rows(rows) in block.data
    found: ReadingSet = world.ledger.state.get(Table.READING, day_key(START) + b"c-buy")
    assert found == ReadingSet(root_of_rows(rows), 0, 1)


def test_the_salt_hides_equal_readings() -> None:
    assert root_of_rows([row("g-sell")]) != root_of_rows([row("g-sell", salt=bytes(16))])


def test_each_meter_is_read_at_its_place_among_the_rows() -> None:
    world = traded()
    world.member("x", Side.BUY)
    world.read({"c-buy": [1, 2, 3, 4], "g-sell": [5, 6, 7, 8], "x-buy": [9, 10, 11, 12]})
    world.done("operator", ClosePage(START, "f1"))
    (told,) = world.facts(ContractSettled)
    assert isinstance(told, ContractSettled)
    assert (energy_list(told.generated), energy_list(told.consumed)) == ([5, 6, 7, 8], [1, 2, 3, 4])


def test_rows_of_one_feeder_may_come_in_several_commitments_of_one_block() -> None:
    world = traded()
    one, other = [row("g-sell")], [row("c-buy")]
    payloads = [CommitReadings(START, "f1", root_of_rows(rows), 1) for rows in (one, other)]
    world.block([], at=END)
    transactions = [world.signed("operator", each, ahead=i) for i, each in enumerate(payloads)]
    executed = world.block(transactions, [encode_rows(other), encode_rows(one)])
    assert [each.outcome for each in executed.block.receipts] == [Outcome.DONE] * 2
    world.close()
    replayed(world)


# Rows and replay


def test_a_replay_with_the_rows_that_were_kept_gives_the_same_blocks() -> None:
    world = traded()
    commit(world, [row("c-buy"), row("g-sell")])
    world.close()
    commit(world, [row("g-sell", [0] * 4, 2)])
    assert replayed(world).digest == world.ledger.digest


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([row("g-sell")], "version_not_higher"),
        ([row("ghost")], "meter_unknown"),
        ([row("c-buy", [10**9, 0, 0, 0])], "energy_absurd"),
        ([row("c-buy", [1] * 3)], "intervals_missing"),
        ([row("g-sell"), row("c-buy")], "intervals_overlap"),
    ],
)
def test_a_refused_commitment_keeps_the_rows_it_was_refused_for(rows: list[Row], code: str) -> None:
    # Without them a replay would find no rows and give another receipt, and the audit of an honest chain would fail.
    world = traded()
    commit(world, [row("g-sell")])
    receipt = commit(world, rows)
    assert receipt.code == code
    assert read_rows(receipt)
    assert world.executed[-1].rows == (encode_rows(rows),)
    replayed(world)


@pytest.mark.parametrize("sender", ["operator", "c"])
def test_rows_that_no_commitment_read_are_not_kept(sender: str) -> None:
    world = traded()
    rows = [row("g-sell")]
    payload = CommitReadings(START, "f1", root_of_rows(rows), 1)
    beside = [encode_rows([row("c-buy")])] if sender == "operator" else [encode_rows(rows)]
    receipt = world.do(sender, payload, rows=beside, at=END)
    assert receipt.code == ("rows_missing" if sender == "operator" else "role_missing")
    assert not read_rows(receipt)
    assert world.executed[-1].rows == ()
    assert world.ledger.shelf.roots() == []
    replayed(world)


def test_attachments_that_say_nothing_or_nothing_asked_for_are_dropped() -> None:
    world = traded()
    rows = [row("g-sell")]
    payload = CommitReadings(START, "f1", root_of_rows(rows), 1)
    world.block([], at=END)
    beside = [b"rubbish", b"", encode_rows([]), encode_rows([row("c-buy")]), encode_rows(rows), encode_rows(rows)]
    executed = world.block([world.signed("operator", payload)], beside)
    assert executed.block.receipts[0].outcome is Outcome.DONE
    assert executed.rows == (encode_rows(rows),)
    assert world.ledger.shelf.roots() == [root_of_rows(rows)]


def test_sending_a_commitment_again_does_not_lose_the_rows() -> None:
    # A meter operator that saw no receipt sends everything once more; the day must still be settled.
    world = traded()
    rows = [row("c-buy"), row("g-sell")]
    assert commit(world, rows).outcome is Outcome.DONE
    assert commit(world, rows).code == "version_not_higher"
    world.block([], [encode_rows(rows)])
    world.close()
    assert world.account("g").balance == MONEY + 2 * MILLION


def test_rows_that_came_with_an_earlier_block_do_not_count() -> None:
    # A replica that was restored from a snapshot has the rows of open days alone: what others still remember must not
    # decide what a block does.
    world = traded(START, START + DAY)
    rows = [row("c-buy"), row("g-sell")]
    commit(world, rows)
    commit(world, [row("c-buy", version=2), row("g-sell", version=2)])
    assert commit(world, rows, day=START + DAY, attached=False).code == "rows_missing"
    assert commit(world, rows, day=START + DAY).outcome is Outcome.DONE


# How long rows stay


def test_rows_leave_when_their_day_is_sealed_also_those_that_a_correction_replaced() -> None:
    world = traded()
    commit(world, [row("c-buy"), row("g-sell")])
    world.close()
    commit(world, [row("g-sell", [0] * 4, 2)])
    commit(world, [row("g-sell", [1] * 4, 3)])
    assert len(world.ledger.shelf.roots()) == 3
    world.done("operator", SealDay(START), at=FINAL)
    assert world.ledger.shelf.roots() == []


def test_sealing_a_day_leaves_the_rows_of_others_even_where_they_are_the_same() -> None:
    world = traded(START, START + DAY)
    same = [row("c-buy"), row("g-sell")]
    commit(world, same)
    world.close()
    commit(world, same, day=START + DAY)
    world.done("operator", SealDay(START), at=FINAL)
    assert world.ledger.shelf.roots() == [root_of_rows(same)]
    world.close(day=START + DAY)
    assert world.account("g").balance == MONEY + 4 * MILLION
    replayed(world)


def test_a_refused_sealing_drops_no_rows() -> None:
    world = traded()
    commit(world, [row("c-buy"), row("g-sell")])
    world.close()
    assert world.do("operator", SealDay(START)).code == "day_not_final"
    assert len(world.ledger.shelf.roots()) == 1
    commit(world, [row("g-sell", [0] * 4, 2)])


def test_the_shelf_takes_rows_only_for_the_root_they_have() -> None:
    shelf, rows, others = Shelf(), [row("g-sell")], [row("c-buy")]
    shelf.load(encode_rows(rows), root_of_rows(rows))
    with pytest.raises(Refused) as caught:
        shelf.load(encode_rows(rows), root_of_rows(others))
    assert caught.value.code == "commitment_wrong"
    assert shelf.get(root_of_rows(rows)) == decode_rows(encode_rows(rows))  # still there
    with pytest.raises(Refused) as caught:
        shelf.get(root_of_rows(others))
    assert caught.value.code == "rows_missing"


# Substitutes


def judged(world: WatchedWorld) -> dict[Side, MemberJudged]:
    return {fact.side: fact for fact in world.facts(MemberJudged) if isinstance(fact, MemberJudged)}


def test_a_seller_whose_meter_is_silent_is_paid_for_nothing_and_not_tested() -> None:
    world = traded()
    commit(world, [row("c-buy")])
    assert world.do("operator", ClosePage(START, "f1"), at=SUBSTITUTE - 1).code == "readings_missing"
    world.close()
    # c bought its 4 kWh from the grid at .75; g compensates .21 for each, and loses no credit.
    assert world.account("g").balance == MONEY - 840_000
    assert world.account("c").balance == MONEY - 3 * MILLION + 840_000
    fact = judged(world)[Side.SELL]
    assert (fact.promised, fact.defaulted, fact.traded) == (0, False, 0)
    assert world.side("g", Side.SELL).credit == 50 * MILLION


def test_a_buyer_whose_meter_is_silent_pays_what_it_promised_and_is_not_tested() -> None:
    world = traded()
    commit(world, [row("g-sell")])
    world.block([], at=SUBSTITUTE)
    world.close()
    assert world.account("g").balance == MONEY + 2 * MILLION
    assert world.account("c").balance == MONEY - 4 * 540_000
    fact = judged(world)[Side.BUY]
    assert (fact.promised, fact.defaulted, fact.traded) == (0, False, 0)


@pytest.mark.parametrize("silent", ["g-sell", "c-buy"])
@pytest.mark.parametrize("kept", [0, KWH // 2, KWH])
def test_nobody_earns_more_on_a_contract_by_a_silent_meter(silent: str, kept: int) -> None:
    # Whoever is silent had kept nothing, half or all of its promise. Fines apart, which need a tested default, it never
    # has more than if it had been read.
    earned = []
    for read in (True, False):
        world = traded()
        rows = [row(meter, [kept if meter == silent else KWH] * 4) for meter in ("c-buy", "g-sell")]
        commit(world, [each for each in rows if read or each.meter != silent])
        world.block([], at=SUBSTITUTE)
        world.close()
        fine = world.balance_of(world.ledger._reserved.community)
        earned.append(world.account(silent[0]).balance + fine)
    assert earned[1] <= earned[0]


def test_a_side_with_one_silent_meter_counts_its_others_and_is_not_tested() -> None:
    # g-2 is silent: g delivered what g-sell counted. c-2 is silent: c used what c-buy counted, and no less than 1 kWh.
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    for name, side in (("g", Side.SELL), ("c", Side.BUY)):
        world.done("operator", AddMeter(world.address(name), MeterPoint(f"{name}-2", side, "f1", KWH, "pv", MILLION)))
    world.publish()
    world.contract("g", "c", FOUR)
    commit(world, [row("c-buy", [0, 500, 1_000, 1_500]), row("g-sell", [0, 500, 1_000, 1_500])])
    world.block([], at=SUBSTITUTE)
    world.close()
    told = {fact.side: fact for fact in world.facts(PositionSettled) if isinstance(fact, PositionSettled)}
    assert energy_list(told[Side.SELL].metered) == [0, 500, 1_000, 1_500]
    assert energy_list(told[Side.BUY].metered) == [1_000, 1_000, 1_000, 1_500]
    assert [judged(world)[side].promised for side in Side] == [0, 0]


def test_the_first_reading_that_comes_after_a_substitute_corrects_it() -> None:
    world = traded()
    commit(world, [row("c-buy")])
    world.block([], at=SUBSTITUTE)
    world.close()
    assert commit(world, [row("g-sell", [0] * 4)]).outcome is Outcome.DONE
    # Nothing was delivered: compensation 4 * .21 stands, credit 50 -> 0, fine .005 * 50 * 4 = 1.00 capped at .200016.
    assert world.account("g").balance == MONEY - 840_000 - 200_016
    assert world.side("g", Side.SELL).credit == 0
    replayed(world)
