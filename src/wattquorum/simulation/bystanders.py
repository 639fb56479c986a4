"""Bystanders: lies of members who follow and do not agree. Of those who lie like this there may be any number.

Nobody counts what they sign. So they lie by what they give when they are asked, and by what they say unasked: blocks
of their own making, certificates that nobody signed, old ones, heights that there are not, states that they have not,
votes as if they agreed, answers to no question, and more questions than anybody has. Whoever believes one of them is
deceived; whoever waits for one of them waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wattquorum.consensus.bft.blocks import Block
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, Seal
from wattquorum.consensus.bft.messages import (
    AskBlock,
    AskBlocks,
    AskRead,
    BftMessage,
    Blocks,
    GiveBlock,
    GiveRead,
    NewView,
    Poll,
    Tip,
    to_frame,
)
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import changed, encode
from wattquorum.ledger.agreed import decode_agreed, entry_digest, evidence_for
from wattquorum.ledger.blocks import decode_ordered
from wattquorum.replica.replica import Kind, engine_frame, framed
from wattquorum.replica.states import AskPart, AskState, Gone, Offer, Part, StateMessage
from wattquorum.simulation.liars import (
    Conspiracy,
    Liar,
    Lie,
    Said,
    flaky,
    forges,
    garbage,
    replays,
    silent,
    slow,
    withholds,
)

FAR: Final = 1 << 62  # a height that no chain comes to
FLOOD: Final = 12  # questions at once
SIZE: Final = 1 << 40  # of a state that nobody may take [bytes]


def seals_of(them: Conspiracy, host: Liar, height: int, digest: bytes) -> tuple[Seal, ...]:
    """As many seals as a certificate has, one for each of the first members, all of them made by this liar."""
    committee = them.committee(host)
    own = them.seals_of(host).make(committee, height, 0, Phase.COMMIT, digest)
    return tuple(Seal(place, own) for place in range(committee.quorum))


def forged(them: Conspiracy, host: Liar, height: int, digest: bytes) -> CommitCertificate:
    """A certificate that nobody of the committee signed: its own seals, or those of its tip."""
    tip = them.tip_of(host)
    if tip is not None and them.chance.happens(400_000):
        return CommitCertificate(height, tip.view, digest, tip.seals)
    return CommitCertificate(height, 0, digest, seals_of(them, host, height, digest))


def successor(them: Conspiracy, host: Liar) -> Block | None:
    """A block on the liar's tip that it made, and whose turn it was not; all else is right with it."""
    assert host.engine is not None
    tip = host.engine.block(host.engine.height) if host.engine.height else None
    if tip is None:
        return None
    certificate, agreed = tip.commit_certificate, decode_agreed(tip.block.payload)
    ordered = changed(decode_ordered(agreed.entry), evidence=evidence_for(certificate, entry_digest(agreed.entry)))
    payload = encode(changed(agreed, entry=encode(ordered)))
    followed = Block(tip.block.height + 1, certificate.digest, certificate, payload)
    return them.other(host.address, followed, them.chance.between(1, 3))


# What becomes of what it is asked for -------------------------------------------------------------------------------


