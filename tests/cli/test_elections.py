"""What members say while agents are elected, by hand and by their program, at nodes that run: votes, stands,
attestations, and accusations of who lied."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Served, served
from tests.cli.runs import printed, refused
from wattquorum import Client
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.messages import Vote, to_frame
from wattquorum.consensus.bft.statements import Phase, Seals
from wattquorum.foundation.identities import address_of, verify_each
from wattquorum.ledger.attendance import agents_of
from wattquorum.ledger.elections import elector_of
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.parameters import Consensus
from wattquorum.node.testimony import FILE
from wattquorum.replica.replica import engine_frame
from wattquorum.simulation.demo_keys import DemoSecrets

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of connections that are broken off at the end
COUNT, STAND = 5, 40


class Town:
    """A community whose five members run a replica each, and the files of their keys; four of them agree."""

    def __init__(self, found: Served) -> None:
        self.served, self.village = found, found.village
        self.folder, self.founding = found.village.folder, found.village.founding
        for number in range(COUNT):
            path = self.key(number)
            path.write_text(DemoSecrets(1, demo=True).key_seed(f"member-{number}").hex() + "\n")
            path.chmod(0o600)
        for payloads in self.founding.appointments():
            for payload in payloads:
                data = self.served.call(partial(self.village.signed, self.founding.governor_key, payload))
                self.served.do(asyncio.wait_for(self.village.nodes[0].submit(data), 30))
        self.go_on(lambda: elector_of(self.ledger.state, self.member(0)) is not None)

    @property
    def ledger(self) -> Ledger:
        return self.village.nodes[min(self.village.nodes)].ledger

    def key(self, number: int) -> Path:
        return self.folder / f"member-{number}.key"

    def member(self, number: int) -> bytes:
        return address_of(self.village.chain_id, self.founding.member_keys[number].public)

    def go_on(self, holds: Callable[[], object]) -> None:
        """Blocks, as fast as they come, until something holds."""
        until = time.monotonic() + 60
        while not self.served.call(lambda: bool(holds())):
            assert time.monotonic() < until
            self.served.do(asyncio.wait_for(self.village.nodes[0].submit(self.village.deposit()), 30))

    def closing(self) -> None:
        """The epoch's end is announced, and most of its last blocks are still to come."""
        self.go_on(lambda: agents_of(self.ledger.state).closing >= self.ledger.height + STAND - 5)

    def agreeing(self) -> list[int]:
        """The numbers of those who agree now."""
        voters = self.served.call(lambda: [voter.replica for voter in self.ledger.configuration.new])
        return [self.village.addresses.index(replica) for replica in voters]

    def lie(self, liar: int, at: int) -> None:
        """A member of the committee gives a node two COMMITs that exclude each other."""

        def hear() -> None:
            node = self.village.nodes[at]
            assert isinstance(node.engine, Bft)
            height, view = node.engine.height + 1, node.engine.term
            committee = node.engine.committee_at(height)
            seals = Seals(self.village.chain_id, self.founding.host_keys[liar].sign, verify_each)
            digests = (bytes([1]) * 32, bytes([2]) * 32)
            signed = [seals.make(committee, height, view, Phase.COMMIT, digest) for digest in digests]
            votes = [Vote(3, height, view, *each) for each in zip(digests, signed, strict=True)]
            frames = [engine_frame(to_frame(vote)) for vote in votes]
            node.runtime.receive(self.village.addresses[liar], frames)

        self.served.call(hear)
        self.until(lambda: self.proven(at))

    def proven(self, at: int) -> list[Any]:
        with Client([self.served.apis[at]]) as client:
            return client.testimony().lies

    def until(self, holds: Callable[[], object]) -> None:
        end = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.05)

    def words(self, *words: str, at: int = 0, by: int | None = None) -> list[str]:
        signed = [] if by is None else ["--key", str(self.key(by))]
        return ["elections", *words, "--node", self.served.apis[at], *signed]

    def do(self, *words: str, at: int = 0, by: int | None = None) -> str:
        return printed(*self.words(*words, at=at, by=by), folder=self.folder)

    def trust(self, number: int) -> int:
        found = json.loads(self.do("show", "--json"))
        return int(next(each["trust"] for each in found["electors"] if each["member"] == self.member(number).hex()))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    parameters = {"consensus": int(Consensus.CGPBFT), "epoch_ms": 1_000, "stand_blocks": STAND}
    with served(tmp_path_factory.mktemp("town"), COUNT, parameters=parameters) as found:
        yield Town(found)


