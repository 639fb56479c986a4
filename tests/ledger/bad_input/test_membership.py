"""Bad registrations, meters, keys, statuses, roles and days: refused, and nothing but a nonce changes."""

from __future__ import annotations

import pytest

from tests.ledger.bad_input.attempts import (
    NOBODY,
    Attempt,
    Case,
    check_case,
    check_refused,
    governed,
    indebted,
    name_of,
    parameters,
    point,
    refusals,
    suspended,
)
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import FEED_IN, GRID_PRICE, HOUR, OVER_GRID_FEE, QUARTER, START, key_of
from wattquorum.foundation.codec import changed
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import POWER_MAX, PRICE_MAX
from wattquorum.foundation.vectors import pack_prices
from wattquorum.ledger.accounts import Role, Side, Status
from wattquorum.ledger.membership import FEEDERS_MAX, METERS_MAX, ROTATION_PURPOSE
from wattquorum.ledger.transactions import (
    AddMeter,
    Approve,
    GrantRole,
    Leave,
    Propose,
    PublishDay,
    RecoverKey,
    Register,
    RevokeRole,
    RotateKey,
    SetStatus,
    rotation_message,
)

CASES: list[Case] = []
refused = refusals(CASES)


# Status


@refused("account_inactive", "sender")
def leaving_twice(world: WatchedWorld) -> Attempt:
    world.done("g", Leave())
    return Attempt("g", Leave(), "g is leaving")


@refused("account_inactive", "member")
def reinstating_a_member_that_leaves(world: WatchedWorld) -> Attempt:
    world.done("g", Leave())
    return Attempt("operator", SetStatus(world.address("g"), Status.ACTIVE, ""), "g")


@refused("account_inactive", "member")
def suspending_the_grid(world: WatchedWorld) -> Attempt:
    return Attempt("operator", SetStatus(world.ledger._reserved.grid, Status.SUSPENDED, ""), "grid")


@refused("out_of_range", "status")
def setting_a_status_that_only_the_ledger_sets(world: WatchedWorld) -> Attempt:
    return Attempt("operator", SetStatus(world.address("g"), Status.LEAVING, ""), "LEAVING")


@refused("account_unknown", "member")
def suspending_nobody(world: WatchedWorld) -> Attempt:
    return Attempt("operator", SetStatus(NOBODY, Status.SUSPENDED, ""), NOBODY)


@refused("account_inactive", "sender")
def leaving_while_suspended(world: WatchedWorld) -> Attempt:
    suspended(world, "c")
    return Attempt("c", Leave(), "c is suspended")


@refused("account_inactive", "sender")
def leaving_in_debt(world: WatchedWorld) -> Attempt:
    indebted(world)
    return Attempt("low", Leave(), "low is indebted")


@refused("account_inactive", "member")
def reinstating_a_debtor(world: WatchedWorld) -> Attempt:
    indebted(world)
    return Attempt("operator", SetStatus(world.address("low"), Status.ACTIVE, ""), "low")


@refused("role_held", "sender")
def leaving_with_a_role(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Leave(), "operator")


@refused("role_held", "member")
def suspending_a_cashier(world: WatchedWorld) -> Attempt:
    world.done("operator", Propose(GrantRole(world.address("c"), int(Role.CASHIER))))
    return Attempt("operator", SetStatus(world.address("c"), Status.SUSPENDED, "mine alone"), "c")


# Members, meters and keys


@refused("account_exists", "key")
def registering_a_key_twice(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Register(key_of("g").public, "again", "again", ()), "again")


@refused("meter_known", "meter")
def registering_a_meter_twice(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Register(key_of("n").public, "n", "n", (point("a"), point("a"))), "a")


@refused("meter_known", "meter")
def adding_somebody_elses_meter(world: WatchedWorld) -> Attempt:
    return Attempt("operator", AddMeter(world.address("c"), point("g-sell", Side.BUY)), "g-sell")


@refused("account_unknown", "member")
def adding_a_meter_to_nobody(world: WatchedWorld) -> Attempt:
    return Attempt("operator", AddMeter(NOBODY, point("a")), NOBODY)


@refused("out_of_range", "member")
def adding_a_meter_to_the_grid_account(world: WatchedWorld) -> Attempt:
    return Attempt("operator", AddMeter(world.ledger._reserved.grid, point("a")), "grid")


