"""The block log reads from where it was asked to, wherever that is, and not all that stands before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.identities import CHAIN_ID_BYTES
from wattquorum.foundation.refusals import Refused
from wattquorum.node.block_log import MARKED, BlockLog, Torn
from wattquorum.node.chain_files import segment_name
from wattquorum.replica.log_format import FRAME_HEAD_BYTES, SEGMENT_HEAD_BYTES

CHAIN_ID = bytes(CHAIN_ID_BYTES)
SEGMENT_BYTES = 12_000


def opened(folder: Path, segment_bytes: int = SEGMENT_BYTES) -> BlockLog:
    """The log as a node opens it."""
    log = BlockLog(folder, CHAIN_ID, sorted(path.name for path in folder.iterdir()), segment_bytes)
    torn = None
    for item in log.walk():
        torn = item if isinstance(item, Torn) else None
    log.begin_writing(torn)
    return log


def block(height: int) -> bytes:
    return height.to_bytes(4, "big") * (1 + height % 5)


def read(log: BlockLog, first: int) -> list[tuple[int, bytes]]:
    found = []
    for item in log.walk(first):
        assert not isinstance(item, Torn)
        found.append((item[0].height, item[1]))
    return found


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6), st.data())
def test_reading_from_a_height_is_the_rest_of_reading_all(
    tmp_path_factory: pytest.TempPathFactory, batches: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log, height = opened(folder), 0
    for count in batches:
        if data.draw(st.booleans()):
            log.close()
            log = opened(folder)
        log.append(height + 1, [block(height + 1 + each) for each in range(count)])
        height += count
    for first in {1, height, *data.draw(st.lists(st.integers(1, height), max_size=5))}:
        assert read(log, first) == [(each, block(each)) for each in range(first, height + 1)]
    log.close()


def test_what_stands_before_is_not_read_again(tmp_path: Path) -> None:
    log = opened(tmp_path, 1 << 20)
    for batch in range(4):
        log.append(batch * MARKED + 1, [block(batch * MARKED + 1 + each) for each in range(MARKED)])
    for _ in range(2):  # what was written, and what was found when it was opened
        assert len(read(log, 3 * MARKED)) == MARKED + 1
        log.close()
        log = opened(tmp_path, 1 << 20)
    with (tmp_path / segment_name(1)).open("r+b") as segment:
        segment.seek(SEGMENT_HEAD_BYTES + FRAME_HEAD_BYTES)
        segment.write(b"x")
    assert len(read(log, 3 * MARKED)) == MARKED + 1
    with pytest.raises(Refused) as refused:
        read(log, 1)
    assert refused.value.code == "chain_altered"
    log.close()
