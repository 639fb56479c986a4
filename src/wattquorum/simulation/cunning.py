"""Cunning: lies about views, and by leaving out. Each takes and gives what the lies of `liars` do.

They aim at the one check that stands in their way each: new views of too few, of other views, of one member again and
again, with certificates that nobody signed, or opened by somebody else; votes that nobody signed; blocks that leave out
what waits, or are others when said again; and one member that never hears anything, or that alone hears how it ends.
"""

from __future__ import annotations

from typing import Final

from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, Seal
from wattquorum.consensus.bft.messages import (
    BftMessage,
    Change,
    NewView,
    PrePrepare,
    Tip,
    ViewChange,
    Vote,
    new_view_digest,
    to_frame,
)
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import changed
from wattquorum.simulation.liars import LIES, Conspiracy, Liar, Lie, Said


def censors(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Where it may choose it proposes empty blocks, the same to all."""
    if not isinstance(message, PrePrepare) or host.engine is None:
        return [(to, frame)]
    opened = host.engine.new_view
    if opened is not None and opened.digest and opened.height + 1 == message.block.height:
        return [(to, frame)]
    return [(to, to_frame(them.pre_prepare(host, message.view, them.other(host.address, message.block, 0))))]


def starves(them: Conspiracy, host: Liar, to: bytes, _message: BftMessage, frame: bytes) -> Said:
    """All who lie like this say nothing to the same honest member, ever."""
    return [] if to == _victim(them, host) else [(to, frame)]


def commits_to_one(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """One honest member alone gets its COMMITs, and may be the only one that knows what is decided."""
    hidden = isinstance(message, Vote) and message.phase == 3 and to != _victim(them, host)
    return [] if hidden else [(to, frame)]


def _victim(them: Conspiracy, host: Liar) -> bytes:
    lying = [each.address for each in them.liars]
    return next((each for each in reversed(them.committee(host).members) if each not in lying), b"")


def leaves_badly(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Its view changes are not signed, or claim what nobody signed."""
    if not isinstance(message, ViewChange) or host.engine is None:
        return [(to, frame)]
    kind = them.chance.below(4)
    if kind == 0:
        return [(to, to_frame(changed(message, signature=bytes(len(message.signature)))))]
    if kind == 1:
        tip = _unsigned_tip(them, host, message.height + 1)
        return [(to, to_frame(them.view_change(host, message.view, tip, None)))]
    if kind == 2:
        prepared = _unsigned_prepared(them, host, message.height + 1, max(0, message.view - 1))
        return [(to, to_frame(them.view_change(host, message.view, message.tip, prepared)))]
    return [(to, to_frame(them.view_change(host, message.view, message.tip, them.prepared or message.prepared)))]


def changes_its_mind(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Whoever asks twice may be proposed another block."""
    if isinstance(message, PrePrepare) and them.chance.happens(500_000):
        return [(to, to_frame(them.pre_prepare(host, message.view, them.other(host.address, message.block, 1))))]
    return [(to, frame)]


def votes_badly(them: Conspiracy, _host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Beside each vote it gives one for everything else that is known there, which nobody signed."""
    said = [(to, frame)]
    if isinstance(message, Vote):
        known = [digest for digest, each in them.proposals.items() if each.block.height == message.height][-2:]
        unsigned = bytes(len(message.signature))
        said += [(to, to_frame(changed(message, digest=digest, signature=unsigned))) for digest in known]
    return said


def embeds_badly(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Its blocks carry a certificate of the one before that nobody signed."""
    if not isinstance(message, PrePrepare) or message.block.commit_certificate is None or message.view % 2:
        return [(to, frame)]
    certificate = message.block.commit_certificate
    seals = tuple(changed(seal, signature=bytes(len(seal.signature))) for seal in certificate.seals)
    block = changed(message.block, commit_certificate=changed(certificate, seals=seals))
    return [(to, to_frame(them.pre_prepare(host, message.view, block)))]


def certifies_alone(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """What it votes for it says to be certified: by itself alone, by itself as often as it takes, or by everybody."""
    said = [(to, frame)]
    mine = them.committee(host).place(host.address)
    if not isinstance(message, Vote) or mine is None or not them.chance.happens(200_000):
        return said
    vote = them.vote(host, Phase.COMMIT, message.height, message.view, message.digest)
    own = Seal(mine, vote.signature)
    quorum = range(them.committee(host).quorum)
    everybody = tuple(Seal(place, vote.signature) for place in quorum)
    seals = them.chance.pick(((own,), tuple(own for _ in quorum), everybody))
    certificate = CommitCertificate(message.height, message.view, message.digest, seals)
    return [*said, (to, to_frame(Tip(certificate)))]


def opens_falsely(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Its new views fail one check each; and it opens others' views."""
    said = [(to, frame)]
    if host.engine is None:
        return said
    if isinstance(message, NewView):
        return [(to, to_frame(_false(them, host, message)))]
    other = them.opened
    if other is not None and isinstance(message, ViewChange | Vote) and them.chance.happens(200_000):
        said.insert(0, (to, to_frame(_signed(them, host, other))))
    return said


def _false(them: Conspiracy, host: Liar, message: NewView) -> NewView:
    committee = them.committee(host)
    mine, view = committee.place(host.address), message.view
    if mine is None:
        return message
    tip = next((each.view_change.tip for each in message.changes if each.member == mine), None)
    kind = them.chance.below(6)
    if kind == 0:  # of too few, or of none: one that another liar made may have had none
        told = {each.member: each.view_change for each in message.changes}
        told.pop(max((place for place in told if place != mine), default=mine), None)
        return _of(them, host, message, told)
    if kind == 1:  # of one member, many times
        own = tuple(Change(mine, them.view_change(host, view, tip, None)) for _ in message.changes)
        height = 0 if tip is None else tip.height
        return _signed(them, host, changed(message, height=height, digest=b"", changes=own))
    if kind == 2:  # for another view
        return _with(them, host, message, them.view_change(host, view + 1, tip, None))
    if kind == 3:  # with a tip that nobody signed
        return _with(
            them, host, message, them.view_change(host, view, _unsigned_tip(them, host, message.height + 1), None)
        )
    if kind == 4:  # with what nobody prepared
        prepared = _unsigned_prepared(them, host, (0 if tip is None else tip.height) + 1, view - 1)
        return _with(them, host, message, them.view_change(host, view, tip, prepared))
    return changed(message, signature=bytes(len(message.signature)))


def _with(them: Conspiracy, host: Liar, message: NewView, own: ViewChange) -> NewView:
    """A new view with its own view change in place of one of the others'."""
    mine = them.committee(host).place(host.address)
    assert mine is not None
    told = {each.member: each.view_change for each in message.changes}
    if mine not in told and told:
        del told[max(told)]
    told[mine] = own
    return _of(them, host, message, told)


def _of(them: Conspiracy, host: Liar, message: NewView, told: dict[int, ViewChange]) -> NewView:
    """A new view of these view changes, with the choice that follows from them."""
    height = max((each.height for each in told.values()), default=message.height)
    prepared = [each.prepared for each in told.values() if each.prepared and each.prepared.height == height + 1]
    digest = max(prepared, key=lambda each: each.view).digest if prepared else b""
    changes = tuple(Change(place, told[place]) for place in sorted(told))
    return _signed(them, host, changed(message, height=height, digest=digest, changes=changes))


def _signed(them: Conspiracy, host: Liar, message: NewView) -> NewView:
    told = new_view_digest(message.digest, message.changes)
    args = (them.committee(host), message.height, message.view, Phase.NEW_VIEW, told)
    return changed(message, signature=them.seals_of(host).make(*args))


def _unsigned_tip(them: Conspiracy, host: Liar, height: int) -> CommitCertificate:
    return CommitCertificate(height, 0, b"\x05" * 32, _own_seals(them, host, Phase.COMMIT, height, 0))


def _unsigned_prepared(them: Conspiracy, host: Liar, height: int, view: int) -> PreparedCertificate:
    return PreparedCertificate(height, view, b"\x05" * 32, _own_seals(them, host, Phase.PREPARE, height, view))


def _own_seals(them: Conspiracy, host: Liar, phase: Phase, height: int, view: int) -> tuple[Seal, ...]:
    """As many seals as it takes, all of them its own signature."""
    committee = them.committee(host)
    own = them.seals_of(host).make(committee, height, view, phase, b"\x05" * 32)
    return tuple(Seal(place, own) for place in range(committee.quorum))


CUNNING: Final[tuple[Lie, ...]] = (
    censors,
    starves,
    commits_to_one,
    leaves_badly,
    certifies_alone,
    opens_falsely,
    changes_its_mind,
    votes_badly,
    embeds_badly,
)


def drawn_cunning(chance: Chance) -> tuple[Lie, ...]:
    """One cunning way of lying or two, and perhaps another."""
    more = chance.pick(((), (), LIES))
    return (*(chance.pick(CUNNING) for _ in range(chance.between(1, 2))), *((chance.pick(more),) if more else ()))
