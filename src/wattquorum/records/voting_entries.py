"""Voting entries: which rows facts about validators, their powers and their rounds become."""

from __future__ import annotations

from wattquorum.ledger import facts as told
from wattquorum.records import voting_tables as tables
from wattquorum.records.block_entries import BlockEntries, enter


@enter.register
def _(fact: told.ValidatorChanged, block: BlockEntries) -> None:
    row = (block.height, block.sequence, fact.replica.hex(), fact.key.hex(), fact.member.hex())
    block.batch.revise(tables.validators, ("replica",), (*row, fact.seat.name.lower(), None))


@enter.register
def _(fact: told.VectorMade, block: BlockEntries) -> None:
    powers = [(voter.replica, voter.power, 0) for voter in fact.voters]
    rows = [*powers, *((replica, 0, 1) for replica in fact.learners)]
    block.batch.extend(
        tables.vectors,
        [(fact.version, replica.hex(), power, learner, block.height) for replica, power, learner in rows],
    )


@enter.register
def _(fact: told.RoundCounted, block: BlockEntries) -> None:
    followers = " ".join(each.hex() for each in fact.followers)
    row = (fact.height, fact.term, fact.old, fact.new, fact.proposer.hex(), followers, block.height)
    block.batch.add(tables.rounds, row)


@enter.register
def _(fact: told.EpochCounted, block: BlockEntries) -> None:
    counted = (fact.replies, fact.rounds, fact.before, fact.after, int(fact.decayed))
    block.batch.add(tables.participation, (block.height, fact.replica.hex(), fact.member.hex(), *counted))
