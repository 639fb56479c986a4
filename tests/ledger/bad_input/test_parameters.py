"""Bad values of parameters: refused, and nothing but a nonce changes."""

from __future__ import annotations

import pytest

from tests.ledger.bad_input.attempts import (
    Attempt,
    Case,
    check_case,
    governed,
    name_of,
    parameters,
    refusals,
)
from tests.ledger.watched import WatchedWorld
from wattquorum.foundation.quantities import MILLION

CASES: list[Case] = []
refused = refusals(CASES)


@refused("parameter_unknown", "parameter")
def setting_a_parameter_that_does_not_exist(world: WatchedWorld) -> Attempt:
    return governed(parameters(world, ("fee", 0), ("luck", 1)), "luck")


@refused("parameter_out_of_range", "eta")
def setting_a_parameter_outside_its_range(world: WatchedWorld) -> Attempt:
    return governed(parameters(world, ("fee", 0), ("eta", MILLION)), MILLION)


@refused("parameter_out_of_range", "fee")
def setting_a_parameter_below_its_range(world: WatchedWorld) -> Attempt:
    return governed(parameters(world, ("fee", -1)), -1)


@refused("parameter_fixed", "consensus")
def setting_how_replicas_agree(world: WatchedWorld) -> Attempt:
    return governed(parameters(world, ("fee", 0), ("consensus", 2)), 2)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    check_case(case)