def test_a_member_stands_and_votes_once_for_somebody_of_its_group(town: Town) -> None:
    town.closing()
    groups = {each["member"]: each["group"] for each in json.loads(town.do("show", "--json"))["electors"]}
    pairs = [(one, other) for one in range(COUNT) for other in range(COUNT) if one < other]
    one, other = next(p for p in pairs if groups[town.member(p[0]).hex()] == groups[town.member(p[1]).hex()])
    alien = next(each for each in range(COUNT) if groups[town.member(each).hex()] != groups[town.member(one).hex()])
    assert "stands since block" in town.do("stand", by=other)
    assert refused(*town.words("stand", by=other), folder=town.folder) == "stand_second"
    assert refused(*town.words("vote", f"member-{alien}", by=one), folder=town.folder) == "vote_outside"
    assert refused(*town.words("vote", "nobody", by=one), folder=town.folder) == "candidate_unseated"
    assert f"voted for member-{other}" in town.do("vote", f"member-{other}", by=one)
    assert refused(*town.words("vote", f"member-{other}", by=one), folder=town.folder) == "vote_second"


def test_a_lie_survives_a_restart_is_accused_once_and_costs_trust(town: Town, tmp_path: Path) -> None:
    liar, at = town.agreeing()[:2]
    town.lie(liar, at)
    before, replica = town.trust(liar), town.village.addresses[liar].hex()
    told = town.do("testimony", at=at)
    assert replica[:8] in told
    assert "1 lies that the ledger does not know" in told
    assert len(json.loads((town.folder / f"node-{at}" / FILE).read_text())["lies"]) == 1
    town.served.do(town.served.stop(at))
    town.served.do(town.served.start(at))
    kept = tmp_path / "lies.json"
    kept.write_text(town.do("testimony", "--json", at=at))
    assert json.loads(kept.read_text())[0]["lies"][0]["replica"] == replica
    light = next(number for number in range(COUNT) if number not in (liar, at))
    assert f"accuses {replica[:8]} of a lie" in town.do("accuse", "--file", str(kept), by=light)
    assert before - town.trust(liar) >= 5_000_000
    town.until(lambda: not town.proven(at))
    assert "nothing is proven" in town.do("accuse", at=at, by=light)
    words = town.words("accuse", "--file", str(kept), by=light)
    assert "evidence_known" in printed(*words, folder=town.folder, check=2)
    spoiled = json.loads(kept.read_text())
    spoiled[0]["lies"][0]["evidence"] = "AAAA"
    kept.write_text(json.dumps(spoiled))
    assert refused(*words, folder=town.folder) == "encoding_unreadable"
    kept.write_text("{}")
    assert refused(*words, folder=town.folder) == "encoding_unreadable"


def test_an_agent_attests_what_certificates_leave_out_at_its_own_node_alone(town: Town) -> None:
    left = dict[int, list[Any]]()

    def found() -> bool:
        for number in town.agreeing():
            with Client([town.served.apis[number]]) as client:
                left[number] = client.testimony().left_out
        return any(left.values())

    for _ in range(50):
        if found():
            break
        town.served.do(asyncio.wait_for(town.village.nodes[0].submit(town.village.deposit()), 30))
    agent = next(number for number, heights in left.items() if heights)
    told = town.do("testimony", at=agent)
    assert f"{left[agent][-1].height:,}" in told
    other = next(number for number in range(COUNT) if number != agent)
    assert refused(*town.words("attest", at=other, by=agent), folder=town.folder) == "attest_outsider"
    assert "attests" in town.do("attest", at=agent, by=agent)
    with Client([town.served.apis[agent]]) as client:
        heights = [each.height for each in client.testimony().left_out]
    assert left[agent][-1].height not in heights


def test_its_program_does_it_all_and_goes_on_when_it_is_refused(town: Town) -> None:
    town.closing()
    liar, at, *_ = town.agreeing()
    town.lie(liar, at)
    told = town.do("keep", "--seconds", "2.5", at=at, by=at)
    assert f"accuses {town.village.addresses[liar].hex()[:8]} of a lie" in told
    assert "stands\n" in told
    assert told.count(": accuses") == 1
