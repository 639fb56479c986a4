"""Worlds in which states are taken over all the time, while everything fails and liars say false things of states.

python -m tests.simulation.state_worlds 0:100 [--agents] [--bystanders]

With `--bystanders` agents are elected too, and most of those who do not agree lie, as in worlds of chaos.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from wattquorum.consensus.bft.engine import Bft
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import encode
from wattquorum.ledger.execution import Ledger
from wattquorum.replica.replica import Kind, Work, framed, read_frame
from wattquorum.replica.states import decode_state_message
from wattquorum.simulation.bft_world import BftNature, BftWorld
from wattquorum.simulation.chaos import among_liars, bft_nature_of, elected
from wattquorum.simulation.host import Host
from wattquorum.simulation.state_lies import STATE_LIES
from wattquorum.simulation.world import World

KEPT = 6  # blocks that a forgetful host can give


class StateWorld(BftWorld):
    """Epochs are short and replicas soon too far behind; those are counted that took a state over.

    Half of the hosts forget old blocks, as where rows were deleted, and can give them no more.
    """

    def __init__(self, seed: int, nature: BftNature) -> None:
        super().__init__(seed, nature)
        self.taken = 0
        self.lied = 0
        self._lying = Chance(seed).stream("lies about states")
        self._known: dict[int, Ledger] = {}
        self._forgotten: dict[int, bytes] = {}
        self._judged = False

    def _send(self, host: Host[Bft], to: bytes, frame: bytes) -> None:
        kind, data = read_frame(frame)
        if kind is not Kind.STATE or host.number not in self._lies:
            super()._send(host, to, frame)
            return
        message = self._lying.pick(STATE_LIES)(decode_state_message(data))
        self.lied += message is None or encode(message) != data
        if message is not None:
            for number in self._by_address[to]:
                self._carry(host.number, number, framed(Kind.STATE, encode(message)))

    def _engine_did(self, host: Host[Bft], work: Work) -> None:
        super()._engine_did(host, work)
        assert host.replica is not None
        ledger = host.replica.ledger
        known = self._known.setdefault(host.number, ledger)
        self.taken += known is not ledger and self._is_judged(host)
        self._known[host.number] = ledger
        blocks = self.plan.folders[host.address].blocks
        if host.number % 2 and not self._judged:
            for height in [height for height in blocks if height <= ledger.height - KEPT]:
                self._forgotten[height] = blocks.pop(height)

    def _progress(self) -> None:
        """As in every world; the judge executes the chain again, with what was forgotten."""
        World._progress(self)
        self._judged = True
        for folder in self.plan.folders.values():
            folder.blocks = {**self._forgotten, **folder.blocks}
        super()._progress()

    def _started(self, host: Host[Bft]) -> None:
        super()._started(host)
        self._known.pop(host.number, None)  # the first drain tells where its disk let it begin


def nature_of(seed: int, *, agents: bool = False, bystanders: bool = False) -> BftNature:
    """The world that a seed draws."""
    nature = bft_nature_of(seed, 0)
    chance = Chance(seed).stream("states")
    nature = replace(
        nature,
        settings=replace(nature.settings, behind_max=chance.pick((1, 2, 4))),
        parameters={**nature.parameters, "epoch_ms": 1_000},
        tick_ms=200,
    )
    if bystanders:
        return among_liars(seed, elected(seed, nature))
    return elected(seed, nature) if agents else nature


def main() -> int:
    first, _, last = sys.argv[1].partition(":")
    broken = taken = lied = 0
    for seed in range(int(first), int(last)):
        world = StateWorld(seed, nature_of(seed, agents="--agents" in sys.argv, bystanders="--bystanders" in sys.argv))
        outcome = world.run()
        taken, lied = taken + world.taken, lied + world.lied
        if outcome.breach is not None:
            broken += 1
            print(seed, outcome.breach.invariant, outcome.breach.found, flush=True)
    print(f"{broken} broken, {taken} states taken over, {lied} lies about them")
    return broken


if __name__ == "__main__":
    raise SystemExit(main())
