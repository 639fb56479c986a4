"""The transport over real sockets: what arrives, what is dropped, and who is turned away for which reason."""

from __future__ import annotations

import pytest

from tests.node.communities import Community, Node, address, running, started, until

A, B, C = address(1), address(2), address(3)


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Community:
    return Community(tmp_path_factory.mktemp("village"))


def test_messages_arrive_in_order_from_whom_they_are(village: Community) -> None:
    async def main() -> None:
        a, b, c = (Node(who, village.contexts(who)) for who in (A, B, C))
        async with started(a, b, c):
            for number in range(100):
                a.transport.send(B, b"a%d" % number)
                c.transport.send(B, b"c%d" % number)
            await until(lambda: len(b.came) == 200)
            assert [data for sender, data in b.came if sender == A] == [b"a%d" % number for number in range(100)]
            assert [data for sender, data in b.came if sender == C] == [b"c%d" % number for number in range(100)]

    running(main)
