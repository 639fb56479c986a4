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