def gives_other_blocks(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Blocks with another one in the last one's place, under the certificate of that or under one that it makes up."""
    if isinstance(message, GiveBlock):
        return [(to, to_frame(GiveBlock(them.other(host.address, message.block, them.chance.pick((0, 1, -1))))))]
    if not isinstance(message, Blocks):
        return [(to, frame)]
    last, certificate = message.blocks[-1], message.commit_certificate
    other = them.other(host.address, last, them.chance.pick((1, -1)))
    proposal = them.note(other)
    if proposal is not None and them.chance.happens(600_000):
        certificate = forged(them, host, other.height, proposal.digest)
    return [(to, to_frame(Blocks((*message.blocks[:-1], other), certificate)))]


def gives_unproven_blocks(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """The right blocks with a certificate of others, of too few, or that nobody signed; or with one left out."""
    if not isinstance(message, Blocks):
        return [(to, frame)]
    certificate = message.commit_certificate
    kind = them.chance.below(4)
    if kind == 0:
        certificate = them.tip_of(host, 1) or certificate
    elif kind == 1:
        certificate = changed(certificate, seals=certificate.seals[:-1])
    elif kind == 2:
        certificate = forged(them, host, certificate.height, certificate.digest)
    blocks = message.blocks[1:] if kind == 3 and len(message.blocks) > 1 else message.blocks
    return [(to, to_frame(Blocks(blocks, certificate)))]


def gives_old(_: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """What everybody has had for long, whatever it is asked for."""
    assert host.engine is not None
    first = host.engine.block(1)
    if first is None or not isinstance(message, Blocks | Tip | GiveBlock):
        return [(to, frame)]
    if isinstance(message, Tip):
        return [(to, to_frame(Tip(first.commit_certificate)))]
    if isinstance(message, GiveBlock):
        return [(to, to_frame(GiveBlock(first.block)))]
    return [(to, to_frame(Blocks((first.block,), first.commit_certificate)))]


def tells_false_tips(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """A tip that is not there: far above everybody's, of another block, or signed by too few."""
    if not isinstance(message, Tip):
        return [(to, frame)]
    return [(to, each) for each in _tips(them, host, message.commit_certificate)]


ANSWERS: Final[tuple[Lie, ...]] = (
    gives_other_blocks,
    gives_unproven_blocks,
    gives_old,
    tells_false_tips,
    silent,
    flaky,
    slow,
    withholds,
    replays,
    forges,
    garbage,
)


# What it says unasked -----------------------------------------------------------------------------------------------

Talk = Callable[[Conspiracy, Liar], list[bytes]]  # frames of replicas, for whomever it talks to


def boasts(them: Conspiracy, host: Liar) -> list[bytes]:
    """It has blocks that there are not yet, or never will be: who believes it asks it, and waits."""
    tip = them.tip_of(host)
    return [] if tip is None else [engine_frame(each) for each in _tips(them, host, tip)]


def _tips(them: Conspiracy, host: Liar, tip: CommitCertificate) -> list[bytes]:
    kind = them.chance.below(4)
    if kind == 0:
        return [to_frame(Tip(changed(tip, height=FAR)))]
    if kind == 1:
        height = tip.height + them.chance.between(1, 3)
        proposed = [digest for digest, each in them.proposals.items() if each.block.height == height]
        return [to_frame(Tip(forged(them, host, height, them.chance.pick(proposed or [tip.digest, bytes(32)]))))]
    if kind == 2:
        return [to_frame(Tip(changed(tip, digest=bytes(32))))]
    return [to_frame(Tip(changed(tip, seals=tip.seals[:-1])))]


def spreads_blocks(them: Conspiracy, host: Liar) -> list[bytes]:
    """A block of its own above its tip, as its agent would give it, with a certificate that nobody signed."""
    block = successor(them, host)
    proposal = them.note(block) if block is not None else None
    if block is None or proposal is None:
        return []
    return [engine_frame(to_frame(Blocks((block,), forged(them, host, block.height, proposal.digest))))]


def spreads_old(them: Conspiracy, host: Liar) -> list[bytes]:
    """Right blocks and certificates of long ago."""
    assert host.engine is not None
    if not host.engine.height:
        return []
    chained = host.engine.block(them.chance.between(1, host.engine.height))
    if chained is None:
        return []
    blocks = Blocks((chained.block,), chained.commit_certificate)
    return [engine_frame(to_frame(each)) for each in (blocks, Tip(chained.commit_certificate))]


def floods(them: Conspiracy, host: Liar) -> list[bytes]:
    """Questions, one after another, the same again and again, of what it has and of what there is not."""
    assert host.engine is not None
    tip = them.tip_of(host)
    digest = bytes(32) if tip is None else tip.digest
    asked: tuple[BftMessage, ...] = (
        AskBlock(host.engine.height, digest),
        AskBlock(FAR, bytes(32)),
        AskRead(them.chance.below(9), them.chance.below(9), 0),
        AskBlocks(0),
        AskBlocks(FAR),
        Poll(0),
        Poll(FAR),
    )
    once: list[StateMessage] = [AskState(0), AskState(FAR), AskPart(host.engine.height, 0), AskPart(FAR, FAR)]
    frames = [engine_frame(to_frame(them.chance.pick(asked))) for _ in range(FLOOD)]
    return [*frames, framed(Kind.STATE, encode(them.chance.pick(once)))]


def claims_heights(them: Conspiracy, host: Liar) -> list[bytes]:
    """It votes and leaves views as if it agreed, at this height, at the next ones, or far above all."""
    assert host.engine is not None
    above = them.chance.pick((1, 1, 2, 3, FAR))
    height = above if above == FAR else host.engine.height + above
    digest = them.chance.pick(list(them.proposals)[-3:] or [bytes(32)])
    own = seals_of(them, host, height, digest)
    certificate = CommitCertificate(height, 0, digest, own)
    change = them.view_change(host, host.engine.term + 1, certificate, None)
    votes = [them.vote(host, phase, height, host.engine.term, digest) for phase in (Phase.PREPARE, Phase.COMMIT)]
    said: list[BftMessage] = [*votes, change, NewView(change.view, height, b"", (), change.signature)]
    return [engine_frame(to_frame(each)) for each in said]


def answers_unasked(them: Conspiracy, host: Liar) -> list[bytes]:
    """Answers to questions that nobody put: a block that nobody misses, and how far reads have to wait."""
    assert host.engine is not None
    block = successor(them, host)
    if block is None:
        return []
    prepared = PreparedCertificate(FAR, 0, bytes(32), seals_of(them, host, block.height, bytes(32)))
    tip = forged(them, host, FAR, bytes(32))
    reads = [GiveRead(round_, them.chance.below(9), tip, prepared) for round_ in range(1, 4)]
    return [engine_frame(to_frame(each)) for each in (GiveBlock(block), *reads)]


def offers_states(them: Conspiracy, host: Liar) -> list[bytes]:
    """States that it has not, of any size, and parts of none."""
    assert host.engine is not None
    height = host.engine.height + them.chance.pick((0, 1, 1_000, FAR >> 1))
    kinds: tuple[StateMessage, ...] = (
        Offer(host.engine.height, (), False, height, them.chance.pick((0, 1, 5_000, SIZE))),
        Offer(0, (), True, 0, 0),
        Part(height, 0, b"a part of nothing"),
        Gone(height),
    )
    return [framed(Kind.STATE, encode(them.chance.pick(kinds)))]


def babbles(them: Conspiracy, _host: Liar) -> list[bytes]:
    """Bytes that say nothing."""
    junk = bytes(them.chance.below(256) for _ in range(them.chance.between(0, 40)))
    heard = them.chance.pick(them.heard) if them.heard else junk
    return them.chance.pick(
        (
            [junk],
            [engine_frame(junk)],
            [framed(Kind.STATE, junk)],
            [framed(Kind.TRANSACTIONS, junk)],
            [engine_frame(heard[: len(heard) // 2])],
        )
    )


TALKS: Final[tuple[Talk, ...]] = (
    boasts,
    spreads_blocks,
    spreads_old,
    floods,
    claims_heights,
    answers_unasked,
    offers_states,
    babbles,
)


def drawn_answers(chance: Chance) -> tuple[Lie, ...]:
    """Up to two ways of answering, none: truthfully."""
    return tuple(chance.pick(ANSWERS) for _ in range(chance.pick((0, 1, 1, 2))))


def drawn_talks(chance: Chance) -> tuple[Talk, ...]:
    """One to three things that are said unasked."""
    return tuple(chance.pick(TALKS) for _ in range(chance.between(1, 3)))
