"""A replica that is far behind takes another's state over, and nobody fools it about it, whenever it falls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import cast

import pytest

from tests.simulation.bft_stage import QUICK, Stage
from tests.simulation.state_worlds import StateWorld, nature_of
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.settings import Settings
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.agreed import Agreed, decode_agreed
from wattquorum.ledger.blocks import header_hash
from wattquorum.ledger.light import LightClient
from wattquorum.ledger.proofs import root_of
from wattquorum.ledger.state import Entry, Table
from wattquorum.replica import states, taking_over
from wattquorum.replica.agreeing import AgreeingReplica
from wattquorum.replica.replica import Kind, StateCopy, framed, read_copy, read_frame
from wattquorum.replica.states import (
    AskPart,
    AskState,
    Gone,
    Handed,
    Offer,
    Part,
    StateMessage,
    decode_handed,
    decode_state_message,
)
from wattquorum.replica.taking_over import TakingOver
from wattquorum.simulation.disk import Disk
from wattquorum.simulation.host import Host
from wattquorum.simulation.state_lies import (
    StateLie,
    leads_on,
    made_up_height,
    nothing,
    short,
    silent,
    stops,
    too_large,
    turned,
    zeros,
)

NEAR = replace(QUICK, behind_max=4, blocks_kept=4)
PART = 1_500


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The states of these worlds are small: so are their parts, and there are many."""
    for module in (states, taking_over):
        monkeypatch.setattr(module, "PART_BYTES", PART)


def replica_of(host: Host[Bft]) -> AgreeingReplica:
    assert isinstance(host.replica, AgreeingReplica)
    return host.replica


def height_of(host: Host[Bft]) -> int:
    return replica_of(host).ledger.height


def engine_of(host: Host[Bft]) -> Bft:
    assert host.engine is not None
    return host.engine


def lived(settings: Settings = NEAR) -> tuple[Stage, Host[Bft]]:
    """Three replicas that went through some epochs, and a fourth that has never been there."""
    stage = Stage(settings=settings, tick_ms=150, epoch_ms=1_000)
    late = stage.hosts[3]
    stage.crash(late)
    late.disk = Disk(stage.world.checkers.chain)
    stage.hand_in(stage.hosts[0], stage.deposit())
    stage.run(2_500)
    assert min(stage.heights()) > 10
    return stage, late


def forget(stage: Stage, below: int) -> None:
    """What lies below a height can be given by nobody any more, as where rows were deleted."""
    for folder in stage.world.plan.folders.values():
        for height in [height for height in folder.blocks if height < below]:
            del folder.blocks[height]


def joined(stage: Stage, late: Host[Bft]) -> None:
    """The late one starts; in the end it has what all have, and takes part."""
    stage.start(late)
    for _ in range(40):
        stage.run(100)
        heights = stage.heights()
        if min(heights) and max(heights) - min(heights) <= 1:
            break
    assert max(heights) - min(heights) <= 1, heights
    assert replica_of(late).ledger.state.root() == replica_of(twin_of(stage, late)).ledger.state.root()
    assert engine_of(late).committee_at(heights[0]).place(late.address) is not None


def twin_of(stage: Stage, late: Host[Bft]) -> Host[Bft]:
    """Another one, once it is exactly as far."""
    for _ in range(1_000):
        for host in stage.hosts:
            if host is not late and host.runs and height_of(host) == height_of(late):
                return host
        stage.run(1)
    raise AssertionError("they never are")


def took_over(late: Host[Bft]) -> bool:
    """Whether its log begins with a state that was never executed here."""
    return engine_of(late)._chain._base_index > 0 and engine_of(late).block(1) is None


def test_a_replica_that_is_far_behind_takes_a_state_over_and_takes_part() -> None:
    stage, late = lived()
    before = max(stage.heights())
    joined(stage, late)
    assert took_over(late)
    assert replica_of(late).taking_over.lies == 0
    data = stage.deposit()
    stage.crash(stage.hosts[0])  # without the late one there is no quorum now
    stage.hand_in(late, data)
    stage.run(3_000)
    place = stage.stands_in(data)
    assert place is not None
    assert place > before
    stage.crash(late)
    stage.start(late)
    stage.run(2_000)
    assert height_of(late) >= place
    below = engine_of(late).block(height_of(late) - 1)
    assert below is not None
    with pytest.raises(Refused, match="input_unexpected"):
        engine_of(late).take_over(below, engine_of(late)._chain.committees.installed, b"", stage.world.local(late))


