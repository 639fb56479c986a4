"""Attendance: what certificates tell of how agents hold their office, and what that earns or costs (B-5).

A block carries the certificate of the one before. Who signed it attended that height; so did who proves, within 64
blocks, that it signed too, for a certificate names no more than a quorum, and whoever proposes may choose. 65 blocks
after its last height an epoch's offices are settled, for all of its heights: at least half of them attended is conduct
that earns, none at all, in office throughout, costs; in between nothing happens. Mere absence never costs.

A view below a certificate's has failed. Its primary is charged less than for a lie, once: views persist, a slow network
can blame one that is honest, and the next proposer can choose among certificates.
"""

from __future__ import annotations

from wattquorum.consensus.bft.certificates import CommitCertificate
from wattquorum.consensus.bft.statements import Phase, statement_check
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import is_signed
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreement import committee_at
from wattquorum.ledger.blocks import Header
from wattquorum.ledger.committees import need_agents
from wattquorum.ledger.context import Context
from wattquorum.ledger.facts import Attested, Fact, OfficeSettled, ViewFailed
from wattquorum.ledger.offices import ATTEST_BLOCKS, Agents, Attended, Due, Office, Why, height_key, office_key
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.transactions import Attest
from wattquorum.ledger.trust import Trusts
from wattquorum.ledger.validators import seats_of

NEW: Office = Office(0, 0, False)


def agents_of(state: State) -> Agents:
    """Those in office."""
    found: Agents = state.get(Table.AGENTS, b"")
    return found


def office_of(state: State, epoch: int, replica: bytes) -> Office:
    """An agent's office in an epoch; the first certificate of the epoch begins it."""
    found: Office | None = state.get(Table.OFFICE, office_key(epoch, replica))
    return found or NEW


def note_attendance(
    state: State, parameters: Parameters, tip: Header, certificate: CommitCertificate, height: int
) -> list[Fact]:
    """Takes over who signed for the block before, charges views that failed, and settles what is due."""
    committee = committee_at(state, tip.round.new)
    signed = dict.fromkeys(each.member for each in certificate.seals)
    for place, replica in enumerate(committee.members):
        office = office_of(state, tip.epoch, replica)
        after = changed(office, heights=office.heights + 1, attended=office.attended + (place in signed))
        state.put(Table.OFFICE, office_key(tip.epoch, replica), after)
    places = bytes(place in signed for place in range(len(committee.members)))
    kept = Attended(tip.epoch, tip.round.new, certificate.digest, places)
    state.put(Table.ATTENDED, height_key(tip.height), kept)
    if height > ATTEST_BLOCKS:
        state.drop(Table.ATTENDED, height_key(height - ATTEST_BLOCKS - 1))
    told = _charge_views(state, parameters, tip, certificate.view, committee.members)
    for due in agents_of(state).due:
        if due.settled <= height:
            told.extend(_settle(state, parameters, due))
    return told


def _charge_views(
    state: State, parameters: Parameters, tip: Header, view: int, members: tuple[bytes, ...]
) -> list[Fact]:
    """At the first certificate of a view the primaries of those below it are charged that were not yet."""
    agents, current = agents_of(state), tip.round.new == seats_of(state).newest
    seen = agents.view if current else agents.view_before
    if view <= seen:
        return []
    state.put(Table.AGENTS, b"", changed(agents, **{"view" if current else "view_before": view}))
    trusts, told, count = Trusts(state, tip.epoch), list[Fact](), len(members)
    for place, replica in enumerate(members):
        failed = (view - place + count - 1) // count - (seen - place + count - 1) // count
        if failed:
            told.append(ViewFailed(tip.epoch, tip.round.new, replica, failed, tip.height))
            trusts.judge(replica, parameters.view_stakes, Why.FAILED_VIEW, times=failed)
    return told + trusts.told


def _settle(state: State, parameters: Parameters, due: Due) -> list[Fact]:
    """Pays for an epoch's offices, and forgets them."""
    trusts, told = Trusts(state, due.epoch), list[Fact]()
    prefix = office_key(due.epoch, b"")
    for key, each in list(state.items(Table.OFFICE)):
        if not key.startswith(prefix):
            continue
        office: Office = each
        replica = key[len(prefix) :]
        behaved = not office.lied and office.attended and 2 * office.attended >= due.heights
        absent = not office.lied and not office.attended and office.heights == due.heights
        told.append(OfficeSettled(due.epoch, replica, office.heights, office.attended, due.heights, office.lied))
        if behaved:
            trusts.judge(replica, parameters.stakes, Why.BEHAVED, behaved=True)
        elif absent:
            trusts.judge(replica, parameters.stakes, Why.ABSENT)
        state.drop(Table.OFFICE, key)
    for key, _ in list(state.items(Table.BACKERS)):
        if key.startswith(prefix):
            state.drop(Table.BACKERS, key)
    agents = agents_of(state)
    state.put(Table.AGENTS, b"", changed(agents, due=tuple(each for each in agents.due if each != due)))
    return told + trusts.told


def left_out(state: State, replica: bytes) -> list[int]:
    """The heights at which a replica agreed that can be attested now, and whose certificates do not name it."""
    found, places = [], dict[int, int | None]()
    for key, each in state.items(Table.ATTENDED):
        kept: Attended = each
        if kept.version not in places:
            places[kept.version] = committee_at(state, kept.version).place(replica)
        place = places[kept.version]
        if place is not None and not kept.places[place]:
            found.append(int.from_bytes(key, "big"))
    return found


def attest(context: Context, payload: Attest) -> None:
    """A member shows that its replica signed for heights whose certificates leave it out."""
    need_agents(context)
    state, name = context.state, context.account(context.sender).name
    if not payload.commits:
        raise Refused("out_of_range", "commits", "none", "Name at least one height.")
    own = [replica for replica, each in state.items(Table.VALIDATOR) if each.member == context.sender]
    if not own:
        raise Refused("attest_outsider", "sender", name)
    for height, view, signature in ((each.height, each.view, each.signature) for each in payload.commits):
        kept: Attended | None = state.get(Table.ATTENDED, height_key(height))
        if kept is None:
            raise Refused("attest_height", "height", height)
        committee = committee_at(state, kept.version)
        replica = next((each for each in own if each in committee.members), b"")
        place = committee.place(replica)
        if place is None:
            raise Refused("attest_outsider", "height", height)
        if kept.places[place]:
            raise Refused("attest_known", "height", height)
        check = statement_check(context.chain_id, committee, place, height, view, Phase.COMMIT, kept.digest, signature)
        if not is_signed(check):
            raise Refused("seal_forged", "signature", signature)
        places = kept.places[:place] + b"\x01" + kept.places[place + 1 :]
        state.put(Table.ATTENDED, height_key(height), changed(kept, places=places))
        office = office_of(state, kept.epoch, replica)
        state.put(Table.OFFICE, office_key(kept.epoch, replica), changed(office, attended=office.attended + 1))
        context.tell(Attested(height, replica))
