"""A replica over Raft when another leads: what it had reserved for a block that may never come is not lost."""

from __future__ import annotations

from tests.ledger.world import World
from wattquorum.consensus.configuration import alone
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.consensus.raft.messages import Append, to_frame
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import address_of, verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.transactions import WithdrawMoney
from wattquorum.replica.replica import Frame, Kind, Replica, read_frame

OTHER = b"o" * 20


def test_what_was_reserved_for_a_block_goes_to_the_next_leader() -> None:
    world = World()
    world.member("a", Side.BUY)
    ledger = Ledger(world.genesis_bytes)
    for entry in world.entries:
        ledger.execute(entry, verify_each)
    me = address_of(ledger.chain_id, world.proposer.public)
    now = Millis(world.now + 10)
    engine = Raft(me, alone(me), [], 1, now)
    replica = Replica(engine, ledger, world.proposer, verify_each)
    now = Millis(replica.drain(now).deadline or 0)
    replica.turn(now)
    for _ in range(2):  # its own vote, and the first entry of its term
        replica.persisted(replica.drain(now).records[-1].position, now)
    assert engine.role is Role.LEADER
    assert replica.accept(world.signed("a", WithdrawMoney(1)), None, now) is None
    replica.turn(now)
    assert replica.drain(now).records  # the block that it is reserved for; its disk is slow

    replica.receive(OTHER, encode(Frame(Kind.ENGINE, to_frame(Append(5, 1, 0, 0, 0, ())))), now)
    sent = [read_frame(message.data)[0] for message in replica.drain(now).messages if message.to == OTHER]
    assert Kind.TRANSACTIONS in sent
