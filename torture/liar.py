"""Runs a node that lies: `python -m torture.liar SEED WAYS node run --config FILE`.

It is the node that ships, with its keys, its log and its transport; what its engine says is changed on its way out, in
ways that the seed draws (`wattquorum.simulation.liars`), or in those that are named, with commas between. It executes
what is decided like everybody and serves its interface honestly, so that clients may be sent to it; what it is
entrusted with for others it may lose.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.api import service
from wattquorum.cli.app import DISK
from wattquorum.cli.logs import Form, writer
from wattquorum.consensus.bft.blocks import Block
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.messages import PHASES, BftMessage, Vote, to_frame
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.identities import SigningKey, Verifier
from wattquorum.foundation.refusals import Refused
from wattquorum.node.config import load
from wattquorum.node.node import Node, NodeConfig
from wattquorum.node.verification import threads
from wattquorum.replica.agreeing import Outliner
from wattquorum.replica.pool import Limits
from wattquorum.replica.replica import Kind, engine_frame, read_frame
from wattquorum.simulation.liars import LIES, Conspiracy, Liar, Lie, Said, another, drawn, lied

NO_BLOCK: Final = bytes(31) + b"\x07"


class Member(NamedTuple):
    """A liar as liars know each other."""

    key: SigningKey
    address: bytes
    engine: Bft


def contradicts(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Signs beside each of its votes the same for a block that there is not: whoever gets both can prove it."""
    said = [(to, frame)]
    if isinstance(message, Vote):
        other = them.vote(host, PHASES[message.phase], message.height, message.view, NO_BLOCK)
        said.append((to, to_frame(other)))
    return said


BY_NAME: Final = {lie.__name__: lie for lie in (contradicts, *LIES)}


def lies_of(chance: Chance) -> tuple[Lie, ...]:
    """How a seed lies; half of them can be proven to."""
    return (contradicts, *drawn(chance)) if chance.happens(500_000) else drawn(chance)


class LyingNode(Node):
    """A node whose engine's messages are changed before they are sent."""

    def __init__(self, config: NodeConfig, verify: Verifier, seed: int, ways: Sequence[str] = ()) -> None:
        super().__init__(config, verify)
        assert isinstance(self.engine, Bft)
        chance = Chance(seed).stream("live liar")
        self._lies = tuple(BY_NAME[way] for way in ways) or lies_of(chance)

        def other(_liar: bytes, block: Block, kind: int) -> Block:
            return another(config.key, self.replica.ledger, verify, block, kind)

        self._them = Conspiracy(self.chain_id, chance, verify, Outliner(Limits()), other)
        self._me = Member(config.key, self.address, self.engine)
        self._them.liars = [self._me]
        self._them.later = self._say_later

    @property
    def ways(self) -> list[str]:
        """How it lies."""
        return [lie.__name__ for lie in self._lies]

    def _send(self, to: bytes, frame: bytes) -> None:
        kind, data = read_frame(frame)
        if kind is not Kind.ENGINE:
            if self._them.chance.happens(500_000):
                super()._send(to, frame)
            return
        self._them.now = int(self.clock.read())
        for target, each in lied(self._lies, self._them, self._me, to, data):
            super()._send(target, engine_frame(each))

    def _on_messages(self, sender: bytes, messages: Sequence[bytes]) -> None:
        for message in messages:
            try:
                kind, data = read_frame(message[1:])
            except Refused:
                continue
            if kind is Kind.ENGINE:
                self._them.hear(data)
        super()._on_messages(sender, messages)

    def _say_later(self, _liar: Liar, to: bytes, data: bytes, wait_ms: int) -> None:
        asyncio.get_running_loop().call_later(wait_ms / 1_000, super()._send, to, engine_frame(data))


def main() -> None:
    """The command."""
    seed, config = int(sys.argv[1]), Path(sys.argv[sys.argv.index("--config") + 1])
    ways = [way for way in sys.argv[2].split(",") if way]
    loaded, api = load(config)
    say = writer(Form.JSON)

    def made(config: NodeConfig, verify: Verifier) -> Node:
        node = LyingNode(config, verify, seed, ways)
        say("lies", ways=node.ways)
        return node

    try:
        with threads() as verify:
            service.run(loaded, api, verify, say, made)
    except Refused as refused:  # a full disk, say: told as the command tells it
        print(f"refused: {refused}", file=sys.stderr)
        sys.exit(DISK)


if __name__ == "__main__":
    main()
