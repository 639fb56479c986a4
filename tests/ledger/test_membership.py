"""Members and governance: registration, keys, status, leaving, and decisions of n of m by heads (L-17, L-24, L-25)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.ledger.watched import WatchedWorld
from tests.ledger.world import FEED_IN, GRID_PRICE, HOUR, OVER_GRID_FEE, QUARTER, START, key_of
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import SigningKey
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import MILLION, POINTS_MAX
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import pack_prices
from wattquorum.ledger.accounts import Role, Side, Status
from wattquorum.ledger.blocks import Outcome, Receipt
from wattquorum.ledger.entities import Day, Meter, Proposal
from wattquorum.ledger.facts import ActionDecided, KeyChanged, ParametersChanged, StatusChanged
from wattquorum.ledger.membership import ROTATION_PURPOSE
from wattquorum.ledger.parameters import DEFAULTS, FIXED, RANGES
from wattquorum.ledger.state import Table, day_key
from wattquorum.ledger.transactions import (
    AddMeter,
    Approve,
    GrantRole,
    Leave,
    MeterPoint,
    PayOut,
    Propose,
    PublishDay,
    RecoverKey,
    Register,
    RevokeRole,
    RotateKey,
    SealDay,
    SetParameters,
    SetStatus,
    SettleDebt,
    WithdrawMoney,
    rotation_message,
)

KWH = 1_000
FOUR = [KWH] * 4
MONEY = 10_000 * MILLION
END = START + 4 * QUARTER
FINAL = END + 48 * HOUR


def rotation(world: WatchedWorld, name: str, new: SigningKey) -> RotateKey:
    message = rotation_message(world.ledger.chain_id, world.address(name))
    return RotateKey(new.public, new.sign(ROTATION_PURPOSE, message))


def board(needed: int = 2, governors: Sequence[str] = ("a", "b", "d")) -> WatchedWorld:
    """A world governed by several, with a member."""
    world = WatchedWorld(governors=governors, approvals_needed=needed, parameters={"notice_blocks": 0})
    world.member("m", Side.SELL)
    return world


def proposal_of(world: WatchedWorld, proposal: bytes) -> Proposal | None:
    found: Proposal | None = world.ledger.state.get(Table.PROPOSAL, proposal)
    return found


# Registration


def test_roles_come_with_meters_and_standing_with_a_side() -> None:
    world = WatchedWorld()
    world.member("p", Side.SELL, Side.BUY)
    world.member("auditor")
    assert world.account("p").roles == Role.GENERATOR | Role.CONSUMER
    assert world.account("auditor").roles == 0
    side = world.side("p", Side.SELL)
    assert (side.credit, side.trust, side.traded) == (50 * MILLION, 50 * MILLION, 0)
    assert side.feeder == "f1"


def test_several_meters_of_a_side_add_up_their_limits_and_hang_on_the_first_ones_feeder() -> None:
    world = WatchedWorld()
    world.member("g", Side.SELL, limit_w=5 * KWH)
    world.done("operator", AddMeter(world.address("g"), MeterPoint("another", Side.SELL, "f2", 2 * KWH, "pv", MILLION)))
    side = world.side("g", Side.SELL)
    assert (side.meters, side.limit_w, side.feeder) == (("another", "g-sell"), 7 * KWH, "f1")
    meter: Meter = world.ledger.state.get(Table.METER, b"another")
    assert meter.since_ms == world.now


def test_a_refused_registration_leaves_none_of_its_meters() -> None:
    world = WatchedWorld()
    point = MeterPoint("new", Side.SELL, "f1", KWH, "pv", MILLION)
    receipt = world.do("operator", Register(key_of("n").public, "n", "n", (point, point)))
    assert receipt.code == "meter_known"
    assert world.ledger.state.get(Table.METER, b"new") is None
    assert world.ledger.account(world.address("n")) is None


@pytest.mark.parametrize("name", ["grid", "Outside", "OPERATOR"])
def test_a_genesis_gives_every_founder_a_name_of_its_own(name: str) -> None:
    with pytest.raises(Refused) as refused:
        WatchedWorld(governors=("operator", name))
    assert (refused.value.code, refused.value.field) == ("account_exists", "genesis.founders.name")


# Keys


def test_a_rotated_key_signs_for_the_same_address_and_the_old_one_no_more() -> None:
    world = WatchedWorld()
    world.member("m", Side.BUY)
    world.done("m", rotation(world, "m", key_of("new")))
    assert world.do("m", WithdrawMoney(1)).code == "signature_forged"
    world.keys["m"] = key_of("new")
    world.done("m", WithdrawMoney(1))
    (told,) = world.facts(KeyChanged)
    assert told == KeyChanged(world.address("m"), key_of("new").public, recovered=False)


def test_a_proof_of_rotation_that_is_sent_again_needs_the_key_of_now() -> None:
    world = WatchedWorld()
    world.member("m", Side.BUY)
    to_new = rotation(world, "m", key_of("new"))
    world.done("m", to_new)
    world.keys["m"] = key_of("new")
    world.done("m", rotation(world, "m", key_of("newest")))
    # Whoever kept the proof for the key in between cannot use it: the transaction needs the newest key.
    assert world.do("m", to_new).code == "signature_forged"
    assert world.account("m").key == key_of("newest").public
    world.keys["m"] = key_of("newest")
    assert world.do("operator", to_new).code == "signature_forged"
    world.done("m", to_new)  # the member itself may go back


def test_a_lost_key_is_recovered_by_governors_and_nobody_else() -> None:
    world = board()
    lost = RecoverKey(world.address("m"), key_of("found").public)
    assert world.do("m", Propose(lost)).code == "role_missing"
    proposal = world.done("a", Propose(lost))
    assert world.account("m").key == key_of("m").public
    world.done("b", Approve(proposal))
    world.keys["m"] = key_of("found")
    world.done("m", WithdrawMoney(1))
    told = world.facts(KeyChanged)[-1]
    assert told == KeyChanged(world.address("m"), key_of("found").public, recovered=True)


# n of m


def test_the_approval_that_completes_the_number_executes_and_no_earlier_one() -> None:
    world = board(needed=3)
    proposal = world.done("a", Propose(GrantRole(world.address("m"), int(Role.AUDITOR))))
    assert world.do("a", Approve(proposal)).code == "already_approved"
    world.done("b", Approve(proposal))
    assert not world.account("m").has(Role.AUDITOR)
    assert world.facts(ActionDecided) == []
    world.done("d", Approve(proposal))
    assert world.account("m").has(Role.AUDITOR)
    assert world.facts(ActionDecided) == [ActionDecided(proposal)]
    assert proposal_of(world, proposal) is None


def test_a_proposal_is_executed_once() -> None:
    world = board(needed=1)
    proposal = world.done("a", Propose(GrantRole(world.address("m"), int(Role.AUDITOR))))
    world.done("a", Propose(RevokeRole(world.address("m"), int(Role.AUDITOR))))
    assert world.do("b", Approve(proposal)).code == "proposal_unknown"
    assert not world.account("m").has(Role.AUDITOR)


def test_two_completing_approvals_in_one_block_execute_once() -> None:
    world = board(needed=2)
    proposal = world.done("a", Propose(GrantRole(world.address("m"), int(Role.AUDITOR))))
    executed = world.block([world.signed("b", Approve(proposal)), world.signed("d", Approve(proposal))])
    assert [each.code for each in executed.block.receipts] == ["", "proposal_unknown"]


def test_an_approval_of_a_governor_that_lost_the_role_does_not_count() -> None:
    world = board(needed=2)
    proposal = world.done("a", Propose(GrantRole(world.address("m"), int(Role.AUDITOR))))
    revoked = world.done("b", Propose(RevokeRole(world.address("a"), int(Role.GOVERNOR))))
    world.done("d", Approve(revoked))
    assert world.do("a", Approve(proposal)).code == "role_missing"
    world.done("b", Approve(proposal))  # with a's there would be two
    assert not world.account("m").has(Role.AUDITOR)
    found = proposal_of(world, proposal)
    assert found is not None
    assert found.approvals == (world.address("b"),)
    world.done("d", Approve(proposal))
    assert world.account("m").has(Role.AUDITOR)


def test_no_fewer_governors_remain_than_must_agree() -> None:
    world = board(needed=2, governors=("a", "b"))
    proposal = world.done("a", Propose(RevokeRole(world.address("b"), int(Role.GOVERNOR))))
    receipt = world.do("b", Approve(proposal))
    assert (receipt.code, receipt.value) == ("governors_too_few", "1")
    assert world.account("b").has(Role.GOVERNOR)


def test_an_approval_whose_action_fails_is_lost_and_the_proposal_stays_open() -> None:
    world = board(needed=2)
    meter = RevokeRole(world.address("a"), int(Role.GOVERNOR))
    first = world.done("a", Propose(meter))
    second = world.done("b", Propose(RevokeRole(world.address("d"), int(Role.GOVERNOR))))
    world.done("d", Approve(second))  # d helps to revoke itself: now a and b are as many as must agree
    receipt = world.do("b", Approve(first))
    assert (receipt.outcome, receipt.code) == (Outcome.REFUSED, "governors_too_few")
    found = proposal_of(world, first)
    assert found is not None
    assert found.approvals == (world.address("a"),)
    # Once the reason is gone the same approval executes it.
    granted = world.done("a", Propose(GrantRole(world.address("m"), int(Role.GOVERNOR))))
    world.done("b", Approve(granted))
    world.done("b", Approve(first))
    assert not world.account("a").has(Role.GOVERNOR)


def test_a_proposal_can_be_decided_until_it_expires_and_leaves_the_state_with_the_next_one() -> None:
    world = board(needed=2)
    action = GrantRole(world.address("m"), int(Role.AUDITOR))
    lasting = 30 * 24 * HOUR
    first = world.done("a", Propose(action))
    kept = proposal_of(world, first)
    assert kept is not None
    assert kept.expires_ms == world.now + lasting
    late = world.done("a", Propose(GrantRole(world.address("m"), int(Role.ISSUER))))
    world.done("b", Approve(first), at=kept.expires_ms)
    assert world.account("m").has(Role.AUDITOR)
    assert world.do("b", Approve(late), at=world.now + 10).code == "proposal_expired"
    assert proposal_of(world, late) is not None  # a refusal changes nothing
    another = world.done("a", Propose(action))
    assert [key for key, _ in world.ledger.state.items(Table.PROPOSAL)] == [another]
    assert world.do("b", Approve(late)).code == "proposal_unknown"


def test_standing_and_money_give_no_vote() -> None:
    world = board(needed=2)
    world.deposit("m", 10**15)
    assert world.do("m", Propose(GrantRole(world.address("m"), int(Role.GOVERNOR)))).code == "role_missing"


# Parameters


def beside(name: str, value: int) -> list[tuple[str, int]]:
    """What has to change with a parameter: coefficients add up to one, and misconduct costs more than conduct earns."""
    if name in ("alpha", "delta"):
        return [
            (cost, POINTS_MAX) for cost in {"alpha": ("beta", "view_loss")}.get(name, ("gamma", "view_voters_loss"))
        ]
    if name in ("beta", "view_loss", "gamma", "view_voters_loss"):
        return [("alpha" if name in ("beta", "view_loss") else "delta", 1)]
    if not name.startswith(("a_", "b_")):
        return []
    first, *others = [each.name for each in RANGES if each.name[:2] == name[:2] and each.name != name]
    return [(first, min(max(MILLION - value, 0), MILLION)), *((other, 0) for other in others)]


@pytest.mark.parametrize("declared", [each for each in RANGES if each.name not in FIXED], ids=lambda each: each.name)
def test_every_parameter_is_set_at_both_ends_of_its_range_and_not_beyond(declared: object) -> None:
    world = WatchedWorld(parameters={"notice_blocks": 0})
    name, low, high = declared.name, declared.low, declared.high  # type: ignore[attr-defined]

    def setting(value: int) -> Receipt:
        height = world.ledger.height + 1
        action = SetParameters(((name, value), *beside(name, value)), height)
        return world.block([world.signed("operator", Propose(action), expiry_height=height)]).block.receipts[0]

    assert declared.low <= declared.default <= declared.high  # type: ignore[attr-defined]
    assert setting(low - 1).code == "parameter_out_of_range"
    if high < 2**63 - 1:
        assert setting(high + 1).code == "parameter_out_of_range"
    for value in (low, high) if name != "notice_blocks" else (low,):
        assert setting(value).outcome is Outcome.DONE
        assert getattr(world.ledger.parameters, name) == value


def test_one_wrong_change_refuses_all_of_them() -> None:
    world = WatchedWorld(parameters={"notice_blocks": 0})
    changes = (("fee", 5), ("eta", 0))
    assert world.do("operator", Propose(SetParameters(changes, 99))).code == "parameter_out_of_range"
    assert world.ledger.parameters.fee == DEFAULTS.fee


def test_a_day_keeps_the_parameters_under_which_it_was_published() -> None:
    world = WatchedWorld(parameters={"notice_blocks": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    first = world.publish()
    world.done("operator", Propose(SetParameters((("fee", 50_000),), world.ledger.height + 1)))
    second = world.publish(START + 4 * QUARTER)
    days: list[Day] = [world.ledger.state.get(Table.DAY, day_key(day)) for day in (first, second)]
    assert [day.parameters_version for day in days] == [0, 1]
    before = world.account("g").balance + world.account("g").locked
    world.contract("g", "c", FOUR, day=first)
    after_first = world.account("g").balance + world.account("g").locked
    world.contract("g", "c", FOUR, day=second)
    after_second = world.account("g").balance + world.account("g").locked
    # 4 kWh at .001 and at .05.
    assert (before - after_first, after_first - after_second) == (4_000, 200_000)
    told = world.facts(ParametersChanged)[-1]
    assert isinstance(told, ParametersChanged)
    assert told.parameters.fee == 50_000


def test_parameters_that_are_announced_are_not_in_force_yet() -> None:
    world = WatchedWorld(parameters={"notice_blocks": 3})
    at = world.ledger.height + 1 + 3
    world.done("operator", Propose(SetParameters((("fee", 7),), at)))
    published = []
    for i in range(5):
        start = world.publish(START + 4 * i * QUARTER)
        day: Day = world.ledger.state.get(Table.DAY, day_key(start))
        published.append((world.ledger.height, day.parameters_version))
    assert published == [(2, 0), (3, 0), (4, 1), (5, 1), (6, 1)]


def test_later_changes_build_on_announced_ones_and_never_come_before_them() -> None:
    world = WatchedWorld(parameters={"notice_blocks": 0})
    world.done("operator", Propose(SetParameters((("fee", 7),), 10)))
    early = SetParameters((("tolerance", 9),), 9)
    assert world.do("operator", Propose(early)).code == "notice_short"
    world.done("operator", Propose(SetParameters((("tolerance", 9),), 10)))
    while world.ledger.height < 10:
        assert world.ledger.parameters == changed(DEFAULTS, notice_blocks=0)
        world.block([])
    assert (world.ledger.parameters.fee, world.ledger.parameters.tolerance) == (7, 9)


def test_a_change_cannot_be_announced_so_far_ahead_that_none_could_ever_follow() -> None:
    world = WatchedWorld(parameters={"notice_blocks": 0})
    receipt = world.do("operator", Propose(SetParameters((("fee", 7),), 2**62)))
    assert (receipt.code, receipt.field) == ("out_of_range", "from_height")
    world.done("operator", Propose(SetParameters((("fee", 7),), world.ledger.height + 1)))


def test_the_parameters_of_a_height_hold_for_its_own_header() -> None:
    # The epoch becomes as short as can be at height 3: block 3 itself ends an epoch.
    world = WatchedWorld(parameters={"notice_blocks": 0})
    world.done("operator", Propose(SetParameters((("epoch_ms", 1_000),), 3)))
    second = world.block([], at=world.now + 5_000)
    third = world.block([])
    assert second.block.header.state_root == b""
    assert third.block.header.state_root != b""


# Days


def test_a_day_of_a_changed_clock_has_as_many_intervals_as_it_has() -> None:
    world = WatchedWorld()
    low, high, fee = (pack_prices([value]) for value in (FEED_IN, GRID_PRICE, OVER_GRID_FEE))
    for hours, start in ((23, START), (25, START + 23 * HOUR)):
        window = Window(start, start + hours * HOUR, QUARTER)
        end = window.end_ms
        world.done("operator", Propose(PublishDay(window, ("f1",), low, high, fee, start - 1, end, end, end)))
        day: Day = world.ledger.state.get(Table.DAY, day_key(start))
        assert day.window.intervals == 4 * hours


def test_days_may_touch_but_not_overlap() -> None:
    world = WatchedWorld()
    world.publish()
    world.publish(START + 4 * QUARTER)
    world.publish(START - 4 * QUARTER)


# Status and leaving


def test_a_suspended_members_contract_is_settled_all_the_same() -> None:
    world = WatchedWorld()
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    contract = world.contract("g", "c", FOUR)
    world.done("operator", SetStatus(world.address("g"), Status.SUSPENDED, "papers"))
    world.approve(contract)
    world.read({"g-sell": FOUR, "c-buy": FOUR})
    world.close()
    assert world.account("g").balance == MONEY - 4_000 + 2 * MILLION
    assert world.account("g").status is Status.SUSPENDED


def test_a_member_that_owes_something_is_not_reinstated_before_it_has_paid() -> None:
    world = WatchedWorld()
    world.member("low", Side.BUY, money=MILLION)
    world.publish()
    world.done("operator", SetStatus(world.address("low"), Status.SUSPENDED, "papers"))
    world.read({"low-buy": FOUR})
    world.close()  # 4 kWh from the grid at .75: 3.00, of which it has 1.00
    assert world.account("low").status is Status.SUSPENDED
    world.done("operator", SetStatus(world.address("low"), Status.ACTIVE, ""))
    assert world.account("low").status is Status.INDEBTED
    told = world.facts(StatusChanged)[-1]
    assert isinstance(told, StatusChanged)
    assert told.status is Status.INDEBTED
    world.deposit("low", 2 * MILLION)
    ((debt, _),) = world.debts_of("low")
    world.done("low", SettleDebt(debt, 2 * MILLION))
    assert world.account("low").status is Status.ACTIVE


def test_a_suspended_member_that_pays_its_debt_stays_suspended() -> None:
    world = WatchedWorld()
    world.member("low", Side.BUY, money=MILLION)
    world.publish()
    world.done("operator", SetStatus(world.address("low"), Status.SUSPENDED, "papers"))
    world.read({"low-buy": FOUR})
    world.close()
    world.deposit("low", 2 * MILLION)
    ((debt, _),) = world.debts_of("low")
    world.done("low", SettleDebt(debt, 2 * MILLION))
    assert world.account("low").status is Status.SUSPENDED


def test_the_balance_of_a_leaving_member_is_frozen_until_its_contracts_are_sealed() -> None:
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    contract = world.contract("g", "c", FOUR)
    world.done("g", Leave())
    world.approve(contract)
    assert world.do("g", WithdrawMoney(1)).code == "obligations_open"
    world.read({"g-sell": FOUR, "c-buy": FOUR})
    world.close()
    assert world.do("g", WithdrawMoney(1)).code == "obligations_open"  # corrections may still come
    world.done("operator", SealDay(START), at=FINAL)
    payout = world.done("g", WithdrawMoney(MONEY + 2 * MILLION))
    world.done("operator", PayOut(payout, paid=True))
    assert world.account("g").balance == 0
    assert world.account("g").status is Status.LEAVING


def test_a_leaving_member_without_contracts_can_take_its_money() -> None:
    world = WatchedWorld()
    world.member("c", Side.BUY)
    world.done("c", Leave())
    world.done("c", WithdrawMoney(MONEY))


# Payouts


def test_a_withdrawal_is_set_aside_until_the_cashier_has_paid_it_or_returns_it() -> None:
    world = WatchedWorld()
    world.member("c", Side.BUY)
    special = world.ledger._reserved
    paid, returned = world.done("c", WithdrawMoney(300)), world.done("c", WithdrawMoney(50))
    assert world.account("c").balance == MONEY - 350
    assert world.balance_of(special.payouts) == 350
    world.done("operator", PayOut(paid, paid=True))
    world.done("operator", PayOut(returned, paid=False))
    assert world.account("c").balance == MONEY - 300
    assert world.balance_of(special.payouts) == 0
    assert world.balance_of(special.outside) == -(MONEY - 300)
    assert world.do("operator", PayOut(returned, paid=True)).code == "payout_unknown"