@refused("out_of_range", "limit_w")
def a_meter_that_carries_nothing(world: WatchedWorld) -> Attempt:
    return Attempt("operator", AddMeter(world.address("g"), point("a", limit_w=0)), 0)


@refused("out_of_range", "limit_w")
def a_meter_that_carries_too_much(world: WatchedWorld) -> Attempt:
    return Attempt("operator", AddMeter(world.address("g"), point("a", limit_w=POWER_MAX + 1)), POWER_MAX + 1)


@refused("out_of_range", "meters")
def too_many_meters_on_a_side(world: WatchedWorld) -> Attempt:
    meters = tuple(point(f"m{i:02}") for i in range(METERS_MAX + 1))
    return Attempt("operator", Register(key_of("n").public, "n", "n", meters), METERS_MAX + 1)


@refused("signature_forged", "proof")
def a_rotation_to_a_key_that_the_member_does_not_hold(world: WatchedWorld) -> Attempt:
    message = rotation_message(world.ledger.chain_id, world.address("c"))
    proof = key_of("thief").sign(ROTATION_PURPOSE, message)
    return Attempt("c", RotateKey(key_of("victim").public, proof), proof)


@refused("signature_forged", "proof")
def a_rotation_with_somebody_elses_proof(world: WatchedWorld) -> Attempt:
    # The proof was made for g's account, where it is good.
    proof = key_of("new").sign(ROTATION_PURPOSE, rotation_message(world.ledger.chain_id, world.address("g")))
    return Attempt("c", RotateKey(key_of("new").public, proof), proof)


@refused("account_inactive", "member")
def adding_a_meter_to_an_account_that_leaves(world: WatchedWorld) -> Attempt:
    world.done("p", Leave())
    return Attempt("operator", AddMeter(world.address("p"), point("more")), "p")


@refused("account_exists", "name")
def registering_a_second_grid(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Register(key_of("grid").public, "grid", "grid", ()), "grid")


@refused("account_exists", "name")
def registering_a_name_that_differs_in_capitals_alone(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Register(key_of("another g").public, "G", "another", ()), "G")


# Governance


NEXT = START + 24 * HOUR


def publishing(start: int, **fields: object) -> PublishDay:
    window = Window(start, start + 4 * QUARTER, QUARTER)
    prices = [pack_prices([value]) for value in (FEED_IN, GRID_PRICE, OVER_GRID_FEE)]
    gate, end = start - HOUR, window.end_ms
    made = PublishDay(window, ("f1",), prices[0], prices[1], prices[2], gate, end, end, end)
    return changed(made, **fields)


@refused("day_exists", "window")
def publishing_a_day_twice(world: WatchedWorld) -> Attempt:
    return governed(publishing(START), START)


@refused("day_overlaps", "window")
def publishing_a_day_that_overlaps(world: WatchedWorld) -> Attempt:
    return governed(publishing(START + 3 * QUARTER), START + 3 * QUARTER)


@refused("window_past", "gate_ms")
def publishing_a_day_whose_gate_is_past(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, gate_ms=world.now + 1), world.now + 1)


@refused("time_misaligned", "window")
def publishing_a_day_that_is_not_made_of_whole_intervals(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, window=Window(NEXT, NEXT + QUARTER + 1, QUARTER)), QUARTER + 1)


@refused("out_of_range", "interval length")
def publishing_a_day_of_seconds(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, window=Window(NEXT, NEXT + QUARTER, 0)), 0)


@refused("out_of_range", "window")
def publishing_a_day_that_ends_before_it_starts(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, window=Window(NEXT, NEXT, QUARTER)), f"{NEXT}..{NEXT}")


@refused("out_of_range", "window")
def publishing_a_day_of_26_hours(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, window=Window(NEXT, NEXT + 26 * HOUR, HOUR)), 26 * HOUR)


@refused("out_of_range", "deadlines")
def publishing_a_day_whose_gate_lies_after_its_start(world: WatchedWorld) -> Attempt:
    made = publishing(NEXT, gate_ms=NEXT + 1)
    end = NEXT + 4 * QUARTER
    return governed(made, (NEXT + 1, NEXT, end, end, end, end))


