"""Scenes among replicas of whom some fail or lie: every one that the protocol's description names (docs/bft.md).

Each shows first that what its name says came about, and then what follows. All checkers of chaos look on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.simulation.bft_stage import QUICK, TICK_MS, Actor, Community, Stage, engine_of, ledger_of
from wattquorum.consensus.bft import committee as committees
from wattquorum.consensus.bft.certificates import CommitCertificate, Seal, is_valid
from wattquorum.consensus.bft.committee import quorum_of, tolerated
from wattquorum.consensus.bft.messages import (
    BftMessage,
    Blocks,
    GiveBlock,
    NewView,
    PrePrepare,
    Tip,
    ViewChange,
    Vote,
    new_view_digest,
    to_frame,
)
from wattquorum.consensus.bft.statements import Phase, Seals
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import sealed_in
from wattquorum.ledger.attendance import office_of
from wattquorum.ledger.parameters import Consensus
from wattquorum.ledger.transactions import Accuse, Attest, OwnCommit, Propose, RemoveValidator, Stand
from wattquorum.replica.agreeing import followers_of
from wattquorum.replica.replica import engine_frame
from wattquorum.simulation import bft_checkers, testimony
from wattquorum.simulation.liars import Conspiracy, Liar, Lie, Said, silent

PREPARE, COMMIT = 2, 3
VIEWS = range(100)
DISJOINT = 2  # a seed whose first agents are one in each group


def is_vote(message: BftMessage | None, phase: int, views: Sequence[int] = VIEWS) -> bool:
    return isinstance(message, Vote) and message.phase == phase and message.view in views


def proves(message: BftMessage | None) -> bool:
    """Whether who gets it learns that a height is decided."""
    return is_vote(message, COMMIT) or isinstance(message, Tip | Blocks | GiveBlock)


# Quorums ------------------------------------------------------------------------------------------------------------


def halved(stage: Stage) -> None:
    """Six in two halves that do not hear each other, and each is given another transaction of one nonce."""
    first, second = stage.order[:3], stage.order[3:]
    stage.cut_off(*second)
    stage.hand_in(first[0], stage.deposit(amount=1))
    stage.nonces.clear()
    for host in second:
        stage.hand_in(host, stage.deposit(amount=2))
        stage.nonces.clear()
    stage.run(4_000)  # so long that the second half comes to a primary of its own


def test_quorum_n6_two_f_plus_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of six, two quorums of 2f+1 = 3 share nobody: two blocks are certified at one height, though nobody lies."""
    stage = Stage(hosts=6)
    halved(stage)
    assert stage.heights() == [0] * 6
    stage.heal()
    stage.until(lambda: stage.heights() == [1] * 6)

    def two_f_plus_one(members: int) -> int:
        return 2 * tolerated(members) + 1

    monkeypatch.setattr(committees, "quorum_of", two_f_plus_one)
    for judge in (bft_checkers, testimony):
        monkeypatch.setattr(judge, "quorum", two_f_plus_one)  # who judges believes it, too
    stage = Stage(hosts=6)
    first, second = stage.order[:3], stage.order[3:]
    stage.world._bad += [host.number for host in second]  # and looks at one half alone
    halved(stage)
    assert stage.heights() == [1] * 6
    tips = [[ledger_of(host).tip_hash for host in half] for half in (first, second)]
    assert [len(dict.fromkeys(half)) for half in tips] == [1, 1]
    assert tips[0] != tips[1]