def test_one_that_is_near_enough_fetches_every_block() -> None:
    stage, late = lived(replace(NEAR, behind_max=1_000))
    joined(stage, late)
    assert not took_over(late) or engine_of(late).block(1) is not None
    assert stage.world.plan.folders[late.address].steps.height >= height_of(late)


def test_one_that_is_near_takes_a_state_over_where_nobody_can_give_it_the_next_block() -> None:
    """As where rows of readings were deleted: whoever is asked for such a block says what it has instead."""
    stage, late = lived(replace(NEAR, behind_max=1_000))
    forget(stage, max(stage.heights()) - 3)
    joined(stage, late)
    assert took_over(late)


def test_agents_that_change_and_forget_lose_nobody() -> None:
    """Committees follow each other while replicas fall; whoever comes back is led from one to the next."""
    world = StateWorld(2, nature_of(2, agents=True))
    assert world.run().breach is None
    assert world.taken


# Those who lie


def lies(stage: Stage, liar: Host[Bft], lie: StateLie) -> list[StateMessage]:
    """From now on a host says something else about states, and nothing where the lie is None."""
    said: list[StateMessage] = []
    honest = stage.world._send

    def send(host: Host[Bft], to: bytes, frame: bytes) -> None:
        kind, data = read_frame(frame)
        if host is liar and kind is Kind.STATE:
            message = lie(decode_state_message(data))
            if message is None:
                return
            said.append(message)
            frame = framed(Kind.STATE, encode(message))
        honest(host, to, frame)

    stage.world._send = send  # type: ignore[method-assign]
    stage.world.checkers.testimony.suspect(liar.address)
    return said


@pytest.mark.parametrize(
    ("lie", "proven"),
    [
        (turned, True),
        (short, True),
        (nothing, True),
        (zeros, True),
        (leads_on, True),
        (made_up_height, False),  # it says that it had that one
        (stops, False),
        (too_large, False),
        (silent, False),
    ],
)
def test_who_lies_about_its_state_is_found_out_named_and_another_is_asked(lie: StateLie, proven: bool) -> None:
    stage, late = lived()
    forget(stage, max(stage.heights()) - 3)
    liar = min(stage.hosts[:3], key=lambda host: host.address)  # it is asked first
    said = lies(stage, liar, lie)
    joined(stage, late)
    assert took_over(late)
    taking = replica_of(late).taking_over
    assert said or lie is silent
    assert [failure.peer for failure in taking.failures if failure.lied == proven] == [liar.address]
    assert taking.lies == proven
    assert bool(engine_of(late).faults.get(liar.address)) is proven
    assert bool(taking.oversized) is False


def with_other_state(handed: Handed) -> Handed:
    """The block as it was certified, and a state in which something else stands; its header's root is another one."""
    copy = read_copy(handed.state)
    snapshot = snapshots.read(copy.snapshot)
    entries = tuple(entry for entry in snapshot.entries if entry is not richest(snapshot))
    return Handed(handed.chained, encode(StateCopy(encode(changed(snapshot, entries=entries)), copy.rows)))


def richest(snapshot: snapshots.Snapshot) -> Entry:
    """An account's entry, without which a state can be read all the same."""
    return next(entry for entry in reversed(snapshot.entries) if entry.table == Table.ACCOUNT)


def with_other_header(handed: Handed) -> Handed:
    """A state that has its header's root; a header that nobody certified."""
    copy = read_copy(with_other_state(handed).state)
    snapshot = snapshots.read(copy.snapshot)
    header = changed(snapshot.header, state_root=root_of([encode(entry) for entry in snapshot.entries]))
    state = encode(StateCopy(encode(changed(snapshot, header=header)), copy.rows))
    block = handed.chained.block
    payload = encode(Agreed(decode_agreed(block.payload).entry, header_hash(header)))
    return Handed(changed(handed.chained, block=changed(block, payload=payload)), state)


def with_other_entry(handed: Handed) -> Handed:
    """The block before the state has another entry than was certified."""
    block = handed.chained.block
    agreed = decode_agreed(block.payload)
    payload = encode(changed(agreed, entry=agreed.entry[:-1] + bytes([agreed.entry[-1] ^ 1])))
    return Handed(changed(handed.chained, block=changed(block, payload=payload)), handed.state)


