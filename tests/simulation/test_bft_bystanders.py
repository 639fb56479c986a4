"""Any number of members who follow lie, to who follows and to who agrees: whoever does not lie goes on all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.simulation.bft_stage import QUICK, TICK_MS, Actor, Community, engine_of, ledger_of
from wattquorum.consensus.bft.catching_up import VAIN_MAX, CatchingUp
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.fetching import Fetching
from wattquorum.consensus.bft.messages import Tip, to_frame
from wattquorum.foundation.codec import changed
from wattquorum.foundation.refusals import Refused
from wattquorum.replica.agreeing import followers_of
from wattquorum.replica.replica import engine_frame
from wattquorum.simulation.bystanders import ANSWERS, FAR, TALKS, Talk, spreads_blocks
from wattquorum.simulation.chaos import among_liars, bft_nature_of, elected
from wattquorum.simulation.liars import Conspiracy, Liar, Lie, silent

LIARS = 4
MANY = 6
BEHIND = 50  # blocks
SLOW = replace(QUICK, chunk_bytes=1_000)  # so that one block is an answer


def says_that_it_has_everything(them: Conspiracy, host: Liar) -> list[bytes]:
    tip = them.tip_of(host)
    return [] if tip is None else [engine_frame(to_frame(Tip(changed(tip, height=FAR))))]


def among(
    stage: Community, honest: Actor, answers: Sequence[Lie], talks: Sequence[Talk], *, agent_too: bool = True
) -> None:
    """Everybody but one who follows lies like this, and that one's own agent says nothing to it."""
    world = stage.world
    for host in stage.outsiders:
        if host is not honest:
            world.misleads(host, answers, talks)
    if agent_too:
        (agent,) = [host for host in stage.order if honest.address in followers_of(stage.ledger, host.address)]
        world.corrupt(agent, silent)


@pytest.mark.unmeasured
@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.__name__)
def test_among_liars_whose_own_agent_is_silent_one_follows_and_is_served(talk: Talk) -> None:
    stage = Community(hosts=5 + LIARS)
    honest = stage.outsiders[0]
    among(stage, honest, (ANSWERS[TALKS.index(talk)],), (talk,))
    height = stage.ledger.height
    stage.until(lambda: ledger_of(honest).height > height + 5, 30 * TICK_MS)
    data = stage.deposit()
    stage.hand_in(honest, data)
    stage.decided(data)
    stage.until(lambda: ledger_of(honest).height >= (stage.stands_in(data) or 0))
    assert stage.world.lies_told > 20
    lying = [host.address for host in stage.outsiders if host is not honest]
    assert all(peer in lying for peer in engine_of(honest).faults)


@pytest.mark.unmeasured
@pytest.mark.parametrize("talk", [says_that_it_has_everything, spreads_blocks])
def test_who_comes_back_loses_little_time_with_those_who_only_say_that_they_have_blocks(talk: Talk) -> None:
    """Each of them is asked a few times in vain, and then after everybody who gives blocks."""
    stage = Community(hosts=5 + MANY, settings=SLOW)
    late = stage.outsiders[0]
    among(stage, late, (silent,), (talk,), agent_too=False)
    stage.crash(late)
    height = stage.ledger.height
    stage.until(lambda: stage.ledger.height > height + BEHIND, 2 * BEHIND * TICK_MS)
    stage.start(late)
    stage.run(5)
    assert stage.until(lambda: ledger_of(late).height >= stage.ledger.height - 1) < 3_000


def test_who_is_cut_off_asks_everybody_in_vain_and_then_first_who_helps() -> None:
    """However often it was asked in vain meanwhile: no more is counted than makes everybody alike."""
    peers = [bytes([number]) for number in range(4)]
    catching_up, now = CatchingUp(), 0

    def asked() -> bytes:
        nonlocal now
        for peer in peers:
            catching_up.claim(peer, FAR)
        now += 100_000
        return catching_up.next(1, now, 100) or b""

    catching_up.claim(peers[0], FAR)
    catching_up.schedule(1, now, 100)
    assert sorted(dict.fromkeys([asked() for _ in range(4 * VAIN_MAX)])) == peers, "nobody is left out"
    while asked() != peers[2]:
        pass
    catching_up.answered(peers[2], now)
    catching_up.helped(peers[2])
    turns = [asked() for _ in range(3)]
    assert turns[0] == turns[2] == peers[2] != turns[1], "as soon as it says again that it has blocks"
    later = [asked() for _ in range(4 * VAIN_MAX)]
    assert sorted(dict.fromkeys(later)) == peers


def test_of_four_agents_one_lies_and_so_do_all_others_who_follow() -> None:
    """The worst that is promised: f of those who agree, and everybody else but one."""
    stage = Community(hosts=5 + LIARS)
    honest = stage.outsiders[0]
    among(stage, honest, ANSWERS[:4], TALKS)
    before = stage.ledger.height
    stage.run(3_000)
    alive = [host for host in stage.alive if stage.world._is_judged(host)]
    assert len(alive) == 4, "three who agree, and one who follows"
    assert min(ledger_of(host).height for host in alive) > before + 5


# Whoever believes them is deceived, and that is noticed -------------------------------------------------------------


def test_one_who_takes_blocks_without_their_certificates_is_deceived(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Community(hosts=5 + LIARS)
    honest = stage.outsiders[0]
    among(stage, honest, (silent,), (spreads_blocks,))
    real, take = Fetching._take, "wattquorum.consensus.bft.fetching.is_valid"

    def believing(self: Fetching) -> bool:
        with monkeypatch.context() as patch:
            if self._chain.place is None:
                patch.setattr(take, lambda *_: True)
            return real(self)

    monkeypatch.setattr(Fetching, "_take", believing)
    with pytest.raises(Refused, match=r"role_missing|out_of_range"):  # what nobody's turn it was to propose is executed
        stage.run(5_000)


def test_one_who_asks_its_own_agent_alone_stands_still_when_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Community(hosts=5 + LIARS)
    honest = stage.outsiders[0]
    among(stage, honest, (silent,), (says_that_it_has_everything,))
    (agent,) = [host for host in stage.order if honest.address in followers_of(stage.ledger, host.address)]
    polled = Bft._polled

    def own_alone(self: Bft) -> list[bytes]:
        return [agent.address] if self is honest.engine else polled(self)

    monkeypatch.setattr(Bft, "_polled", own_alone)
    height, epoch = ledger_of(honest).height, stage.epoch
    stage.run(1_000)
    assert stage.epoch == epoch, "the next one gives it another agent"
    assert ledger_of(honest).height <= height + 1
    assert stage.ledger.height >= height + 3


# Worlds -------------------------------------------------------------------------------------------------------------


@pytest.mark.unmeasured
def test_in_most_worlds_most_of_those_who_follow_lie_and_never_agree() -> None:
    natures = [among_liars(seed, elected(seed, bft_nature_of(seed, 0))) for seed in range(80)]
    lying = [nature for nature in natures if nature.bystanders]
    assert len(lying) > 60
    assert max(nature.bystanders for nature in lying) >= 5
    followed = [nature.hosts - nature.agents - nature.bystanders for nature in lying]
    assert min(followed) == 0
    assert sum(honest == 1 for honest in followed) > 30
    assert sum(nature.liars > 0 for nature in lying) > 20, "one who agrees lies too"
    assert all(nature.liars <= (nature.agents - 1) // 3 for nature in lying)
