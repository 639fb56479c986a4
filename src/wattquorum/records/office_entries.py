"""Office entries: which rows facts about groups, votes, agents and their conduct become."""

from __future__ import annotations

from wattquorum.ledger import facts as told
from wattquorum.records import office_tables as tables
from wattquorum.records.block_entries import BlockEntries, enter, side_word
from wattquorum.records.entries import NO_JUDGEMENT, credit_row
from wattquorum.records.known import KnownCredit
from wattquorum.records.tables import credit


@enter.register
def _(fact: told.GroupFormed, block: BlockEntries) -> None:
    row = (fact.epoch, fact.group, len(fact.members), fact.traded, fact.trust, block.height)
    block.batch.add(tables.groups, row)
    block.batch.extend(tables.electors, [(fact.epoch, member.hex(), fact.group) for member in fact.members])


@enter.register
def _(fact: told.VoteCast, block: BlockEntries) -> None:
    row = (fact.epoch, fact.voter.hex(), fact.group, fact.candidate.hex(), block.height)
    block.batch.add(tables.votes, row)


@enter.register
def _(fact: told.Stood, block: BlockEntries) -> None:
    block.batch.add(tables.stands, (fact.epoch, fact.member.hex(), fact.group, fact.replica.hex(), block.height))


@enter.register
def _(fact: told.AgentSeated, block: BlockEntries) -> None:
    row = (fact.version, fact.place, fact.epoch, fact.replica.hex(), fact.group, fact.votes, block.height)
    block.batch.add(tables.agents, row)


@enter.register
def _(fact: told.Attested, block: BlockEntries) -> None:
    block.batch.add(tables.attestations, (fact.height, fact.replica.hex(), block.height))


@enter.register
def _(fact: told.Accused, block: BlockEntries) -> None:
    statement = (fact.height, fact.view, fact.phase, fact.accuser.hex())
    block.batch.add(tables.accusations, (fact.epoch, fact.replica.hex(), *statement, block.height))


@enter.register
def _(fact: told.ViewFailed, block: BlockEntries) -> None:
    row = (block.height, fact.replica.hex(), fact.views, fact.epoch, fact.version, fact.height)
    block.batch.add(tables.failed_views, row)


@enter.register
def _(fact: told.OfficeSettled, block: BlockEntries) -> None:
    counted = (fact.heights, fact.attended, fact.of, int(fact.lied))
    block.batch.add(tables.offices, (fact.epoch, fact.replica.hex(), *counted, block.height))


@enter.register
def _(fact: told.TrustMoved, block: BlockEntries) -> None:
    member, side, why = fact.member.hex(), side_word(fact.side), fact.why.name.lower()
    conduct = (why, fact.replica.hex(), int(fact.backer), fact.before, fact.after)
    block.batch.add(tables.trust, (block.height, block.sequence, fact.epoch, member, side, *conduct))
    before = block.known.credit(member, side) or block.known.initial(block.height)
    after = KnownCredit(before.credit, fact.after, before.traded)
    points = (before.credit, before.credit, fact.before, fact.after)
    row = credit_row(block, None, member, side, "trust", NO_JUDGEMENT, points, after)
    block.batch.add(credit, row)
