"""Judges a kept run again: `python -m torture.judge FOLDER`.

From the history and the chains alone, without any process: every history has to be linearizable; every write that was
acknowledged has to be in the chain, once, done, at the height that its client was told; writes have to stand in the
chain in the order in which one was answered before another was called; all chains have to have the same blocks as far
as they go; each chain has to pass the audit; every slot that had a seat at the end has to have its chain, up to the
last write that was acknowledged; nobody may have been proven to lie who does not, and whoever was has to have been
accused and to have lost trust, where agents are elected (`torture.penalties`). Exit status 1 and what is wrong, or 0.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from torture.history import HISTORY, Seen, Write, seen
from torture.linearizability import NEVER, is_linearizable
from torture.penalties import SHORT, SLOTS, Offices, proven, summary, table, unpaid
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.audit import AuditFault
from wattquorum.ledger.blocks import Outcome, header_hash
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.protocols import Protocol
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.founding import node_name

CHAINS: Final = "node-*/chain"
FINAL: Final = "final"  # what a run notes when all is healed
RUN: Final = "run"  # how it was asked for
SHOWN: Final = 12


class Chain(NamedTuple):
    """What is in a chain: the hash of every block, and where each transaction is."""

    name: str
    blocks: list[bytes]
    transactions: dict[str, list[tuple[int, Outcome]]]
    wrong: list[str]
    offices: Offices


def read_chain(folder: Path) -> Chain:
    """Audits a chain folder and reads it, as far as it is right."""
    found = Chain(folder.parent.name, [], {}, [], Offices())

    def note(executed: Executed) -> None:
        found.offices.note(executed)
        found.blocks.append(header_hash(executed.block.header))
        for receipt in executed.block.receipts:
            where = (executed.block.header.height, receipt.outcome)
            found.transactions.setdefault(receipt.transaction.hex(), []).append(where)

    try:
        with ChainFolder(folder, writing=True):
            pass  # what an interrupted write left is removed as a node does at its start
        with ChainFolder(folder) as chain:
            audit_folder(chain, verify_each, note)
    except (AuditFault, Refused, OSError) as fault:
        found.wrong.append(f"{found.name}: {type(fault).__name__}: {fault}")
    return found


def judge_histories(told: Seen) -> list[str]:
    """Which histories no order explains."""
    return [
        f"the history of {account[:8]} is not linearizable"
        for account, history in sorted(told.operations.items())
        if not is_linearizable(history)
    ]


def judge_chains(chains: list[Chain]) -> list[str]:
    """Where chains are wrong, or tell different things."""
    wrong = [each for chain in chains for each in chain.wrong]
    longest = max(chains, key=lambda chain: len(chain.blocks))
    for chain in chains:
        apart = next(
            (at for at, pair in enumerate(zip(chain.blocks, longest.blocks, strict=False)) if len(set(pair)) > 1), None
        )
        if apart is not None:
            wrong.append(f"{chain.name} has another block {apart + 1} than {longest.name}")
    for transaction, places in longest.transactions.items():
        if len(places) > 1:
            wrong.append(f"transaction {transaction} is in {len(places)} blocks: {places}")
    return wrong


def judge_seats(told: Seen, chains: list[Chain]) -> list[str]:
    """Whether every slot that had a seat at the end has its chain, up to the last write that was acknowledged."""
    finals = [note for note in told.notes if note["what"] == FINAL]
    if not finals:
        return [f"the history has no {FINAL!r}: it does not say who had a seat at the end"]
    last = max((write.height for write in told.writes), default=0)
    blocks = {chain.name: len(chain.blocks) for chain in chains}
    wrong = []
    for name in map(node_name, finals[-1]["seated"]):
        if name not in blocks:
            wrong.append(f"{name} had a seat at the end, and its chain is missing")
        elif blocks[name] < last:
            wrong.append(f"{name} had a seat at the end, and its chain has {blocks[name]} blocks of {last}")
    return wrong


def judge_writes(writes: list[Write], chain: Chain) -> list[str]:
    """Which writes were acknowledged and are not there, or not where they were said to be, or in another order."""
    wrong = []
    acknowledged = [write for write in writes if write.height]
    for write in acknowledged:
        places = chain.transactions.get(write.transaction, [])
        if (write.height, Outcome.DONE) not in places:
            wrong.append(f"lost: {write.transaction} was acknowledged at {write.height}; the chain has it at {places}")
    answered = sorted(acknowledged, key=lambda write: write.answered)
    highest, at = 0, 0
    for write in sorted(acknowledged, key=lambda write: write.called):
        while at < len(answered) and answered[at].answered < write.called:
            highest = max(highest, answered[at].height)
            at += 1
        if write.height < highest:
            wrong.append(f"{write.transaction} is in block {write.height}; one of block {highest} was answered before")
    return wrong


def judge_sums(told: Seen, chain: Chain) -> list[str]:
    """Whether the last that readers were told is what the chain adds up to."""
    wrong = []
    finals = [note for note in told.notes if note["what"] == FINAL]
    for final in finals[-1:]:
        for account, balance in final["balances"].items():
            done = sum(
                write.added
                for write in told.writes
                if write.account == account
                and any(outcome is Outcome.DONE for _, outcome in chain.transactions.get(write.transaction, []))
            )
            if done != balance:
                wrong.append(f"{account[:8]} has {balance}; the chain's deposits make {done}")
    return wrong


def engine_of(told: Seen) -> str:
    """How the nodes of a run agreed."""
    return next((str(note.get("engine")) for note in told.notes if note["what"] == RUN), "")


def judge_penalties(told: Seen, chain: Chain) -> list[str]:
    """Whether only those were proven to lie who do, and whether that cost them trust where agents are elected."""
    return unpaid(chain.offices, told.notes, elected=engine_of(told) == Protocol.CGPBFT)


def print_penalties(told: Seen, chain: Chain) -> None:
    """Whom nodes proved to lie, where a committee agrees; what that and failures cost, where agents are elected."""
    names = {replica: node_name(slot) for note in told.notes if note["what"] == SLOTS for replica, slot in note["of"]}

    def name(replica: str) -> str:
        return names.get(replica, replica[:SHORT])

    engine, console = engine_of(told), Console(highlight=False, soft_wrap=True)
    found = Table(box=None, show_header=False)
    if engine in (Protocol.PBFT, Protocol.CGPBFT):
        found.add_row("proven to lie, as nodes tell", proven(told.notes, name))
    if engine == Protocol.CGPBFT:
        for row in summary(chain.offices, name):
            found.add_row(*row)
    console.print(found)
    if engine == Protocol.CGPBFT:
        console.print(table(chain.offices, name))


def judge(folder: Path) -> tuple[list[str], str]:
    """What is wrong with a run, and what was looked at; prints what lies and failures cost."""
    told = seen(folder)
    chains = [read_chain(path) for path in sorted(folder.glob(CHAINS)) if any(path.iterdir())]
    if not chains:
        return [f"{folder} has no chain"], "nothing"
    wrong = judge_histories(told) + judge_chains(chains) + judge_seats(told, chains)
    longest = max(chains, key=lambda chain: len(chain.blocks))
    wrong += judge_writes(told.writes, longest) + judge_sums(told, longest) + judge_penalties(told, longest)
    print_penalties(told, longest)
    acknowledged = sum(1 for write in told.writes if write.height)
    open_ = sum(1 for write in told.writes if write.answered == NEVER)
    reads = sum(1 for history in told.operations.values() for each in history if each.told is not None)
    return wrong, (
        f"{acknowledged} acknowledged writes, {open_} without an answer, {reads} reads, {len(chains)} chains, "
        f"the longest of {len(longest.blocks)} blocks"
    )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help=f"what a run kept: {HISTORY} and the folders of the nodes")
    asked = parser.parse_args()
    wrong, looked_at = judge(asked.folder)
    for each in wrong[:SHOWN]:
        print("wrong:", each)
    if len(wrong) > SHOWN:
        print(f"wrong: and {len(wrong) - SHOWN} more")
    print("broken:" if wrong else "held:", looked_at)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