def with_other_place(handed: Handed) -> Handed:
    """A block that says of itself that it follows another one."""
    return Handed(changed(handed.chained, block=changed(handed.chained.block, previous=bytes(32))), handed.state)


def with_other_word(handed: Handed) -> Handed:
    """A block whose payload names another header than the one that was certified."""
    block = handed.chained.block
    payload = encode(changed(decode_agreed(block.payload), header=bytes(32)))
    return Handed(changed(handed.chained, block=changed(block, payload=payload)), handed.state)


def with_more_rows(handed: Handed) -> Handed:
    copy = read_copy(handed.state)
    return Handed(handed.chained, encode(changed(copy, rows=(*copy.rows, b"\x90"))))


def with_fewer_seals(handed: Handed) -> Handed:
    certificate = handed.chained.commit_certificate
    seals = (*certificate.seals[:-1], certificate.seals[0])
    return Handed(changed(handed.chained, commit_certificate=changed(certificate, seals=seals)), handed.state)


@pytest.mark.parametrize(
    "altered",
    [
        with_other_state,
        with_other_header,
        with_other_entry,
        with_other_place,
        with_other_word,
        with_more_rows,
        with_fewer_seals,
    ],
)
def test_a_state_that_no_committee_certified_is_never_gone_on_from(altered: Callable[[Handed], Handed]) -> None:
    """A whole state of a liar's own making, given in good order: proven wrong by what is signed, by nothing else."""
    stage, late = lived()
    forget(stage, max(stage.heights()) - 3)
    liar = min(stage.hosts[:3], key=lambda host: host.address)
    giving = replica_of(liar)._giving
    made = {height: encode(altered(decode_handed(data))) for height, data in giving._held.items()}
    assert made != giving._held
    giving._held = made
    stage.world.checkers.testimony.suspect(liar.address)
    joined(stage, late)
    assert took_over(late)
    assert replica_of(late).taking_over.lies == 1
    assert engine_of(late).faults[liar.address] == 1


NOTHING_PROVEN = SimpleNamespace(checkpoint=SimpleNamespace(height=0))
SILENT, HONEST = [bytes([number]) for number in range(8)], b"\xff"  # in the order in which they are asked


def test_however_many_give_nothing_somebody_else_is_asked() -> None:
    """Those who were asked in vain do not come first again as soon as they have been left alone for long enough."""
    seeking = TakingOver(Settings(), lambda _: cast(LightClient, NOTHING_PROVEN), lambda _: None)
    asked = dict[bytes, None]()
    for now in range(0, 120_000, 50):
        seeking.tick(0, Millis(now))
        seeking.seek([*SILENT, HONEST], 10, Millis(now))
        asked.update((to, None) for to, _ in seeking.said)
        seeking.said = []
    assert list(asked) == [*SILENT, HONEST]


def test_however_often_others_offer_what_they_have_not_whoever_offers_too_is_asked() -> None:
    """Each offers a state, says that it is gone when it is asked for, and others have offered before that is heard."""
    seeking = TakingOver(Settings(), lambda _: cast(LightClient, NOTHING_PROVEN), lambda _: None)
    asked = list[bytes]()
    for now in range(0, 60_000, 500):
        if asked:
            seeking.offered(asked[-1], Offer(0, (), False, 20, 5), Millis(now))
            seeking.gone(asked[-1], 20, Millis(now))
        for peer in [*SILENT, HONEST]:
            seeking.hear_of(peer, 10, Millis(now))
        seeking.tick(10, Millis(now))
        asked += [to for to, message in seeking.said if isinstance(message, AskState)]
        seeking.said = []
    assert HONEST in asked


def test_a_claim_that_is_a_lie_costs_messages_and_moves_nobody() -> None:
    """Somebody says that it is a million blocks ahead: nobody has such a state, and nothing else comes of it."""
    stage, late = lived()
    joined(stage, late)
    for host in stage.hosts[1:]:
        host_engine = engine_of(host)
        host_engine._catching_up.claim(stage.hosts[0].address, 1_000_000)
    heights = stage.heights()
    bases = [engine_of(host)._chain._base_index for host in stage.hosts[1:]]
    stage.run(3_000)
    assert min(stage.heights()) > max(heights)
    ledgers = [replica_of(host).ledger for host in stage.hosts[1:]]
    assert all(engine_of(host)._chain._base_index >= base for host, base in zip(stage.hosts[1:], bases, strict=True))
    assert [ledger.height for ledger in ledgers] == [engine_of(host).height for host in stage.hosts[1:]]