@refused("out_of_range", "deadlines")
def publishing_a_day_that_is_final_before_substitution(world: WatchedWorld) -> Attempt:
    end = NEXT + 4 * QUARTER
    return governed(publishing(NEXT, substitute_ms=end + 1), (NEXT - HOUR, NEXT, end, end, end + 1, end))


@refused("out_of_range", "feeders")
def publishing_a_day_without_feeders(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, feeders=()), ())


@refused("out_of_range", "feeders")
def publishing_a_day_with_a_feeder_twice(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, feeders=("f1", "f1")), ("f1", "f1"))


@refused("out_of_range", "feeders")
def publishing_a_day_with_unsorted_feeders(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, feeders=("f2", "f1")), ("f2", "f1"))


@refused("out_of_range", "feeders")
def publishing_a_day_with_too_many_feeders(world: WatchedWorld) -> Attempt:
    feeders = tuple(f"{i:04}" for i in range(FEEDERS_MAX + 1))
    return governed(publishing(NEXT, feeders=feeders), feeders)


@refused("vector_length", "grid_price")
def publishing_a_day_with_tariffs_for_two_intervals(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, grid_price=pack_prices([1, 2])), "2 entries")


@refused("out_of_range", "feed_in")
def publishing_a_day_with_a_tariff_beyond_what_a_price_may_be(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, feed_in=(-PRICE_MAX - 1).to_bytes(4, "little", signed=True)), -PRICE_MAX - 1)


@refused("notice_short", "from_height")
def setting_parameters_without_notice(world: WatchedWorld) -> Attempt:
    return governed(parameters(world, ("fee", 0), ahead=5), world.ledger.height + 5)


@refused("role_unknown", "role")
def granting_a_role_that_comes_with_meters(world: WatchedWorld) -> Attempt:
    return governed(GrantRole(world.address("c"), int(Role.GENERATOR)), 1)


@refused("role_unknown", "role")
def granting_two_roles_at_once(world: WatchedWorld) -> Attempt:
    roles = int(Role.AUDITOR | Role.CASHIER)
    return governed(GrantRole(world.address("c"), roles), roles)


@refused("account_unknown", "account")
def granting_nobody_a_role(world: WatchedWorld) -> Attempt:
    return governed(GrantRole(NOBODY, int(Role.AUDITOR)), NOBODY)


@refused("out_of_range", "account")
def granting_the_grid_account_a_role(world: WatchedWorld) -> Attempt:
    return governed(GrantRole(world.ledger._reserved.grid, int(Role.AUDITOR)), "grid")


@refused("governors_too_few", "role")
def revoking_the_last_governor(world: WatchedWorld) -> Attempt:
    return governed(RevokeRole(world.address("operator"), int(Role.GOVERNOR)), 0)


@refused("out_of_range", "account")
def recovering_the_key_of_the_community(world: WatchedWorld) -> Attempt:
    community = world.ledger._reserved.community
    return governed(RecoverKey(community, key_of("thief").public), community)


@refused("proposal_unknown", "proposal")
def approving_a_decided_proposal(world: WatchedWorld) -> Attempt:
    decided = world.done("operator", Propose(GrantRole(world.address("c"), int(Role.AUDITOR))))
    return Attempt("operator", Approve(decided), decided)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    check_case(case)


def test_a_governor_cannot_approve_twice() -> None:
    world = WatchedWorld(governors=("a", "b", "c"), approvals_needed=2)
    proposal = world.done("a", Propose(GrantRole(world.address("operator"), int(Role.ISSUER))))
    check_refused(world, Attempt("a", Approve(proposal), proposal), "already_approved", "proposal")


def test_a_proposal_expires() -> None:
    world = WatchedWorld(governors=("a", "b", "c"), approvals_needed=2, parameters={"proposal_ms": HOUR})
    first, second = (
        world.done("a", Propose(GrantRole(world.address("a"), int(role)))) for role in (Role.ISSUER, Role.REGISTRY)
    )
    at = world.now + HOUR
    check_refused(world, Attempt("b", Approve(first), first, at=at), "proposal_expired", "proposal")
    world.block([world.signed("b", Approve(second))], at=at)
    assert not world.account("a").has(Role.REGISTRY)
