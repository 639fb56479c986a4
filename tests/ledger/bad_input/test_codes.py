"""The sweeps leave nothing out: every code that the ledger can raise is met by one of them, or elsewhere."""

from __future__ import annotations

import ast
from pathlib import Path

import wattquorum.ledger
from tests.ledger.bad_input import (
    test_agents,
    test_carbon,
    test_closing,
    test_context,
    test_delivery,
    test_flows,
    test_green,
    test_membership,
    test_money,
    test_negotiation,
    test_parameters,
    test_settling,
    test_validators,
)
from wattquorum.foundation.refusals import CODES

SWEEPS = (
    test_agents,
    test_carbon,
    test_closing,
    test_context,
    test_delivery,
    test_green,
    test_flows,
    test_membership,
    test_money,
    test_negotiation,
    test_parameters,
    test_settling,
    test_validators,
)

# Codes that the ledger raises elsewhere, and where that is tested.
ELSEWHERE = {
    "chain_wrong": "inadmissible: test_admission",
    "sender_unknown": "inadmissible: test_admission",
    "nonce_wrong": "inadmissible: test_admission",
    "expired": "inadmissible: test_admission",
    "expiry_too_far": "inadmissible: test_admission",
    "transaction_oversized": "inadmissible: test_admission",
    "encoding_noncanonical": "inadmissible, or an unreadable genesis: test_admission",
    "encoding_unreadable": "inadmissible, or an unreadable genesis: test_admission",
    "diverged": "not a transaction's but an entry's: test_admission",
    "input_unexpected": "not a transaction's but a proposer's that names its round: test_rounds",
    "evidence_wrong": "not a transaction's but an entry's: test_committees",
    "signers_wrong": "not a transaction's but an entry's: test_committees",
    "approvals_missing": "not a transaction's but a restart's: test_restart",
    "chain_restarted": "not a transaction's but a light client's: test_restart",
    "checkpoint_old": "not a transaction's but a light client's: test_light",
    "checkpoint_wrong": "not a transaction's but a light client's: test_light",
    "header_gap": "not a transaction's but a light client's: test_light",
    "snapshot_wrong": "not a transaction's: test_snapshots",
    "snapshot_missing": "not a transaction's but an audit's",
    "chain_altered": "not a transaction's but an audit's",
    "conservation_broken": "not a transaction's but an audit's",
    "proof_wrong": "not a transaction's but a proof's",
}


def codes_in_the_ledger() -> set[str]:
    """Every code that stands as a text in the ledger's modules."""
    found = set()
    for path in Path(wattquorum.ledger.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in CODES:
                found.add(node.value)
    return found


def test_every_code_that_the_ledger_can_raise_is_exercised() -> None:
    exercised = {case.code for module in SWEEPS for case in module.CASES} | {
        "already_approved",
        "role_missing",
        "proposal_expired",
        "offers_too_many",
    }
    assert codes_in_the_ledger() - exercised == set(ELSEWHERE)
