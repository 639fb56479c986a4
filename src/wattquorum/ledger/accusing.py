"""Accusing: a member of a committee that signed two statements which exclude each other is proven to lie (B-5, B-6).

It pays at once, and so do those who voted for it. While it is in office it waits to be replaced: at the end of the
first block that may, or at the epoch's end, where it is not eligible. A VIEW-CHANGE is no such statement.
"""

from __future__ import annotations

from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.statements import Phase, statement_check
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import is_signed
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import check_active
from wattquorum.ledger.agreement import committee_at
from wattquorum.ledger.attendance import agents_of, office_of
from wattquorum.ledger.committees import need_agents
from wattquorum.ledger.context import Context
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.facts import Accused
from wattquorum.ledger.offices import Attended, Why, office_key
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.transactions import Accuse
from wattquorum.ledger.trust import Trusts
from wattquorum.ledger.validators import seats_of, vector_of


def accuse(context: Context, payload: Accuse) -> None:
    """Anybody shows that a member of a committee lied; of one whose offices are not settled yet."""
    state, evidence = context.state, payload.evidence
    parameters = need_agents(context)
    check_active(context.account(context.sender), "sender")
    epoch = _epoch_of(state, evidence.epoch)
    if epoch is None:
        raise Refused("evidence_outsider", "epoch", evidence.epoch)
    committee = committee_at(state, evidence.epoch)
    place = committee.place(evidence.member)
    if place is None:
        raise Refused("evidence_outsider", "member", evidence.member)
    if evidence.digests[0] == evidence.digests[1]:
        raise Refused("evidence_unproven", "digests", evidence.digests[0], "Two different digests exclude each other.")
    _check_signatures(context.chain_id, committee, place, evidence)
    office = office_of(state, epoch, evidence.member)
    if office.lied:
        raise Refused("evidence_known", "member", evidence.member)
    state.put(Table.OFFICE, office_key(epoch, evidence.member), changed(office, lied=True))
    context.tell(Accused(epoch, evidence.member, evidence.height, evidence.view, evidence.phase, context.sender))
    trusts = Trusts(state, epoch)
    trusts.judge(evidence.member, parameters.stakes, Why.LIED)
    for fact in trusts.told:
        context.tell(fact)
    agents = agents_of(state)
    if evidence.member not in agents.accused:
        state.put(Table.AGENTS, b"", changed(agents, accused=(*agents.accused, evidence.member)))


def is_news(state: State, evidence: Equivocation) -> bool:
    """Whether a lie is still to be told: its committee can be judged, or is to come, and it is not known to have lied.

    Nobody is judged where nobody is elected; there it is told as long as its committee is the newest.
    """
    if evidence.epoch > seats_of(state).newest:
        return True
    epoch = _epoch_of(state, evidence.epoch)
    return epoch is not None and not office_of(state, epoch, evidence.member).lied


def _epoch_of(state: State, version: int) -> int | None:
    """The epoch in which a version was in office; None for one that never was, or long ago."""
    if version == seats_of(state).newest:
        chain: Chain = state.get(Table.CHAIN, b"")
        return chain.epoch
    kept: list[Attended] = [each for _, each in state.items(Table.ATTENDED)]
    epoch = next((each.epoch for each in kept if each.version == version), None)
    return None if vector_of(state, version) is None else epoch


def _check_signatures(chain_id: bytes, committee: Committee, place: int, evidence: Equivocation) -> None:
    height, view, phase = evidence.height, evidence.view, Phase(evidence.phase)
    for digest, signature in zip(evidence.digests, evidence.signatures, strict=True):
        check = statement_check(chain_id, committee, place, height, view, phase, digest, signature)
        if not is_signed(check):
            raise Refused("evidence_unproven", "signatures", signature)
