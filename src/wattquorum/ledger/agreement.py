"""Agreement: in which view of which committee a block was ordered, and who certified the one before (PROTOCOLS 3).

Where replicas may lie, nothing in a block is anybody's word: the version is the newest, the proposer is whose turn it
is in the view that it names, and the evidence is the commit certificate of the block before, of that block's committee,
every signature of it good. So the ledger can credit from it, and whoever has the chain has proof of every block but the
last. The view itself binds nobody: a block that is proposed again keeps the view in which it was proposed first, and if
views had to rise here, one that a liar names too high would stop the chain.
"""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.consensus.bft.certificates import CommitCertificate, is_quorum
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.statements import Phase, statement_check
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import Signed, address_of, is_signed
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import agreed_digest, sealed_in
from wattquorum.ledger.blocks import Header, Ordered
from wattquorum.ledger.offices import Attended
from wattquorum.ledger.seats import Validator
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.validators import prune_below, seats_of, vector_of


def committee_at(state: State, version: int) -> Committee:
    """The committee of a version that the state still has."""
    vector = vector_of(state, version)
    assert vector is not None
    members = [voter.replica for voter in vector.voters]
    return Committee(version, vector.height + 1, members, [key_of(state, member) for member in members])


def key_of(state: State, replica: bytes) -> bytes:
    """The key of a replica that was admitted."""
    found: Validator = state.get(Table.VALIDATOR, replica)
    return found.key


def check_view(state: State, chain_id: bytes, ordered: Ordered) -> None:
    """Refuses another committee than the newest, and a proposer whose turn it is not in the view that it names."""
    round_, newest = ordered.round, seats_of(state).newest
    if (round_.old, round_.new) != (newest, newest):
        raise Refused("out_of_range", "round", f"{round_.old}, {round_.new}", f"Name version {newest}, twice.")
    primary = committee_at(state, newest).primary(round_.term)
    if primary != address_of(chain_id, ordered.proposer):
        raise Refused("role_missing", "proposer", ordered.proposer, f"In view {round_.term} it is another's turn.")


def seal_checks(state: State, chain_id: bytes, tip: Header | None, evidence: bytes) -> tuple[Signed, ...]:
    """The signatures that a block's evidence has to hold, as far as can be told where it is read ahead of its turn."""
    try:
        sealed = sealed_in(evidence)
        if sealed is None:
            return ()
        committee = committee_at(state, tip.round.new if tip else 0)
        return _checks(chain_id, committee, sealed.certificate) if is_quorum(sealed.certificate, committee) else ()
    except Refused:
        return ()


def check_certificate(
    state: State, chain_id: bytes, tip: Header | None, evidence: bytes, good: Sequence[Signed]
) -> CommitCertificate | None:
    """The certificate of the block before that a block's evidence is; `good` are signatures known to hold.

    None for the first block, which has none. Refused: what cannot be read (`encoding_unreadable`), another block's or
    none (`evidence_wrong`), signers that are no quorum of that block's committee (`signers_wrong`), a signature that is
    not its member's (`seal_forged`).
    """
    sealed = sealed_in(evidence)
    if tip is None or sealed is None:
        if tip is not None or sealed is not None:
            raise Refused("evidence_wrong", "evidence", "nothing" if sealed is None else sealed.certificate.height)
        return None
    certificate = sealed.certificate
    if (certificate.height, certificate.digest) != (tip.height, agreed_digest(chain_id, tip, sealed.entry)):
        raise Refused("evidence_wrong", "evidence", certificate.height)
    committee = committee_at(state, tip.round.new)
    if not is_quorum(certificate, committee):
        places = ", ".join(str(seal.member) for seal in certificate.seals)
        raise Refused("signers_wrong", "evidence", places, f"Name {committee.quorum}, each once, in order.")
    known = dict.fromkeys(good)
    for seal, check in zip(certificate.seals, _checks(chain_id, committee, certificate), strict=True):
        if check not in known and not is_signed(check):
            raise Refused("seal_forged", "evidence", committee.members[seal.member])
    return certificate


def _checks(chain_id: bytes, committee: Committee, certificate: CommitCertificate) -> tuple[Signed, ...]:
    height, view, digest = certificate.height, certificate.view, certificate.digest
    return tuple(
        statement_check(chain_id, committee, seal.member, height, view, Phase.COMMIT, digest, seal.signature)
        for seal in certificate.seals
    )


def note_view(state: State, ordered: Ordered, certificate: CommitCertificate | None) -> None:
    """Takes over a block's committee, and how far certificates have come."""
    before = seats_of(state)
    evidenced = before.evidenced if certificate is None else certificate.height
    after = changed(before, old=ordered.round.new, new=ordered.round.new, evidenced=evidenced)
    state.put(Table.SEATS, b"", after)
    kept: list[Attended] = [each for _, each in state.items(Table.ATTENDED)]
    prune_below(state, min([before.new, *(each.version for each in kept)]))
