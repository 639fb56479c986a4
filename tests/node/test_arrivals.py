"""Who may wait at a node's door, and who has to go for whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.node.arrivals import Arrivals

STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "begin", "leave"]), st.integers(0, 30), st.sampled_from("abcd"), st.booleans()),
    max_size=120,
)


@given(STEPS, st.integers(1, 6), st.integers(1, 4))
def test_whoever_comes_is_in_and_the_oldest_of_the_host_with_most_in_its_room_goes(
    steps: list[tuple[str, int, str, bool]], most: int, per_host: int
) -> None:
    arrivals: Arrivals[int] = Arrivals(most, per_host)
    waiting: dict[int, tuple[str, bool, bool]] = {}  # host, known, begun; the longest in its room first
    for what, who, host, known in steps:
        if what == "leave":
            arrivals.leave(who)
            waiting.pop(who, None)
        elif what == "come" and who not in waiting:
            waiting[who] = (host, known, False)
            check(arrivals.come(who, host, known=known), who, waiting, most, per_host)
        elif what == "begin" and who in waiting and not waiting[who][2]:
            host, known, _ = waiting.pop(who)
            waiting[who] = (host, known, True)
            check(arrivals.begin(who), who, waiting, most, per_host)
        elif what == "begin" and who not in waiting:
            assert arrivals.begin(who) is None
        assert len(arrivals) == len(waiting)


def check(gone: int | None, who: int, waiting: dict[int, tuple[str, bool, bool]], most: int, per_host: int) -> None:
    """Whether the right one goes for this one; it waits no more."""
    host, *room = waiting[who]
    of_host: dict[str, list[int]] = {}
    for each, (its, *its_room) in waiting.items():
        if its_room == room:
            of_host.setdefault(its, []).append(each)
    too_many = sum(map(len, of_host.values())) > most
    if not too_many and len(of_host[host]) <= per_host:
        assert gone is None
        return
    assert gone is not None
    assert gone != who
    if too_many:
        fullest = max(map(len, of_host.values()))
        assert gone in [those[0] for those in of_host.values() if len(those) == fullest]
    else:
        assert gone == of_host[host][0]
    del waiting[gone]


def test_a_peer_is_in_while_strangers_of_many_hosts_come_and_come() -> None:
    arrivals: Arrivals[object] = Arrivals(8, 4)
    peer = "the peer"
    assert arrivals.come(peer, "10.0.0.1", known=True) is None
    for number in range(1_000):
        assert arrivals.come(number, f"10.1.{number % 100}.1", known=False) != peer
        assert arrivals.begin(number) != peer
    assert arrivals.begin(peer) is None
    assert len(arrivals) == 9