# Whenever it falls


class Newcomer:
    """The late one, alone with one honest replica whose time stands still; it may fall after any step."""

    def __init__(self, stage: Stage, late: Host[Bft], giver: Host[Bft], seed: int = 0) -> None:
        self.stage, self.giver = stage, giver
        disk, chain = Chance(seed).stream("disk"), stage.world.checkers.chain
        self.host = Host(late.number, late.key, chain, stage.world.plan, late.clock, disk)
        self.now = stage.world.now
        self.steps = 0
        self.fall_at = -1
        self.host.start(self.now)
        engine_of(self.host)._catching_up.claim(giver.address, 1_000)

    def _step(self) -> None:
        """Something was done; it falls now, if now is when."""
        self.steps += 1
        if self.steps == self.fall_at:
            self.host.crash()
            self.host.start(self.now)
            ledger = replica_of(self.host).ledger
            replica_of(self.host).drain(Millis(self.host.clock.read(self.now)))
            self.check()
            assert ledger.height == 0
            engine_of(self.host)._catching_up.claim(self.giver.address, 1_000)

    def check(self) -> None:
        """It has the whole state that it took over, or nothing of it."""
        ledger = replica_of(self.host).ledger
        if ledger.height:
            assert ledger.tip is not None
            assert ledger.state.root() == ledger.tip.state_root
            assert engine_of(self.host).block(ledger.height) is not None

    def turn(self) -> None:
        """Drains, writes, syncs, and carries what was said to the other one and its answers back."""
        lives = self.host.crashes
        _, synced_at = self.host.work(self.now)
        self._step()
        while self.host.crashes == lives and synced_at is not None:
            synced_at = self.host.synced(self.now)
            self._step()
        sent = self.host.sendable() if self.host.crashes == lives else []
        for message in sent:
            kind, _ = read_frame(message.data)
            if kind is Kind.STATE and message.to == self.giver.address:
                for answer in self.answers(message.data):
                    if self.host.crashes == lives:
                        replica_of(self.host).receive(self.giver.address, answer, self.local)
                        self._step()
        self.now += 60

    @property
    def local(self) -> Millis:
        return Millis(self.host.clock.read(self.now))

    def answers(self, frame: bytes) -> list[bytes]:
        replica = replica_of(self.giver)
        replica._answered = {}
        replica.receive(self.host.address, frame, self.stage.world.local(self.giver))
        said, replica._said = replica._said, []
        return [framed(Kind.STATE, encode(message)) for _, message in said]

    def join(self) -> int:
        """Until it has the state; how many steps it took."""
        for _ in range(400):
            self.turn()
            if replica_of(self.host).ledger.height and self.host.durable == self.host.disk.last:
                self.check()
                return self.steps
        raise AssertionError("it never has it")


def test_whenever_it_falls_it_has_the_whole_state_or_nothing_of_it() -> None:
    """After every write, sync and message of taking a state over, with every kind of torn write."""
    stage, late = lived()
    giver = stage.hosts[0]
    whole = Newcomer(stage, late, giver).join()
    assert whole > 10
    for seed, fall_at in product(range(2), range(1, whole + 2)):
        newcomer = Newcomer(stage, late, giver, seed)
        newcomer.fall_at = fall_at
        newcomer.join()
        with_it = replica_of(newcomer.host).ledger
        newcomer.host.crash()
        newcomer.host.start(newcomer.now)
        replica_of(newcomer.host).drain(newcomer.local)
        again = replica_of(newcomer.host).ledger
        assert (again.height, again.digest) == (with_it.height, with_it.digest)


def test_nothing_that_is_no_message_about_states_is_taken_for_one() -> None:
    stage, late = lived()
    joined(stage, late)
    replica = replica_of(late)
    now, unreadable = stage.world.local(late), replica.unreadable
    peer = stage.hosts[0].address
    replica.receive(peer, framed(Kind.STATE, b"\xc1"), now)
    assert replica.unreadable == unreadable + 1
    for stray in (
        Part(5, 0, b"x"),
        AskPart(10**6, 0),
        AskPart(5, 1 << 40),
        AskState(1 << 50),
        Offer(1, (), False, 5, 9),
        Gone(5),
    ):
        replica.receive(peer, framed(Kind.STATE, encode(stray)), now)
    stage.run(1_000)
    assert replica.taking_over.lies == 0
    heights = stage.heights()
    assert max(heights) - min(heights) <= 1
