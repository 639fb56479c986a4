"""How fast `audit` replays: the whole chain, every signature, every root, and the auditor's own books."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Final

from benchmarks.chains import Recorded
from benchmarks.measuring import Line, Section, seconds
from wattquorum.foundation.identities import Verifier
from wattquorum.ledger.audit import audit
from wattquorum.ledger.blocks import decode_block
from wattquorum.node.verification import processes

ROUNDS: Final = 3
MS_PER_SECOND: Final = 1_000


def measured(chains: dict[str, Recorded]) -> Section:
    """Replay speed by chain, and how many times as fast as the chain came about."""
    lines = []
    with processes() as verify:
        for name, chain in chains.items():
            taken = median(seconds(partial(_audit, chain, verify)) for _ in range(ROUNDS))
            lived = (_time_of(chain.blocks[-1]) - _time_of(chain.blocks[0])) / MS_PER_SECOND
            lines += [
                Line(f"{name}: audited", taken, "s", f"{lived / taken:,.0f} times as fast as it happened"),
                Line("   transactions", chain.transactions / taken, "/s"),
                Line("   blocks", len(chain.blocks) / taken, "/s"),
            ]
    return Section("Replay speed of an audit", lines)


def _audit(chain: Recorded, verify: Verifier) -> None:
    found = audit(chain.genesis, chain.blocks, chain.rows.get, {}, verify)
    if found.digest != chain.digest:
        raise AssertionError("the audit found another digest")


def _time_of(block: bytes) -> int:
    return decode_block(block).header.time_ms
