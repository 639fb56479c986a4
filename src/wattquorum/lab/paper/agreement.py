"""Agreement: where the fast path and the real engine say the same, and where a real election is not a ranking.

Weights and links are those of a seed's rounds. In each situation the engines elect a leader and decide one entry, and
what they do stands beside what the fast path says of the same weights:

- apart: a rank is heard before the next one's turn comes. Both must agree, in leader, time and valid replies.
- crash: the same, and the leader crashes after its entry is everywhere: the ranking of the rest must lead next.
- behind: the heaviest of the rest missed that entry, and the leader crashes. A ranking would elect it; Raft must not.
- equal: the same as the first, with equal votes: plain Raft, whose ranks are those of addresses.
- paper: ranks wait 5 ms each, as in the paper, less than a frame takes. Several stand, and votes split.

The engine ranks even equal votes, by address, and draws as plain Raft does only after an election that failed. Who is
elected then is what table 3 is about: `plain_elected` lets all stand in vain until their draws have lost every order.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from wattquorum.lab.paper.engines import US_PER_MS, Cluster, pace, ranked_first
from wattquorum.lab.paper.inputs import PAPER, Inputs
from wattquorum.lab.paper.replies import Order
from wattquorum.lab.paper.rounds import play, round_trips

AFTER: Final = (1, 50, 200)  # rounds whose weights are taken
PLAIN: Final = 5  # elections of the real engine for each seed where it draws
SILENCE_US: Final = 120 * 1_000 * US_PER_MS  # five times what the longest draws last
APART_MS: Final = 100  # of a step: above what pre-vote and vote take on links of 50 ms
SITUATIONS: Final = ("apart", "equal", "crash", "behind", "paper")


class Case(NamedTuple):
    """One election and one entry."""

    situation: str
    seed: int
    after: int  # rounds; 0: none, votes are equal
    ranked: int  # whom the fast path has lead
    leader: int  # who was elected
    election_us: int
    terms: int
    stood: int  # nodes that asked for votes
    fast_us: int  # until an entry of this leader is decided
    real_us: int
    same_replies: bool  # valid ones, in their order
    same_weighty: bool  # the same without those of nodes that weigh nothing

    @property
    def agrees(self) -> bool:
        """Whether both say the same of leader, time and replies."""
        return self.ranked == self.leader and self.fast_us == self.real_us and self.same_replies


class Elected(NamedTuple):
    """One election of the real engine with equal votes, in which everybody draws when to stand."""

    seed: int
    number: int
    leader: int
    election_us: int
    terms: int


def plain_elected(seed: int, inputs: Inputs = PAPER, elections: int = PLAIN) -> list[Elected]:
    """Whom plain Raft elects when draws decide, on a seed's links."""
    links, found = round_trips(inputs, [seed], range(1, inputs.nodes + 1)).tolist(), []
    for number in range(elections):
        settings = pace(APART_MS, inputs.timeout_us // US_PER_MS)
        cluster = Cluster([1] * inputs.nodes, links, seed * elections + number, settings)
        cluster.stand_in_vain(SILENCE_US)
        election = cluster.elect()
        found.append(Elected(seed, number, election.leader, election.took_us, election.terms))
    return found


def cases(seed: int, inputs: Inputs = PAPER, after: tuple[int, ...] = AFTER) -> list[Case]:
    """Every situation with the weights of some rounds of a seed, under scenario 1."""
    played = play(inputs, [seed], [1])
    links = round_trips(inputs, [seed], range(1, inputs.nodes + 1))
    found = []
    for rounds in after:
        trial = _Trial(inputs, seed, rounds, played.weights[0, 0, rounds - 1].tolist(), links.tolist())
        found += [trial.apart("apart"), *trial.crashes(), trial.paper()]
    return [*found, _Trial(inputs, seed, 0, [1] * inputs.nodes, links.tolist()).apart("equal")]


class _Trial:
    """One seed's weights of a round, and its links."""

    def __init__(self, inputs: Inputs, seed: int, after: int, weights: list[int], links: list[list[int]]) -> None:
        self.inputs, self.seed, self.after, self.weights, self.links = inputs, seed, after, weights, links

    def _cluster(self, step_ms: int) -> Cluster:
        return Cluster(self.weights, self.links, self.seed, pace(step_ms, self.inputs.timeout_us // US_PER_MS))

    def _rank(self, without: int = 0) -> int:
        return ranked_first(-1 if node == without else weight for node, weight in enumerate(self.weights, start=1))

    def _case(self, situation: str, ranked: int, cluster: Cluster) -> Case:
        """Has the cluster elect somebody and decide an entry; who is cut off answers nobody in the fast path either."""
        election = cluster.elect()
        cluster.settle()
        commit = cluster.commit(election.leader)
        links = np.array([self.links[election.leader - 1]], dtype=np.int64)
        for node in cluster.cut:
            links[0, node - 1] = 1 << 40
        at = np.array([election.leader - 1])
        decided = Order(links, at).decide(np.array([self.weights], dtype=np.int64))
        order = np.lexsort((np.arange(links.size), links[0]))
        valid = tuple(int(place) + 1 for place in order if decided.valid[0, place])
        return Case(
            situation,
            self.seed,
            self.after,
            ranked,
            election.leader,
            election.took_us,
            election.terms,
            election.stood,
            int(decided.weighted_us[0]),
            commit.took_us,
            valid == commit.valid,
            tuple(node for node in valid if self.weights[node - 1]) == commit.valid,
        )

    def apart(self, situation: str) -> Case:
        return self._case(situation, self._rank(), self._cluster(APART_MS))

    def crashes(self) -> list[Case]:
        found = []
        for situation in ("crash", "behind"):
            cluster = self._cluster(APART_MS)
            first = cluster.elect().leader
            cluster.settle()
            second = self._rank(without=first)
            if situation == "behind":
                cluster.cut = {second}
            cluster.commit(first)
            cluster.settle()
            cluster.cut = {first}
            found.append(self._case(situation, second, cluster))
        return found

    def paper(self) -> Case:
        return self._case("paper", self._rank(), self._cluster(self.inputs.step_us // US_PER_MS))