def votes_wrongly(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Every vote of its is for a block that nobody has, and what others' votes prove it keeps to itself."""
    if not isinstance(message, Vote):
        return [] if proves(message) else [(to, frame)]
    phase = Phase.PREPARE if message.phase == PREPARE else Phase.COMMIT
    return [(to, to_frame(them.vote(host, phase, message.height, message.view, bytes(32))))]


@pytest.mark.parametrize("lie", [silent, votes_wrongly])
def test_f_plus_one_bad_stops_not_forks(lie: Lie) -> None:
    """With two of four bad nothing is decided by anybody, and the chain goes on when one of them is good again."""
    stage = Stage()
    before = stage.deposit()
    stage.hand_in(stage.primary, before)
    stage.until(lambda: stage.heights() == [1] * 4)
    bad, good = stage.order[:2], stage.order[2:]
    for host in bad:
        stage.world.corrupt(host, lie)
    data = stage.deposit()
    stage.hand_to_all(data)
    stage.run(3_000)
    assert [ledger_of(host).height for host in good] == [1, 1]
    assert max(stage.views()) >= 1, "they tried"
    stage.world.corrupt(bad[1])
    stage.until(lambda: [ledger_of(host).height for host in good] == [2, 2], 12_000)
    assert stage.stands_in(data) == 2


# Primaries that fail ------------------------------------------------------------------------------------------------


def test_dead_primary_many_heights_one_timeout() -> None:
    """A dead primary costs one timeout, and not one for each height."""
    stage = Stage()
    stage.crash(stage.primary)
    taken = []
    for number in range(6):
        data = stage.deposit()
        stage.hand_to_all(data)
        taken.append(stage.decided(data))
        assert stage.stands_in(data) == number + 1
    assert taken[0] >= QUICK.timeout_ms
    assert max(taken[1:]) < QUICK.timeout_ms // 2


def test_two_dead_primaries() -> None:
    """The second primary dies as well before it can propose: two timeouts, the second twice as long."""
    stage = Stage(hosts=7)
    first, second, third, *_ = stage.order
    stage.crash(first)
    stage.crash(second)
    data = stage.deposit()
    stage.hand_to_all(data)
    taken = stage.decided(data)
    assert 3 * QUICK.timeout_ms <= taken < 4 * QUICK.timeout_ms
    stage.run(100)
    assert stage.heights() == [1] * 5
    assert stage.certified_in(1) == 2
    assert stage.primary is third


def test_equivocating_primary() -> None:
    """One block goes to the first backup, another to the second, both to the third: one of them is decided."""
    stage = Stage()
    liar, first, second, third = stage.order

    def equivocates(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
        if not isinstance(message, PrePrepare) or message.view:
            return [] if proves(message) else [(to, frame)]
        if message.block.height > 1:
            return []  # it would prove the first
        other = to_frame(them.pre_prepare(host, 0, them.other(host.address, message.block, 1)))
        if to == third.address:
            them.later(host, to, other, 30)
        return [(to, other if to == second.address else frame)]

    stage.world.corrupt(liar, equivocates)
    data = stage.deposit()
    stage.hand_in(liar, data)
    stage.until(lambda: len(stage.prepared()) >= 2)
    votes = [each for host in (first, second, third) for each in stage.said(Vote, host) if each.phase == PREPARE]
    assert len(dict.fromkeys(vote.digest for vote in votes)) == 2, "two blocks have support"
    stage.hand_to_all(stage.deposit(1))
    stage.until(lambda: all(ledger_of(host).height for host in (first, second, third)))
    assert stage.certified_in(1) == 1
    assert stage.stands_in(data) == 1
    (evidence,) = stage.proven_by(third)
    assert (evidence.member, evidence.height, evidence.view) == (liar.address, 1, 0)


def test_censored_transaction() -> None:
    """A primary proposes whatever it is given but for one: that ends its view once it waited for long enough."""
    stage = Stage()
    censor, backup = stage.order[:2]
    stage.lose(lambda _by, to, message: to is censor and message is None)
    data = stage.deposit()
    stage.hand_in(backup, data)
    began = stage.world.now
    while engine_of(backup).term == 0:
        assert stage.world.now < began + 2 * QUICK.censor_ms
        stage.hand_in(censor, stage.deposit(1))
        stage.run(150)
        assert stage.stands_in(data) is None
    assert stage.world.now >= began + QUICK.censor_ms
    assert min(stage.heights()) > 5, "others' transactions were served all the time, so that no timer ran out"
    stage.decided(data, 1_000)
    assert stage.certified_in(stage.stands_in(data) or 0) == 1


@pytest.mark.parametrize("dies", [True, False])
def test_only_transaction_in_lost_proposal(dies: bool) -> None:
    """The only transaction there is stands in a proposal that nobody gets.

    Its primary is gone, and a backup had it as well; or it is there, and alone has what it waits for itself.
    """
    stage = Stage()
    first, backup = stage.order[:2]
    stage.lose(lambda _by, _to, message: isinstance(message, PrePrepare) and message.view == 0)
    data = stage.deposit()
    stage.hand_in(backup if dies else first, data)
    stage.until(lambda: stage.said(PrePrepare, first))
    assert first.replica is not None
    assert first.replica.waiting == 0, "it is reserved"
    if dies:
        stage.crash(first)
    assert not stage.prepared()
    stage.until(lambda: all(height == 1 for height in stage.heights()))
    assert (stage.stands_in(data), stage.certified_in(1)) == (1, 1)
    stage.start(first)
    stage.until(lambda: stage.heights() == [1] * 4)


def test_duplicate_after_leader_change() -> None:
    """A client gives one transaction to everybody, and again after its primary fell: it is in one block."""
    stage = Stage()
    data, following = stage.deposit(), stage.deposit()
    stage.lose(lambda _by, _to, message: is_vote(message, COMMIT, [0]))
    stage.hand_to_all(data)
    stage.until(stage.prepared)
    fallen = stage.primary
    stage.crash(fallen)
    stage.until(lambda: stage.heights() == [1] * 3)
    assert stage.stands_in(data) == 1
    for host in stage.alive:
        assert host.replica is not None
        refused = host.replica.accept(data, None, stage.world.local(host))
        assert isinstance(refused, Refused)
        assert refused.code == "nonce_wrong"
    assert stage.primary is not fallen
    stage.start(fallen)
    stage.hand_in(stage.primary, following)
    stage.until(lambda: stage.heights() == [2] * 4)
    assert stage.stands_in(following) == 2


def test_two_transactions_in_one_place_depose_nobody() -> None:
    """A client gives the primary one transaction and all others another of the same nonce: one is in a block at once,
    and nobody waits for the second, which no primary could propose."""
    stage = Stage()
    one = stage.deposit(amount=1)
    stage.nonces.clear()
    other = stage.deposit(amount=2)
    for host in stage.backups:
        stage.hand_in(host, other)
    stage.hand_in(stage.primary, one)
    stage.until(lambda: stage.heights() == [1] * 4)
    assert [stage.stands_in(data) for data in (one, other)] == [1, None]
    stage.run(2 * QUICK.timeout_ms)
    assert stage.views() == [0] * 4
    assert stage.heights() == [1] * 4


def test_stalled_then_expired() -> None:
    """While too few are there nothing is decided; what has expired by then is told so, and is in no block ever."""
    stage = Stage()
    gone = stage.backups[:2]
    for host in gone:
        stage.crash(host)
    there = next(host for host in stage.backups if host.runs)
    dying, living = stage.deposit(expires_ms=2_000), stage.deposit()
    stage.hand_in(there, dying)
    stage.hand_in(there, living)
    stage.run(2_500)
    assert stage.heights() == [0, 0]
    assert there.replica is not None
    assert there.replica.waiting == 2, "neither is lost, and neither is said to be"
    for host in gone:
        stage.start(host)
    stage.run(5_000)
    assert stage.stands_in(dying) is None, "its time was over before anybody could agree"
    assert stage.stands_in(living) is None, "it follows on one that never came"
    refused = there.replica.accept(dying, None, stage.world.local(there))
    assert refused is not None
    assert refused.code == "expired"


# What a view hands on to the next -----------------------------------------------------------------------------------


def test_prepared_survives_view_change() -> None:
    """One backup alone knows that a block is prepared, and its primary is dead: the next proposes that block."""
    stage = Stage()
    first, second, third, last = stage.order
    stage.lose(lambda _by, to, message: (to is not last and is_vote(message, PREPARE)) or is_vote(message, COMMIT))
    data, other = stage.deposit(), stage.deposit(1)
    stage.hand_in(first, data)
    stage.until(stage.prepared)
    assert stage.prepared() == [last]
    stage.crash(first)
    assert stage.heights() == [0] * 3, "it is not committed"
    for host in (second, third):
        stage.hand_in(host, other)  # what they would propose, were they free to choose
    stage.until(lambda: stage.said(NewView, second))
    stage.heal()
    stage.until(lambda: stage.heights() == [2] * 3)
    assert (stage.stands_in(data), stage.stands_in(other)) == (1, 2)
    assert (stage.block(1).header.proposer, stage.certified_in(1)) == (first.key.public, 1)


def test_reproposal_identical_bytes_old_time() -> None:
    """What was prepared by some is proposed again by the next primary, to the byte, though its time is long past."""
    stage = Stage(settings=replace(QUICK, skew_ms=300))
    first, second = stage.order[:2]
    stage.lose(lambda _by, _to, message: is_vote(message, COMMIT))
    stage.hand_in(first, stage.deposit())
    began = stage.world.now
    stage.until(stage.prepared)
    for host in stage.hosts:
        stage.cut_off(host)
    stage.crash(first)
    stage.run(1_000)
    assert stage.heights() == [0] * 3
    stage.heal()
    stage.until(lambda: stage.heights() == [1] * 3)
    before, again = stage.said(PrePrepare, first)[0], stage.said(PrePrepare, second)[0]
    assert (again.view, again.block) == (1, before.block)
    late_ms = stage.world.created_ms + stage.world.now - stage.block(1).header.time_ms
    assert late_ms > 3 * 300, "no first proposal of that time would be supported now"
    assert stage.block(1).header.time_ms < stage.world.created_ms + began + 100
    assert stage.block(1).header.proposer == first.key.public


def chooses_freely(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """As a new primary it says that nothing was prepared, though it shows who had, and proposes another block."""
    if isinstance(message, NewView):
        seals, committee = them.seals_of(host), them.committee(host)
        told = new_view_digest(b"", message.changes)
        signature = seals.make(committee, message.height, message.view, Phase.NEW_VIEW, told)
        return [(to, to_frame(changed(message, digest=b"", signature=signature)))]
    if isinstance(message, PrePrepare):
        return [(to, to_frame(them.pre_prepare(host, message.view, them.other(host.address, message.block, 1))))]
    return [(to, frame)]


def test_newview_wrong_choice_refused() -> None:
    """A new primary chooses freely where a block was prepared: nobody follows it, and the next one chooses right."""
    stage = Stage()
    first, liar, third, fourth = stage.order
    stage.world.corrupt(liar, chooses_freely)
    stage.lose(lambda _by, _to, message: is_vote(message, COMMIT, [0]))
    data = stage.deposit()
    stage.hand_in(first, data)
    stage.until(lambda: len(stage.prepared()) == 4)
    stage.until(lambda: stage.said(NewView, liar))
    (wrong,) = stage.said(NewView, liar)
    assert any(each.view_change.prepared for each in wrong.changes)
    assert wrong.digest == b""
    honest = (first, third, fourth)
    stage.run(100)
    assert [(engine_of(host).term, engine_of(host).established) for host in honest] == [(1, False)] * 3
    assert all(engine_of(host).faults.get(liar.address) for host in honest)
    stage.until(lambda: all(ledger_of(host).height == 1 for host in honest))
    assert stage.stands_in(data) == 1
    assert stage.certified_in(1) == 2


@pytest.mark.parametrize("place", [1, 3])
def test_viewchange_laggard_height(place: int) -> None:
    """One has prepared a height that the others have decided; what it prepared there binds nobody at the next.

    At the place of the next primary it opens the view at a height whose block it has yet to fetch.
    """
    stage = Stage()
    first, second, *_ = stage.order
    laggard = stage.order[place]
    stage.lose(lambda _by, to, message: to is laggard and proves(message))
    stage.hand_in(first, stage.deposit())
    stage.until(lambda: stage.prepared() == [laggard] and sum(stage.heights()) == 3)
    assert ledger_of(laggard).height == 0
    stage.crash(first)
    data = stage.deposit(1)
    for host in stage.alive:
        if host is not laggard:
            stage.hand_in(host, data)
    stage.until(lambda: stage.said(NewView, second))
    opened = stage.said(NewView, second)[0]
    (behind,) = [each.view_change for each in opened.changes if each.view_change.height == 0]
    assert behind.prepared is not None
    assert behind.prepared.height == 1
    assert (opened.height, opened.digest) == (1, b""), "it binds height 2, where nothing was prepared"
    stage.heal()
    stage.until(lambda: stage.heights() == [2] * 3)
    assert stage.stands_in(data) == 2
    assert stage.certified_in(2) == 1


# Crashes ------------------------------------------------------------------------------------------------------------


def test_crash_after_prepare_before_commit() -> None:
    """Two crash as soon as one has decided by their COMMITs, and forget what was not synced, while that one is away.

    They know afterwards what they had prepared, so that nothing else is decided in its place.
    """
    stage = Stage()
    first, second, third, decided = stage.order
    first.sync_ms = second.sync_ms = (30, 30)
    stage.lose(lambda _by, to, message: to is third and is_vote(message, PREPARE))
    stage.lose(lambda _by, to, message: to is not decided and is_vote(message, COMMIT))
    data = stage.deposit()
    stage.hand_in(first, data)
    stage.until(lambda: ledger_of(decided).height == 1)
    assert [ledger_of(host).height for host in (first, second, third)] == [0] * 3
    stage.heal()
    stage.cut_off(decided)
    for host in (first, second):
        stage.crash(host)
        stage.start(host)
    stage.lose(lambda _by, _to, message: isinstance(message, PrePrepare | Vote) and message.view == 0)
    stage.run(1)
    assert stage.prepared() == [first, second]
    other = stage.deposit(1)
    for host in (first, second, third):
        stage.hand_in(host, other)
    stage.until(lambda: [ledger_of(host).height for host in (first, second, third)] == [2] * 3)
    assert stage.certified_in(2) == 1
    assert (stage.stands_in(data), stage.stands_in(other)) == (1, 2)
    stage.heal()
    stage.until(lambda: stage.heights() == [2] * 4)


def test_all_crash_after_prepare() -> None:
    """All crash when some have prepared: what they prepared is on their disks, and is decided afterwards."""
    stage = Stage()
    data = stage.deposit()
    stage.hand_in(stage.primary, data)
    stage.until(stage.prepared)
    stage.run(3)
    assert stage.heights() == [0] * 4
    for host in stage.hosts:
        stage.crash(host)
    for host in stage.hosts:
        stage.start(host)
    stage.until(lambda: stage.heights() == [1] * 4)  # nobody hands it in again, and no pool has it any more
    assert stage.stands_in(data) == 1


def test_restart_inside_view() -> None:
    """A new primary that is bound restarts: it does not propose until it knows again what it is bound to."""
    stage = Stage()
    first, second, third, last = stage.order
    stage.lose(lambda _by, _to, message: is_vote(message, COMMIT))
    data, other = stage.deposit(), stage.deposit(1)
    stage.hand_in(first, data)
    stage.until(lambda: third in stage.prepared() and last in stage.prepared())
    stage.crash(first)
    for host in (second, third, last):
        stage.hand_in(host, other)
    stage.lose(lambda by, _to, message: by is second and isinstance(message, PrePrepare))
    stage.until(lambda: all(engine_of(host).established and engine_of(host).term == 1 for host in stage.alive))
    stage.crash(second)
    stage.start(second)
    stage.run(1)
    assert (engine_of(second).term, engine_of(second).established, engine_of(second).takes) == (1, False, False)
    stage.hand_in(second, other)
    stage.heal()
    stage.lose(lambda _by, _to, message: is_vote(message, COMMIT, [0]))
    stage.until(lambda: stage.heights() == [2] * 3)
    assert (stage.certified_in(1), stage.stands_in(data), stage.stands_in(other)) == (1, 1, 2)
    assert not engine_of(third).faults
    assert not engine_of(last).faults


# Views --------------------------------------------------------------------------------------------------------------


def test_views_run_apart() -> None:
    """Two that hear only each other stay in the view after the last, however long, so that all are together at once."""
    stage = Stage()
    stage.cut_off(*stage.order[:2])
    data = stage.deposit()
    stage.hand_to_all(data)
    stage.run(2 * QUICK.timeout_max_ms)
    assert stage.views() == [1] * 4
    assert stage.said(ViewChange)
    assert stage.heights() == [0] * 4
    stage.heal()
    assert stage.until(lambda: stage.heights() == [1] * 4) < 2 * QUICK.timeout_ms


def test_catch_up_keeps_view() -> None:
    """One that left view 0 alone catches up by that view's certificates, and takes part in it no more."""
    stage = Stage()
    first, *others, away = stage.order
    stage.cut_off(away)
    stage.hand_in(away, stage.deposit(1))
    stage.until(lambda: engine_of(away).term == 1)
    for _ in range(3):
        data = stage.deposit()
        stage.hand_in(first, data)
        stage.decided(data)
    assert [stage.certified_in(height) for height in (1, 2, 3)] == [0] * 3
    stage.heal()
    stage.until(lambda: ledger_of(away).height >= 3)
    assert (engine_of(away).term, engine_of(away).established) == (1, False)
    data = stage.deposit()
    stage.hand_in(first, data)
    stage.until(lambda: len(dict.fromkeys(stage.heights())) == 1 and stage.stands_in(data))
    assert engine_of(away).term == 1
    assert not stage.said(Vote, away)
    stage.crash(first)
    data = stage.deposit()
    for host in (*others, away):
        stage.hand_in(host, data)
    stage.decided(data)
    assert stage.said(Vote, away), "it is needed now, and there"


# Committees ---------------------------------------------------------------------------------------------------------


def smaller(stage: Stage) -> Actor:
    """Governors take a seat away, so that four agree from the next height on; who goes."""
    gone = stage.order[-1]
    payload = Propose(RemoveValidator(gone.address))
    stage.hand_in(stage.primary, stage.signed(stage.world.founding.governor_key, payload))
    return gone


def seals_of(stage: Stage) -> Seals:
    return Seals(stage.world.checkers.chain, stage.hosts[0].key.sign, verify_each)


def test_first_block_of_epoch_carries_old_committee_certificate() -> None:
    """It is checked against the committee that certified, which is larger and has other quorums than the new one."""
    stage = Stage(hosts=5)
    old = stage.committee
    smaller(stage)
    stage.until(lambda: len(stage.committee.members) == 4)
    boundary, new = stage.ledger.height, stage.committee
    assert (new.first, quorum_of(5), quorum_of(4)) == (boundary + 1, 4, 3)
    data = stage.deposit()
    stage.hand_in(stage.primary, data)
    stage.until(lambda: min(stage.heights()) == boundary + 1, 3_000)
    assert stage.stands_in(data) == boundary + 1
    sealed = sealed_in(stage.block(boundary + 1).header.evidence)
    assert sealed is not None
    assert sealed.certificate.height == boundary
    assert is_valid(sealed.certificate, old, seals_of(stage))
    assert not is_valid(sealed.certificate, new, seals_of(stage))
    following = stage.deposit()
    stage.hand_in(stage.primary, following)
    stage.decided(following)
    sealed = sealed_in(stage.block(boundary + 2).header.evidence)
    assert sealed is not None
    assert is_valid(sealed.certificate, new, seals_of(stage))


def test_wrong_committee_certificate() -> None:
    """All of a new committee sign the block that names it: it is no certificate, neither told nor embedded."""
    stage = Stage(hosts=5)
    liar, away = stage.order[0], stage.order[2]
    stage.cut_off(away)
    smaller(stage)
    stage.until(lambda: len(stage.committee.members) == 4 and engine_of(liar).height == stage.ledger.height)
    boundary, new = stage.ledger.height, stage.committee
    chained = engine_of(liar).block(boundary)
    assert chained is not None
    right = chained.commit_certificate

    def seal(place: int) -> Seal:
        key = stage.world.by_address[new.members[place]].key
        seals = Seals(stage.world.checkers.chain, key.sign, verify_each)
        return Seal(place, seals.make(new, boundary, 0, Phase.COMMIT, right.digest))

    wrong = CommitCertificate(boundary, 0, right.digest, tuple(seal(place) for place in range(new.quorum)))
    assert is_valid(wrong, new, seals_of(stage))
    assert away.replica is not None
    told = engine_frame(to_frame(Blocks((chained.block,), wrong)))
    stage.world.checkers.testimony.suspect(liar.address)
    away.replica.receive(liar.address, told, stage.world.local(away))
    stage.world._step(away)
    assert engine_of(away).faults == {liar.address: 1}
    assert ledger_of(away).height < boundary

    def embeds(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
        if not isinstance(message, PrePrepare):
            return [(to, frame)]
        block = changed(message.block, commit_certificate=wrong)
        return [(to, to_frame(them.pre_prepare(host, message.view, block)))]

    stage.heal()
    stage.until(lambda: ledger_of(away).height == boundary)
    stage.world.corrupt(liar, embeds)
    data = stage.deposit()
    stage.hand_to_all(data)
    stage.until(lambda: min(stage.heights()) == boundary + 1)
    assert stage.stands_in(data) == boundary + 1
    assert stage.certified_in(boundary + 1) == 1
    assert all(engine_of(host).faults.get(liar.address) for host in stage.order[1:])
    assert all(each.view for each in stage.said(Vote) if each.height > boundary), "nobody supported it"


def test_fewer_than_four_groups() -> None:
    """Three replicas found no chain, three members form no groups, and no removal leaves three."""
    with pytest.raises(Refused) as refused:
        Stage(hosts=3, consensus=Consensus.CGPBFT)
    assert refused.value.code == "validators_too_few"
    stage = Community(hosts=4, members=3, groups=9)
    assert (len(stage.order), len(stage.agents.agents)) == (4, 4)
    before = stage.epoch
    stage.end_epoch()
    assert (stage.epoch, len(stage.order)) == (before + 1, 4)
    removal = stage.say(stage.world.founding.governor_key, Propose(RemoveValidator(stage.order[3].address)))
    stage.decided(removal)
    receipts = stage.block(stage.stands_in(removal) or 0).receipts
    assert [receipt.code for receipt in receipts] == ["validators_too_few"]
    stage.end_epoch()
    assert len(stage.order) == 4


def test_elected_offline_agents() -> None:
    """Two who have most votes in their groups are not there: they cannot stand, so that enough agree who are."""
    stage = Community()
    first, *others = stage.outsiders
    away = [first, next(each for each in others if stage.group(each) != stage.group(first))]
    for host in away:
        stage.crash(host)
    stage.elect(away, [host for host in stage.hosts if host.runs])
    stood = {each.replica: each.stood for agent in stage.agents.agents for each in agent.runners}
    assert [stood[host.address] for host in away] == [False, False], "they come next in their groups, and did not stand"
    assert all(host.runs for host in stage.order)
    height = stage.ledger.height
    stage.crash(stage.order[-1])  # elected, and offline from now on: one of four may be
    stage.until(lambda: stage.ledger.height > height + 3)


def test_boundary_with_disjoint_committees() -> None:
    """Nobody of the new committee was in the old, nor hears from the agent that it follows what that one agreed on."""
    stage = Community(seed=DISJOINT, settings=replace(QUICK, poll_ms=60_000))
    old, new = stage.order, stage.outsiders
    assert sorted(stage.group(host) for host in new) == [1, 2, 3, 4]
    stage.vote_for(*new)
    stage.announced()
    for host in new:
        stage.say(stage.key_of(host), Stand())
    closing = stage.agents.closing
    lost = [(agent, host) for host in new for agent in old if host.address in followers_of(stage.ledger, agent.address)]
    assert len(lost) == 4
    stage.lose(lambda by, to, message: (by, to) in lost and isinstance(message, Blocks | Tip))
    stage.until(lambda: stage.ledger.height > closing)
    assert sorted(host.number for host in stage.order) == sorted(host.number for host in new)
    stage.heal()
    stage.until(lambda: min(stage.heights()) > closing + 2)
    assert stage.block(closing + 2).header.proposer in [host.key.public for host in new]


def lies_to(victim: Actor) -> Lie:
    """It says COMMIT to one of the others as soon as a block is proposed, for two of which there is none."""

    def lie(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
        said = [(to, frame)]
        if isinstance(message, PrePrepare) and to == victim.address:
            for digest in (b"\x01" * 32, b"\x02" * 32):
                vote = them.vote(host, Phase.COMMIT, message.block.height, message.view, digest)
                said.append((to, to_frame(vote)))
        return said

    return lie


def with_liar() -> tuple[Community, Actor, Actor]:
    """An agent that was elected, and the next of its group, who stood as well and is none; both are members' choice."""
    stage = Community()
    candidates = [(host, each) for host in stage.order for each in stage.group_of(host) if each not in stage.order]
    agent, runner_up = candidates[0]
    stage.elect([agent], [agent, runner_up])
    assert agent in stage.order
    assert runner_up not in stage.order
    return stage, agent, runner_up


def evidence_of(stage: Community, liar: Actor) -> Accuse:
    """What one honest agent can prove of one that signs twice."""
    victim = next(host for host in stage.order if host is not liar)
    stage.world.corrupt(liar, lies_to(victim))
    stage.until(lambda: stage.proven_by(victim))
    evidence = stage.proven_by(victim)[0]
    assert evidence.member == liar.address
    return Accuse(evidence)


def test_agent_replaced_ends_epoch() -> None:
    """An agent proven to lie is replaced at the block that shows it: its committee ends early, its trust is less."""
    stage, liar, runner_up = with_liar()
    epoch, version, order = stage.epoch, stage.committee.epoch, stage.order
    evidence = evidence_of(stage, liar)
    trust = stage.trust(liar)
    data = stage.say(stage.key_of(stage.outsiders[0]), evidence)
    stage.decided(data)
    assert stage.order == [*(host for host in order if host is not liar), runner_up]
    assert (stage.epoch, stage.committee.epoch) == (epoch, version + 1), "the groups' epoch itself goes on"
    assert stage.committee.first == (stage.stands_in(data) or 0) + 1
    assert stage.trust(liar) < trust
    height = stage.ledger.height
    stage.until(lambda: min(stage.heights()) > height + 2)
    assert stage.said(Vote, runner_up)


def test_early_and_normal_end_at_once() -> None:
    """The block that shows a lie is the epoch's last: it is a normal end, and the liar is not eligible in it."""
    stage, liar, runner_up = with_liar()
    evidence = evidence_of(stage, liar)
    stage.vote_for(liar)
    stage.announced()
    for host in (liar, runner_up):
        stage.say(stage.key_of(host), Stand())
    epoch, closing = stage.epoch, stage.agents.closing
    stage.until(lambda: stage.ledger.height == closing - 1)
    assert not any(host.replica.waiting for host in stage.alive if host.replica is not None)
    data = stage.say(stage.key_of(stage.outsiders[0]), evidence)
    stage.until(lambda: stage.epoch > epoch)
    assert stage.stands_in(data) == closing
    assert stage.agents.early == 0, "nobody was replaced early"
    assert liar not in stage.order, "though its group voted for it, and it stood"
    assert runner_up in stage.order
    height = stage.ledger.height
    stage.until(lambda: min(stage.heights()) > height + 2)


def test_primary_omits_slow_agent_attest() -> None:
    """No certificate names an agent whose COMMITs come late; it proves them itself, and has attended."""
    stage = Community(epoch_ms=1_500)
    slow = stage.order[3]
    for host in stage.hosts:
        stage.world.network.set_delay(slow.number, host.number, 40)
    first = stage.ledger.height + 1
    stage.until(lambda: stage.ledger.height >= first + 6)
    last = stage.ledger.height - 1
    certificates = [sealed_in(stage.block(height + 1).header.evidence) for height in range(first, last + 1)]
    assert all(3 not in [seal.member for seal in each.certificate.seals] for each in certificates if each)
    assert office_of(stage.ledger.state, stage.epoch, slow.address).attended == 0
    votes = {each.height: each for each in stage.said(Vote, slow) if each.phase == COMMIT and not each.again}
    own = [OwnCommit(height, votes[height].view, votes[height].signature) for height in range(first, last + 1)]
    data = stage.say(stage.key_of(slow), Attest(tuple(own)))
    stage.decided(data)
    office = office_of(stage.ledger.state, stage.epoch, slow.address)
    assert office.attended == len(own) == 6
    assert 2 * office.attended >= office.heights


def test_an_agent_that_the_primary_shows_no_proposal_attends_all_the_same() -> None:
    """It commits nothing; what others told it is enough for it to show that it was there."""
    stage = Community(epoch_ms=1_500)
    starved, liar = stage.order[3], stage.primary

    def shows_one_nothing(_: Conspiracy, _host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
        return [] if to == starved.address and isinstance(message, PrePrepare) else [(to, frame)]

    first = stage.ledger.height + 2
    stage.world.corrupt(liar, shows_one_nothing)
    stage.until(lambda: ledger_of(starved).height >= first + 6)
    assert stage.primary is liar, "nobody can know"
    said = [each.height for each in stage.said(Vote, starved) if each.phase == COMMIT]
    assert not [height for height in said if height >= first]
    assert office_of(stage.ledger.state, stage.epoch, starved.address).attended < 2
    found = {height: engine_of(starved).own_commit(height) for height in range(first, first + 6)}
    data = stage.say(stage.key_of(starved), Attest(tuple(OwnCommit(h, *each) for h, each in found.items() if each)))
    stage.decided(data)
    office = office_of(stage.ledger.state, stage.epoch, starved.address)
    assert 2 * office.attended >= office.heights


# Members behind agents ----------------------------------------------------------------------------------------------


def forged(them: Conspiracy, host: Liar, block: Blocks) -> bytes:
    """A block of its own, with one seal of its own as often as it takes."""
    other = them.other(host.address, block.blocks[-1], -1)
    proposal = them.note(other)
    assert proposal is not None
    own = them.vote(host, Phase.COMMIT, other.height, 0, proposal.digest).signature
    seals = tuple(Seal(place, own) for place in range(them.committee(host).quorum))
    return to_frame(Blocks((other,), CommitCertificate(other.height, 0, proposal.digest, seals)))


@pytest.mark.parametrize("lying", [False, True])
def test_lying_or_silent_own_agent(lying: bool) -> None:
    """A member follows the chain though its own agent tells it nothing, or what is not so; and is served by others."""
    stage = Community()
    member = next(host for host in stage.outsiders)
    (agent,) = [host for host in stage.order if member.address in followers_of(stage.ledger, host.address)]

    def lie(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
        if to != member.address:
            return [(to, frame)]
        return [(to, forged(them, host, message))] if lying and isinstance(message, Blocks) else []

    stage.world.corrupt(agent, lie)
    stage.lose(lambda by, to, message: (by, to) == (member, agent) and message is None)  # what it is entrusted with
    height = stage.ledger.height
    stage.until(lambda: ledger_of(member).height > height + 3, 4 * TICK_MS + 2 * QUICK.poll_ms)
    assert member.address in followers_of(stage.ledger, agent.address)
    assert bool(engine_of(member).faults.get(agent.address)) is lying
    data = stage.deposit()
    stage.hand_in(member, data)
    stage.decided(data)


def test_who_follows_gives_to_its_own_agent_and_then_to_f_plus_one_in_turn() -> None:
    """And agents give to the primary, and then to each other; nobody who only follows is sent what waits."""
    stage = Stage(hosts=7, consensus=Consensus.CGPBFT)
    member = next(host for host in stage.hosts if host not in stage.order)
    (own,) = [host for host in stage.order if member.address in followers_of(stage.ledger, host.address)]
    agent = stage.order[2]
    given: list[tuple[Actor, Actor]] = []

    def loses(by: Actor, to: Actor, message: BftMessage | None) -> bool:
        if message is None:
            given.append((by, to))
        return message is None

    stage.lose(loses)
    stage.hand_in(member, stage.deposit())
    stage.hand_in(agent, stage.deposit(1))
    stage.run(10)
    assert given == [(member, own), (agent, stage.primary)]
    stage.run(4_500)
    by_member = [to for by, to in given[1:] if by is member]
    pairs = [dict.fromkeys(by_member[at : at + 2]) for at in (0, 2, 4)]
    assert [len(pair) for pair in pairs] == [2, 2, 2]
    assert sorted(to.number for to in dict.fromkeys(by_member)) == sorted(host.number for host in stage.order)
    assert all(to in stage.order for _, to in given)
    assert [to for by, to in given[2:] if by is agent][:3] == [host for host in stage.order if host is not agent]


# Beside the named ones ----------------------------------------------------------------------------------------------


def test_a_block_takes_three_turns_of_messages_and_an_idle_chain_none() -> None:
    stage = Stage()
    data = stage.deposit()
    stage.hand_in(stage.primary, data)
    stage.run(200)
    assert stage.stands_in(data) == 1
    assert stage.heights() == [1, 1, 1, 1]
    stage.run(2_000)
    assert stage.heights() == [1, 1, 1, 1]


def test_an_idle_chain_ticks_under_any_primary() -> None:
    stage = Stage(tick_ms=500)
    stage.run(2_000)
    ticked = min(stage.heights())
    assert ticked >= 2
    stage.crash(stage.primary)
    stage.run(3_000)
    assert min(stage.heights()) > ticked + 2


def test_a_proposal_that_nobody_supports_leaves_nothing_and_frees_what_it_reserved() -> None:
    stage = Stage()
    lonely = stage.primary
    stage.cut_off(lonely)
    data = stage.deposit()
    stage.hand_in(lonely, data)
    stage.run(100)
    assert lonely.replica is not None
    assert lonely.replica.waiting == 0, "it is reserved"
    ledger = lonely.replica.ledger
    assert (ledger.height, ledger.state.mark()) == (0, 0)
    for host in stage.backups:
        stage.hand_in(host, data)
    stage.until(lambda: stage.stands_in(data) == 1)
    stage.heal()
    stage.until(lambda: stage.heights() == [1, 1, 1, 1])
    assert lonely.replica.waiting == 0
    assert lonely.replica.drain(stage.world.local(lonely)).dropped == ()


def test_a_restart_goes_on_from_the_state_at_an_epochs_end() -> None:
    """Its log begins with that state; what came before it is served from the chain's folder alone."""
    stage = Stage(settings=replace(QUICK, blocks_kept=2), tick_ms=200, epoch_ms=1_000)
    data = [stage.deposit() for _ in range(3)]
    for each in data:
        stage.hand_in(stage.primary, each)
        stage.run(300)
    stage.run(1_000)
    host = stage.backups[0]
    first = host.disk.read()[0]
    assert first.origin, "its log begins with a state"
    stage.crash(host)
    stage.run(500)
    stage.start(host)
    stage.run(500)
    stage.until(lambda: len(dict.fromkeys(stage.heights())) == 1)
    assert engine_of(host).block(1) is not None, "it serves what is in its folder"
    assert all(stage.stands_in(each) is not None for each in data)
