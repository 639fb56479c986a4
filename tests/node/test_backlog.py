"""A node with a long backlog executes it in parts, and looks after everything else in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.live import Village, run, until
from wattquorum.consensus.engine import Durable, Message
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.node.runtime import Runtime
from wattquorum.node.steady_clock import SteadyClock
from wattquorum.node.wal import Wal
from wattquorum.replica import replica as replica_module
from wattquorum.replica.replica import Replica, Work

PBFT = 2


@pytest.mark.parametrize("parameters", [{}, {"consensus": PBFT}])
def test_a_backlog_is_executed_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, int]
) -> None:
    drains: list[int] = []
    drain = Replica.drain

    def counted(replica: Replica, now: Millis) -> Work:
        work = drain(replica, now)
        drains.append(len(work.finished))
        return work

    async def story() -> None:
        village = Village(tmp_path, 4 if parameters else 1, parameters)
        async with village.running():
            await village.leader()
            for _ in range(12):
                await village.nodes[0].submit(village.deposit())
            await until(lambda: village.all_have(60))
        monkeypatch.setattr(replica_module, "EXECUTED_BYTES_MAX", 1)
        monkeypatch.setattr(Replica, "drain", counted)
        async with village.running():
            await village.leader()
            await village.nodes[0].submit(village.deposit())
            await until(lambda: village.all_have(65))

    run(story())
    assert max(drains) == 1
    assert sum(drains) >= 13


class Faulty:
    """Something to drive that fails once its record is durable."""

    def __init__(self) -> None:
        self.records: tuple[Durable, ...] = (Durable(1, b"record"),)

    def receive(self, sender: bytes, frame: bytes, now: Millis) -> None:
        raise NotImplementedError

    def turn(self, now: Millis) -> None:
        """Nothing."""

    def persisted(self, position: int, _now: Millis) -> None:
        raise Refused("diverged", "position", position)

    def drain(self, _now: Millis) -> Work:
        records, self.records = self.records, ()
        return Work(records, tuple[Message](), (), (), (), None)


def test_whatever_a_sync_ends_with_the_node_says_why_it_takes_part_no_more(tmp_path: Path) -> None:
    async def story() -> None:
        told: list[Refused] = []
        with Wal(tmp_path, bytes(16), segment_bytes=1 << 12) as wal:
            runtime = Runtime(Faulty(), wal, SteadyClock(), lambda _to, _frame: None, lambda _work: None, told.append)
            runtime.start()
            await until(lambda: told)
            await runtime.stop()
        assert runtime.halted is told[0]
        assert told[0].code == "diverged"

    run(story())
