"""How members lie: each takes what its engine wanted to say to one other and gives what it says instead.

A liar signs with its own key, knows what all liars heard, and may help the others: each vote can be made for whatever
digest somebody could use. What it cannot do is sign for the honest.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.consensus.bft.world import CHAIN, Host, Liar, Payload, World, address, outline, sign_as
from wattquorum.consensus.bft.blocks import Block, proposal_of
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, Seal
from wattquorum.consensus.bft.messages import (
    Blocks,
    Change,
    GiveBlock,
    GiveRead,
    NewView,
    PrePrepare,
    Tip,
    ViewChange,
    Vote,
    from_frame,
    new_view_digest,
    to_frame,
    view_change_digest,
)
from wattquorum.consensus.bft.statements import Phase, Seals
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import changed, encode

Said = Sequence[tuple[bytes, bytes]]


def seals_of(name: int) -> Seals:
    return Seals(CHAIN, sign_as(name), lambda checks: [True for _ in checks])


def vote_of(world: World, name: int, phase: Phase, height: int, view: int, digest: bytes) -> Vote:
    signature = seals_of(name).make(world.committees.at(height), height, view, phase, digest)
    return Vote(2 if phase is Phase.PREPARE else 3, height, view, digest, signature)


def other_block(world: World, block: Block, salt: int, *, good: bool) -> Block:
    """Another block in its place."""
    last = outline(block.payload)
    assert last is not None
    payload = Payload(last.time_ms, good, True, (), salt)
    return changed(block, payload=encode(payload))


def pre_prepare_of(world: World, name: int, view: int, block: Block) -> PrePrepare:
    proposal = proposal_of(CHAIN, block, outline)
    assert proposal is not None
    world.note(proposal)
    signature = seals_of(name).make(
        world.committees.at(block.height), block.height, view, Phase.PRE_PREPARE, proposal.digest
    )
    return PrePrepare(view, block, signature)


def silent(_world: World, _host: Host, _to: bytes, _frame: bytes) -> Said:
    return []


def flaky(world: World, _host: Host, to: bytes, frame: bytes) -> Said:
    return [(to, frame)] if world.chance.happens(300_000) else []


def slow(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    world.after(world.chance.between(100, 1_500), world.carry, host, to, frame)
    return []


def starves_one(_world: World, host: Host, to: bytes, frame: bytes) -> Said:
    victim = address(0 if host.name else 1)
    return [] if to == victim else [(to, frame)]


def withholds(_world: World, _host: Host, to: bytes, frame: bytes) -> Said:
    """Certificates and blocks are not given away."""
    return [] if isinstance(from_frame(frame), Tip | Blocks | GiveBlock | GiveRead) else [(to, frame)]


def equivocates(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Half of the others get another block, and votes for it."""
    message = from_frame(frame)
    odd = to[0] % 2 == world.now // 5_000 % 2
    if isinstance(message, PrePrepare) and odd:
        block = other_block(world, message.block, 7, good=True)
        return [(to, to_frame(pre_prepare_of(world, host.name, message.view, block)))]
    if isinstance(message, Vote) and odd:
        return [(to, each) for each in votes_for_all(world, host, message)]
    return [(to, frame)]


