"""The joint step on the real engine: what a change of votes takes, and whether anybody waits for it.

Thirty of the product's Raft engines stand at the links of a seed (`lab.paper.engines`). They elect a leader under the
votes of one round, and then all are told the votes of the next one, as a ledger would tell them; in the same moment the
leader proposes a payload. The joint entry, the payload and the entry of the new votes alone are timed, and a payload
before and after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.beyond.saving import US_PER_MS
from wattquorum.lab.beyond.scenario import SCENARIO, inputs_of, lasts_ms
from wattquorum.lab.beyond.tolerance import TOLERANCE, fits, powers_of
from wattquorum.lab.paper.engines import END_US, PAYLOAD, Cluster, address, pace
from wattquorum.lab.paper.rounds import round_trips, rounds
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Number, Parameter, Values

APART_MS: Final = 100  # of a step between ranks: above what an election's frames take
NAMES: Final = ("rounds", "leader", "jitter")  # of the scenario: who leads is elected, and links are static


class Changing(Cluster):
    """A cluster whose votes change once."""

    def change(self, leader: int, powers: Sequence[int]) -> tuple[int, int, int]:
        """Tells everybody the next votes and proposes a payload: until that is decided, until the change is [us], and
        entries in all.
        """
        begun, engine = self.now_us, self._engines[leader]
        before = engine.log.last
        voters = tuple(Voter(address(node), power) for node, power in enumerate(powers, start=1))
        for each in self._engines.values():
            each.reconfigure(Configuration(1, None, voters, (), 0, b""), self._now)
        joint = engine.log.configuration.old is not None
        engine.propose([PAYLOAD], self._now)
        index = engine.log.last
        for node in self._engines:
            self._step(node)
        self._run(lambda: self._changed(leader), begun + END_US)
        if not joint or not self._changed(leader):
            raise Refused("input_unexpected", "powers", "the next ones", "The change did not come to its end.")
        return self._decided[index][0] - begun, self.now_us - begun, engine.log.last - before

    def _changed(self, leader: int) -> bool:
        engine = self._engines[leader]
        effective = engine.log.configuration
        return effective.version == 1 and effective.old is None and engine.commit == engine.log.last


def _play(values: Values, luck: int) -> Mapping[str, Number]:
    inputs, tolerance = inputs_of({**values, "rounds": values["after"] + 1}), values["tolerance"]
    vectors = [powers_of(each.weights[0].tolist(), tolerance) for each in rounds(inputs, [luck], [1])]
    links = round_trips(inputs, [luck], range(1, inputs.nodes + 1)).tolist()
    cluster = Changing(vectors[-2], links, luck, pace(APART_MS, inputs.timeout_us // US_PER_MS))
    leader = cluster.elect().leader
    cluster.settle()
    before = cluster.commit(leader).took_us
    cluster.settle()
    during, whole, entries = cluster.change(leader, vectors[-1])
    cluster.settle()
    return {
        "before": before / US_PER_MS,
        "during": during / US_PER_MS,
        "after_ms": cluster.commit(leader).took_us / US_PER_MS,
        "whole": whole / US_PER_MS,
        "entries": entries - 1,
    }


STEPPING: Final = Experiment(
    "joint-step",
    "What a change of votes by a joint entry takes on the product's Raft engines, and whether a payload waits for it.",
    (
        Parameter("after", "rounds", "rounds after which votes change to those of the next one", 100, 1, 10_000),
        TOLERANCE,
        *(each for each in SCENARIO if each.name not in NAMES),
    ),
    (
        Measure("before", "ms", "a payload before the change"),
        Measure("during", "ms", "a payload proposed with the joint entry"),
        Measure("after_ms", "ms", "a payload after the change"),
        Measure("whole", "ms", "the change, until the new votes count alone"),
        Measure("entries", "", "entries of the change", whole=True),
    ),
    _play,
    lambda values: lasts_ms({**values, "rounds": values["after"]}) + values["pairs"] ** 2 * 0.5,
    fits,
)
