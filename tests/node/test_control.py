"""What a node's operator asks it for, over its control socket."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.node.live import Village, run, until
from wattquorum.consensus.raft.engine import Raft
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.node.control import SOCKET, Control, ask


@asynccontextmanager
async def controlled(village: Village) -> AsyncIterator[None]:
    async with village.running() as nodes:
        controls = [Control(node) for node in nodes.values()]
        for control in controls:
            await control.start()
        try:
            yield
        finally:
            for control in controls:
                await control.stop()


async def asked(village: Village, number: int, **request: Any) -> dict[str, Any]:
    return await asyncio.to_thread(ask, village.folder / f"node-{number}", request, 20.0)


def test_leadership_goes_where_the_operator_wants_it(tmp_path: Path) -> None:
    village = Village(tmp_path)

    async def story() -> None:
        async with controlled(village):
            leader = await village.leader()
            to = village.addresses[(leader + 1) % 3].hex()
            with pytest.raises(Refused, match="not_ordering") as refused:
                await asked(village, (leader + 1) % 3, do="transfer", to=to)
            assert village.addresses[leader].hex() in refused.value.remedy
            for wrong in (village.addresses[leader].hex(), "00" * 20):
                with pytest.raises(Refused, match="input_unexpected"):
                    await asked(village, leader, do="transfer", to=wrong)
            for unread in ("zz", 5, "00"):
                with pytest.raises(Refused, match="encoding_unreadable"):
                    await asked(village, leader, do="transfer", to=unread)
            told = await asked(village, leader, do="transfer", to=to)
            assert told["leader"] == to
            await until(lambda: all(node.engine.leader.hex() == to for node in village.nodes.values()))
            assert (await asked(village, leader, do="status"))["leader"] == to
            back = await asked(village, (leader + 1) % 3, do="transfer", to=None)
            assert back["leader"] != to

    run(story())


def test_who_was_elected_just_now_hands_on_once_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    village = Village(tmp_path)

    async def story() -> None:
        async with controlled(village):
            leader, transfer = await village.leader(), Raft.transfer
            waited: list[bytes] = []

            def at_first_not(engine: Raft, to: bytes, now: Millis) -> None:
                if len(waited) < 3:
                    waited.append(to)
                    raise Refused("undecided", "configuration", 0)
                transfer(engine, to, now)

            with monkeypatch.context() as patched:
                patched.setattr(Raft, "transfer", at_first_not)
                told = await asked(village, leader, do="transfer", to=None)
            assert len(waited) == 3
            assert told["leader"] == waited[0].hex()

    run(story())


def test_only_the_nodes_user_can_ask_and_nonsense_is_refused(tmp_path: Path) -> None:
    village = Village(tmp_path)

    def said(line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(20)
            asking.connect(str(path))
            asking.sendall(line)
            return asking.makefile("rb").readline()

    path = tmp_path / "node-0" / SOCKET

    async def story() -> None:
        async with controlled(village):
            await village.leader()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            for line in (
                b"\n",
                b"[]\n",
                b"{\n",
                b"\xff\xfe\n",
                b'{"do": []}\n',
                b'{"do": "explode"}\n',
                b"[" * 9_999 + b"\n",
            ):
                assert b"request_unreadable" in await asyncio.to_thread(said, line), line
            assert b"request_unreadable" in await asyncio.to_thread(said, b"x" * 70_000 + b"\n")
            assert (await asked(village, 0, do="status"))["replica"] == village.addresses[0].hex()
        with pytest.raises(Refused, match="node_stopped"):
            await asked(village, 0, do="status")

    run(story())


def test_a_socket_that_a_killed_process_left_is_replaced_also_under_a_long_path(tmp_path: Path) -> None:
    village = Village(tmp_path / ("long" * 30))

    async def story() -> None:
        async with village.running(0, 1) as nodes:
            for _ in range(2):  # the first is never stopped
                control = Control(nodes[0])
                await control.start()
                assert (await asked(village, 0, do="status"))["height"] >= 0
            await control.stop()

    run(story())