def proposes_bad(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    message = from_frame(frame)
    if isinstance(message, PrePrepare):
        block = other_block(world, message.block, 9, good=False)
        return [(to, to_frame(pre_prepare_of(world, host.name, message.view, block)))]
    return [(to, frame)]


def votes_for_all(world: World, host: Host, message: Vote) -> list[bytes]:
    """A vote for every digest that is known at this height."""
    found = [digest for digest, proposal in world.proposals.items() if proposal.block.height == message.height][-4:]
    phases = [Phase.PREPARE, Phase.COMMIT]
    votes = [
        vote_of(world, host.name, phase, message.height, message.view, digest) for digest in found for phase in phases
    ]
    world.chance.shuffle(votes)
    return [to_frame(vote) for vote in votes]


def votes_twice(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    message = from_frame(frame)
    if isinstance(message, Vote):
        return [(to, frame), *((to, each) for each in votes_for_all(world, host, message))]
    return [(to, frame)]


def replays(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Says old things again, its own and, as if they were its own, others'."""
    said: list[tuple[bytes, bytes]] = [(to, frame)]
    world.heard.append((host.address, frame))
    if world.chance.happens(300_000):
        said.append((to, world.chance.pick(world.heard)[1]))
    return said


def hides_prepared(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Its view changes know of nothing prepared, or of an older tip."""
    message = from_frame(frame)
    if isinstance(message, ViewChange):
        tip = message.tip
        if world.chance.happens(500_000) and tip is not None and tip.height > 1:
            older = host.archive.get(tip.height - 1)
            tip = older.commit_certificate if older is not None else tip
        return [(to, to_frame(view_change_of(world, host.name, message.view, tip, None)))]
    return [(to, frame)]


def view_change_of(
    world: World, name: int, view: int, tip: CommitCertificate | None, prepared: PreparedCertificate | None
) -> ViewChange:
    height = 0 if tip is None else tip.height
    signature = seals_of(name).make(
        world.committees.at(height + 1), height, view, Phase.VIEW_CHANGE, view_change_digest(tip, prepared)
    )
    return ViewChange(view, tip, prepared, signature)


def spams_views(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Wants a later view all the time."""
    said: list[tuple[bytes, bytes]] = [(to, frame)]
    if host.engine is not None and world.chance.happens(200_000):
        height = host.engine.height
        chained = host.archive.get(height)
        tip = chained.commit_certificate if chained is not None else None
        view = host.engine.term + world.chance.pick([1, 1, 2, 3, 1_000])
        said.append((to, to_frame(view_change_of(world, host.name, view, tip, None))))
    return said


def opens_wrongly(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """As a new primary it chooses what does not follow, or makes up view changes; and proposes what it likes."""
    message = from_frame(frame)
    if isinstance(message, NewView):
        return [(to, to_frame(each)) for each in wrong_new_views(world, host, message)]
    if isinstance(message, PrePrepare) and message.view:
        block = other_block(world, message.block, 11 + to[0] % 2, good=True)
        return [(to, to_frame(pre_prepare_of(world, host.name, message.view, block))), (to, frame)]
    return [(to, frame)]


def wrong_new_views(world: World, host: Host, message: NewView) -> list[NewView]:
    seals = seals_of(host.name)
    kind = world.chance.below(5)
    height, digest, changes = message.height, message.digest, message.changes
    if kind == 0:
        digest = b""
    elif kind == 1:
        digest = b"\x07" * 32
    elif kind == 2:
        height = max(0, height - 1)
    elif kind == 3:  # the honest ones' view changes without what they had prepared, as if nobody looked
        digest = b""
        changes = tuple(Change(each.member, changed(each.view_change, prepared=None)) for each in message.changes)
    else:  # its own view change as often as it takes
        mine = view_change_of(world, host.name, message.view, message.changes[0].view_change.tip, None)
        changes = tuple(Change(each.member, mine) for each in message.changes)
        digest = b""
    signature = seals.make(world.committee, height, message.view, Phase.NEW_VIEW, new_view_digest(digest, changes))
    return [NewView(message.view, height, digest, changes, signature)]


def forges(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Certificates of too few, of one many times, of strangers, of other heights; for blocks of its own."""
    message = from_frame(frame)
    said: list[tuple[bytes, bytes]] = [(to, frame)]
    if not world.chance.happens(150_000) or host.engine is None:
        return said
    height = host.engine.height + 1
    tip = host.archive.get(height - 1)
    digest = host.engine._chain.tip_digest
    certificate = tip.commit_certificate if tip is not None else None
    payload = encode(Payload(world.now, False, True, (), 13))
    block = Block(height, digest, certificate, payload)
    proposal = proposal_of(CHAIN, block, outline)
    assert proposal is not None
    forged = forged_certificate(world, host, height, world.chance.between(0, 3), proposal.digest)
    said.append((to, to_frame(Tip(forged))))
    said.append((to, to_frame(Blocks((block,), forged))))
    if isinstance(message, ViewChange):
        said.append((to, to_frame(view_change_of(world, host.name, message.view, forged, None))))
        prepared = PreparedCertificate(height, forged.view, forged.digest, forged.seals)
        said.append((to, to_frame(view_change_of(world, host.name, message.view, message.tip, prepared))))
    return said


def forged_certificate(world: World, host: Host, height: int, view: int, digest: bytes) -> CommitCertificate:
    kind = world.chance.below(3)
    quorum = world.committee.quorum
    signatures = {name: seals_of(name).make(world.committee, height, view, Phase.COMMIT, digest) for name in world.bad}
    own = signatures[host.name]
    if kind == 0:
        seals = tuple(Seal(host.name, own) for _ in range(quorum))
    elif kind == 1:
        seals = tuple(Seal(name, signatures.get(name, own)) for name in range(quorum))
    else:
        seals = tuple(Seal(name, signature) for name, signature in sorted(signatures.items()))
    return CommitCertificate(height, view, digest, seals)


ALL: tuple[Liar, ...] = (
    silent,
    flaky,
    slow,
    starves_one,
    withholds,
    equivocates,
    proposes_bad,
    votes_twice,
    replays,
    hides_prepared,
    spams_views,
    opens_wrongly,
    forges,
)


# More cunning, at one check each or by leaving out; `simulation.cunning` has them among whole replicas ----------------


def censors(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Where it may choose it proposes empty blocks, the same to all."""
    message = from_frame(frame)
    if not isinstance(message, PrePrepare) or host.engine is None:
        return [(to, frame)]
    opened = host.engine.new_view
    if opened is not None and opened.digest and opened.height + 1 == message.block.height:
        return [(to, frame)]
    block = other_block(world, message.block, 17, good=True)
    return [(to, to_frame(pre_prepare_of(world, host.name, message.view, block)))]


def starves(world: World, _host: Host, to: bytes, frame: bytes) -> Said:
    """One honest member never hears anything of those who lie."""
    return [] if to == victim(world) else [(to, frame)]


def commits_to_one(world: World, _host: Host, to: bytes, frame: bytes) -> Said:
    """One honest member alone may know how it ends."""
    message = from_frame(frame)
    hidden = isinstance(message, Vote) and message.phase == 3 and to != victim(world)
    return [] if hidden else [(to, frame)]


def victim(world: World) -> bytes:
    return next(address(name) for name in reversed(range(world.members)) if name not in world.bad)


def leaves_badly(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Its view changes are not signed, or claim what nobody signed."""
    message = from_frame(frame)
    if not isinstance(message, ViewChange):
        return [(to, frame)]
    kind = world.chance.below(4)
    if kind == 0:
        message = changed(message, signature=bytes(len(message.signature)))
    elif kind == 1:
        message = view_change_of(world, host.name, message.view, unsigned_tip(world, host, message.height + 1), None)
    elif kind == 2:
        prepared = unsigned_prepared(world, host, message.height + 1, max(0, message.view - 1))
        message = view_change_of(world, host.name, message.view, message.tip, prepared)
    else:
        heard = [from_frame(each) for _, each in world.heard[-300:]]
        old = next((each.prepared for each in heard if isinstance(each, ViewChange) and each.prepared), None)
        message = view_change_of(world, host.name, message.view, message.tip, old or message.prepared)
    return [(to, to_frame(message))]


def changes_its_mind(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Whoever asks twice may be proposed another block."""
    message = from_frame(frame)
    if isinstance(message, PrePrepare) and world.chance.happens(500_000):
        block = other_block(world, message.block, 19, good=True)
        return [(to, to_frame(pre_prepare_of(world, host.name, message.view, block)))]
    return [(to, frame)]


def votes_badly(world: World, _host: Host, to: bytes, frame: bytes) -> Said:
    """Beside each vote it gives one for everything else that is known there, which nobody signed."""
    message = from_frame(frame)
    said = [(to, frame)]
    if isinstance(message, Vote):
        known = [digest for digest, each in world.proposals.items() if each.block.height == message.height][-2:]
        unsigned = bytes(len(message.signature))
        said += [(to, to_frame(changed(message, digest=digest, signature=unsigned))) for digest in known]
    return said


def embeds_badly(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Its blocks carry a certificate of the one before that nobody signed."""
    message = from_frame(frame)
    if not isinstance(message, PrePrepare) or message.block.commit_certificate is None:
        return [(to, frame)]
    certificate = message.block.commit_certificate
    seals = tuple(changed(seal, signature=bytes(len(seal.signature))) for seal in certificate.seals)
    block = changed(message.block, commit_certificate=changed(certificate, seals=seals))
    return [(to, to_frame(pre_prepare_of(world, host.name, message.view, block)))]


def dates_back(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Its blocks have the time of the one before."""
    message = from_frame(frame)
    before = host.archive.get(message.block.height - 1) if isinstance(message, PrePrepare) else None
    if before is None or not isinstance(message, PrePrepare):
        return [(to, frame)]
    last = outline(before.block.payload)
    assert last is not None
    return [(to, dated(world, host, message, last.time_ms))]


def dates_ahead(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Its blocks have a time that has not come."""
    message = from_frame(frame)
    if not isinstance(message, PrePrepare):
        return [(to, frame)]
    return [(to, dated(world, host, message, message.block.height * 3_600_000))]


def dated(world: World, host: Host, message: PrePrepare, time_ms: int) -> bytes:
    block = changed(message.block, payload=encode(Payload(time_ms, good=True, room=True, transactions=(), salt=23)))
    return to_frame(pre_prepare_of(world, host.name, message.view, block))


def certifies_alone(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """What it votes for it says to be certified: by itself alone, by itself as often as it takes, or by everybody."""
    message = from_frame(frame)
    said = [(to, frame)]
    if not isinstance(message, Vote) or not world.chance.happens(200_000):
        return said
    committee = world.committees.at(message.height)
    mine = committee.place(host.address)
    if mine is None:
        return said
    vote = vote_of(world, host.name, Phase.COMMIT, message.height, message.view, message.digest)
    own = Seal(mine, vote.signature)
    everybody = tuple(Seal(place, vote.signature) for place in range(committee.quorum))
    seals = world.chance.pick([(own,), tuple(own for _ in range(committee.quorum)), everybody])
    certificate = CommitCertificate(message.height, message.view, message.digest, seals)
    return [*said, (to, to_frame(Tip(certificate)))]


def opens_falsely(world: World, host: Host, to: bytes, frame: bytes) -> Said:
    """Its new views fail one check each; and it opens others' views."""
    message = from_frame(frame)
    said = [(to, frame)]
    if isinstance(message, NewView):
        return [(to, to_frame(false_new_view(world, host, message)))]
    if isinstance(message, ViewChange | Vote) and world.chance.happens(200_000):
        heard = [from_frame(each) for _, each in world.heard[-100:]]
        other = next((each for each in reversed(heard) if isinstance(each, NewView)), None)
        if other is not None:
            said.insert(0, (to, to_frame(opened_by(world, host, other))))
    return said


def false_new_view(world: World, host: Host, message: NewView) -> NewView:
    mine, view = world.committee.place(host.address), message.view
    if mine is None or world.committees.at(message.height + 1) is not world.committee:
        return message
    tip = next((each.view_change.tip for each in message.changes if each.member == mine), None)
    height = 0 if tip is None else tip.height
    kind = world.chance.below(6)
    if kind == 0:  # of too few
        told = {each.member: each.view_change for each in message.changes}
        told.pop(max((place for place in told if place != mine), default=mine))
        return made_of(world, host, message, told)
    if kind == 1:  # of one member, many times
        own = tuple(Change(mine, view_change_of(world, host.name, view, tip, None)) for _ in message.changes)
        return opened_by(world, host, changed(message, height=height, digest=b"", changes=own))
    if kind == 2:  # for another view
        return with_own(world, host, message, view_change_of(world, host.name, view + 1, tip, None))
    if kind == 3:  # with a tip that nobody signed
        forged = unsigned_tip(world, host, message.height + 1)
        return with_own(world, host, message, view_change_of(world, host.name, view, forged, None))
    if kind == 4:  # with what nobody prepared
        prepared = unsigned_prepared(world, host, height + 1, view - 1)
        return with_own(world, host, message, view_change_of(world, host.name, view, tip, prepared))
    return changed(message, signature=bytes(len(message.signature)))


def with_own(world: World, host: Host, message: NewView, own: ViewChange) -> NewView:
    """A new view with its own view change in place of another."""
    mine = world.committee.place(host.address)
    assert mine is not None
    told = {each.member: each.view_change for each in message.changes}
    if mine not in told and told:
        del told[max(told)]
    told[mine] = own
    return made_of(world, host, message, told)


def made_of(world: World, host: Host, message: NewView, told: dict[int, ViewChange]) -> NewView:
    """A new view of these view changes, with the choice that follows from them."""
    height = max((each.height for each in told.values()), default=message.height)
    prepared = [each.prepared for each in told.values() if each.prepared and each.prepared.height == height + 1]
    digest = max(prepared, key=lambda each: each.view).digest if prepared else b""
    changes = tuple(Change(place, told[place]) for place in sorted(told))
    return opened_by(world, host, changed(message, height=height, digest=digest, changes=changes))


def opened_by(world: World, host: Host, message: NewView) -> NewView:
    told = new_view_digest(message.digest, message.changes)
    args = (world.committees.at(message.height + 1), message.height, message.view, Phase.NEW_VIEW, told)
    return changed(message, signature=seals_of(host.name).make(*args))


def unsigned_tip(world: World, host: Host, height: int) -> CommitCertificate:
    return CommitCertificate(height, 0, b"\x05" * 32, own_seals(world, host, Phase.COMMIT, height, 0))


def unsigned_prepared(world: World, host: Host, height: int, view: int) -> PreparedCertificate:
    return PreparedCertificate(height, view, b"\x05" * 32, own_seals(world, host, Phase.PREPARE, height, view))


def own_seals(world: World, host: Host, phase: Phase, height: int, view: int) -> tuple[Seal, ...]:
    """As many seals as it takes, all of them its own signature."""
    committee = world.committees.at(height)
    own = seals_of(host.name).make(committee, height, view, phase, b"\x05" * 32)
    return tuple(Seal(place, own) for place in range(committee.quorum))


def together(liars: Sequence[Liar]) -> Liar:
    """Several at once: what one says, the next changes."""

    def lie(world: World, host: Host, to: bytes, frame: bytes) -> Said:
        said: list[tuple[bytes, bytes]] = [(to, frame)]
        for liar in liars:
            said = [each for target, data in said for each in liar(world, host, target, data)]
        return said

    return lie


def drawn(chance: Chance) -> Liar:
    """Up to three ways of lying."""
    return together([chance.pick(ALL) for _ in range(chance.between(1, 3))])


CUNNING: tuple[Liar, ...] = (
    censors,
    starves,
    commits_to_one,
    leaves_badly,
    opens_falsely,
    changes_its_mind,
    votes_badly,
    embeds_badly,
    dates_back,
    dates_ahead,
    certifies_alone,
    forges,
    proposes_bad,
    hides_prepared,
    together((equivocates, votes_twice, opens_wrongly)),
)
VIEW_LIES: tuple[Liar, ...] = (opens_falsely, leaves_badly, hides_prepared)
BLOCK_LIES: tuple[Liar, ...] = (
    embeds_badly,
    dates_back,
    dates_ahead,
    proposes_bad,
    censors,
    changes_its_mind,
    certifies_alone,
)
