"""The archive puts in what it missed, and only what belongs there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.small_chain import small_chain, stored
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.refusals import Refused
from wattquorum.node.archive import ANSWER_BYTES_MAX, Archive, Missing, Stored
from wattquorum.node.block_log import Position
from wattquorum.node.chain_folder import ChainFolder

BLOCKS = small_chain().blocks
LAST = len(BLOCKS)


def archive(tmp_path: Path, blocks: int) -> Archive:
    return Archive(ChainFolder(stored(tmp_path / f"chain-{blocks}", blocks=blocks, signed=False), writing=True))


def answered(peer: Archive, request: bytes) -> bytes:
    found = peer.answer(b"asks", request)
    assert found is not None
    return found.result()


def answer(first: int, last: int) -> bytes:
    return encode([Stored(each.data, each.rows) for each in BLOCKS[first - 1 : last]])


def test_blocks_that_follow_are_written_and_those_it_has_are_passed_over(tmp_path: Path) -> None:
    kept = archive(tmp_path, 3)
    for executed in BLOCKS:
        kept.add(executed)
        kept.write()
    kept.flush()
    assert (kept.height, kept.missing) == (LAST, None)
    kept.close(None)
    with ChainFolder(tmp_path / "chain-3") as folder:
        assert [data for _, data in folder.read()] == [each.data for each in BLOCKS]


def test_another_block_at_its_tip_is_a_reason_to_stop(tmp_path: Path) -> None:
    kept = archive(tmp_path, 3)
    block = BLOCKS[2].block
    other = BLOCKS[2]._replace(block=changed(block, header=changed(block.header, time_ms=block.header.time_ms + 1)))
    with pytest.raises(Refused) as refused:
        kept.add(other)
    assert refused.value.code == "diverged"
    kept.close(None)


def test_what_it_missed_is_asked_for_and_put_in_before_what_follows(tmp_path: Path) -> None:
    kept, peer = archive(tmp_path, 2), archive(tmp_path, LAST)
    kept.add(BLOCKS[-1])
    kept.write()
    assert kept.missing == Missing(3, LAST - 1)
    kept.fill(answered(peer, kept.request()))
    kept.fill(answered(peer, kept.request() or encode([3, LAST - 1])))  # the same again changes nothing
    kept.flush()
    assert kept.height == LAST
    assert kept.request() == b""
    for each in (kept, peer):
        each.close(None)


@pytest.mark.parametrize("wrong", ["another", "gap", "rubbish"])
def test_blocks_that_do_not_follow_are_refused_and_change_nothing(tmp_path: Path, wrong: str) -> None:
    kept = archive(tmp_path, 2)
    kept.add(BLOCKS[-1])
    block = BLOCKS[2].block
    forged = encode(changed(block, header=changed(block.header, time_ms=block.header.time_ms + 1)))
    given = {
        "another": encode([Stored(forged, ()), *(Stored(each.data, each.rows) for each in BLOCKS[3:-1])]),
        "gap": answer(4, LAST - 1),
        "rubbish": b"\xc1",
    }[wrong]
    with pytest.raises(Refused):
        kept.fill(given)
    assert kept.height == 2
    kept.fill(answer(3, LAST - 1))
    kept.flush()
    assert kept.height == LAST
    kept.close(None)


def test_an_answer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ANSWER_BYTES_MAX < 1 << 26
    monkeypatch.setattr("wattquorum.node.archive.ANSWER_BYTES_MAX", 10)
    kept, peer = archive(tmp_path, 2), archive(tmp_path, LAST)
    kept.add(BLOCKS[-1])
    rounds = 0
    while kept.missing is not None:
        kept.fill(answered(peer, kept.request()))
        try:
            kept.flush()
        finally:
            rounds += 1
    assert rounds == (LAST - 3) // 2  # two at a time, of which one proves the other
    for each in (kept, peer):
        each.close(None)


def test_a_peer_is_answered_once_at_a_time_however_often_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, go_on = archive(tmp_path, LAST), threading.Event()
    read = ChainFolder.read

    def waits(folder: ChainFolder, first: int = 1) -> Iterator[tuple[Position, bytes]]:
        go_on.wait()
        return read(folder, first)

    monkeypatch.setattr(ChainFolder, "read", waits)
    request = encode([1, LAST])
    first = kept.answer(b"a", request)
    assert first is not None
    assert [kept.answer(b"a", request) for _ in range(100)] == [None] * 100
    other = kept.answer(b"b", request)
    assert other is not None
    go_on.set()
    assert first.result() == other.result() == answer(1, LAST)
    assert kept.answer(b"a", request) is not None
    kept.close(None)
