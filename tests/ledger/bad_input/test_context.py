"""Acting without the needed role or while not active: refused, and nothing but a nonce changes."""

from __future__ import annotations

import pytest

from tests.ledger.bad_input.attempts import (
    NOBODY,
    NOTHING,
    Attempt,
    Case,
    check_case,
    check_refused,
    fresh,
    indebted,
    name_of,
    point,
    refusals,
    row,
    suspended,
)
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import START
from wattquorum.ledger.accounts import Role, Status
from wattquorum.ledger.readings import encode_rows, root_of_rows
from wattquorum.ledger.transactions import (
    AddMeter,
    Approve,
    ApproveContracts,
    CloseDay,
    ClosePage,
    CommitReadings,
    Curtail,
    Deposit,
    GrantRole,
    Payload,
    PayOut,
    Propose,
    RecoverKey,
    Register,
    ReportFault,
    SealDay,
    SetStatus,
)

CASES: list[Case] = []
refused = refusals(CASES)


@refused("account_inactive", "sender")
def acting_in_a_role_while_suspended(world: WatchedWorld) -> Attempt:
    suspended(world, "c")
    world.done("operator", Propose(GrantRole(world.address("c"), int(Role.CASHIER))))
    return Attempt("c", Deposit(world.address("c"), 1, "for-me"), "c is suspended")


@refused("account_inactive", "sender")
def committing_to_rows_while_in_debt(world: WatchedWorld) -> Attempt:
    indebted(world)
    world.done("operator", Propose(GrantRole(world.address("low"), int(Role.METER_OPERATOR))))
    rows = [row("g-sell", version=2)]
    payload = CommitReadings(START, "f1", root_of_rows(rows), 1)
    return Attempt("low", payload, "low is indebted", (encode_rows(rows),))


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    check_case(case)


ROLE_BOUND: tuple[Payload, ...] = (
    Register(bytes(32), "n", "n", ()),
    AddMeter(NOBODY, point("a")),
    SetStatus(NOBODY, Status.ACTIVE, ""),
    Propose(RecoverKey(NOBODY, bytes(32))),
    Approve(NOTHING),
    ApproveContracts(START, ()),
    Curtail(START, NOTHING, b"", ""),
    ReportFault(START, (), 0, 0, ""),
    CommitReadings(START, "f1", bytes(32), 0),
    ClosePage(START, "f1"),
    CloseDay(START),
    SealDay(START),
    Deposit(NOBODY, 1, "r"),
    PayOut(NOTHING, True),
)


@pytest.mark.parametrize("payload", ROLE_BOUND, ids=lambda payload: type(payload).__name__)
def test_what_a_role_may_do_nobody_else_may(payload: Payload) -> None:
    check_refused(fresh(), Attempt("c", payload, "c"), "role_missing", "sender")
