"""Segments of the block log: whole frames come back, torn tails are told from damage, and every byte counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.replica.log_format import (
    FRAME_HEAD_BYTES,
    MARK,
    SEGMENT_HEAD_BYTES,
    Fault,
    Frame,
    framed,
    frames,
    head_fault,
    segment_head,
)

CHAIN = bytes(range(16))
BLOCKS = st.binary(max_size=60) | st.binary(max_size=20).map(lambda data: data + MARK + data)
BATCHES = st.lists(st.lists(BLOCKS, min_size=1, max_size=4), max_size=5)
FIRST = st.sampled_from([1, 2, 1_000, 2**40])


def segment(first: int, batches: list[list[bytes]]) -> bytes:
    data, height = segment_head(CHAIN, first), first
    for batch in batches:
        data += framed(first, len(data), height, batch)
        height += len(batch)
    return data


def read(data: bytes, first: int) -> tuple[list[bytes], Fault | None]:
    found = list(frames(data, first))
    whole = [each for each in found if isinstance(each, Frame)]
    faults = [each for each in found if isinstance(each, Fault)]
    assert found == [*whole, *faults[:1]], "a fault ends it"
    assert [each.height for each in whole] == list(range(first, first + len(whole)))
    return [data[each.data_start : each.end] for each in whole], next(iter(faults), None)


def flat(batches: list[list[bytes]]) -> list[bytes]:
    return [block for batch in batches for block in batch]


@given(FIRST, BATCHES)
def test_what_was_framed_is_read_back(first: int, batches: list[list[bytes]]) -> None:
    data = segment(first, batches)
    assert head_fault(data, CHAIN, first) == ""
    assert read(data, first) == (flat(batches), None)


@given(FIRST, BATCHES, st.data())
def test_a_segment_that_was_cut_anywhere_keeps_its_whole_blocks_and_has_a_torn_tail(
    first: int, batches: list[list[bytes]], draw: st.DataObject
) -> None:
    data = segment(first, batches)
    cut = draw.draw(st.integers(SEGMENT_HEAD_BYTES, len(data)))
    blocks, fault = read(data[:cut], first)
    assert blocks == flat(batches)[: len(blocks)]
    ends = [each.end for each in frames(data, first) if isinstance(each, Frame)]
    assert len(blocks) == sum(end <= cut for end in ends)
    if cut in (SEGMENT_HEAD_BYTES, *ends):
        assert fault is None
    else:
        assert fault is not None
        assert fault.torn


@given(FIRST, BATCHES, st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4), st.data())
def test_whatever_a_crash_leaves_of_the_last_batch_the_batches_before_it_are_whole(
    first: int, durable: list[list[bytes]], last: list[bytes], draw: st.DataObject
) -> None:
    before = segment(first, durable)
    written = framed(first, len(before), first + len(flat(durable)), last)
    # Of an un-synced write any sector may be missing, and the file may be shorter than it was meant to be.
    sectors = [written[at : at + 16] for at in range(0, len(written), 16)]
    kept = draw.draw(st.lists(st.booleans(), min_size=len(sectors), max_size=len(sectors)))
    left = b"".join(part if keep else bytes(len(part)) for part, keep in zip(sectors, kept, strict=True))
    left = left[: draw.draw(st.integers(0, len(left)))]
    blocks, fault = read(before + left, first)
    whole = flat(durable)
    assert blocks[: len(whole)] == whole
    assert blocks[len(whole) :] == last[: len(blocks) - len(whole)]
    assert fault is None or fault.torn


@given(FIRST, st.lists(st.lists(BLOCKS, min_size=1, max_size=3), min_size=2, max_size=5), st.data())
def test_a_flipped_byte_before_the_last_batch_is_damage_and_named_by_its_block(
    first: int, batches: list[list[bytes]], draw: st.DataObject
) -> None:
    data = bytearray(segment(first, batches))
    whole = [each for each in frames(bytes(data), first) if isinstance(each, Frame)]
    last_batch = whole[-len(batches[-1])].start
    at = draw.draw(st.integers(SEGMENT_HEAD_BYTES, last_batch - 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    _, fault = read(bytes(data), first)
    assert fault is not None
    assert not fault.torn
    hit = next(each for each in whole if each.start <= at < each.end)
    assert (fault.offset, fault.height) == (hit.start, hit.height)


def test_every_single_flipped_bit_of_a_segment_is_found() -> None:
    data = segment(7, [[b"one", b"two"], [b"", b"three"]])
    blocks = read(data, 7)[0]
    for at in range(len(data)):
        for bit in range(8):
            bad = bytearray(data)
            bad[at] ^= 1 << bit
            if at < SEGMENT_HEAD_BYTES:
                assert head_fault(bytes(bad), CHAIN, 7) != ""
            else:
                found, fault = read(bytes(bad), 7)
                assert fault is not None
                assert found == blocks[: len(found)]


def test_a_damaged_length_does_not_cut_off_what_follows() -> None:
    data = bytearray(segment(1, [[b"first"], [b"second"], [b"third"]]))
    data[SEGMENT_HEAD_BYTES + len(MARK)] = 0x7F  # the first block claims to reach far beyond the end
    blocks, fault = read(bytes(data), 1)
    assert blocks == []
    assert fault == Fault(SEGMENT_HEAD_BYTES, 1, "the head of its frame is damaged", torn=False)


def test_a_frame_at_another_place_is_no_frame() -> None:
    whole = segment(1, [[b"first"], [b"second"]])
    one, two = (whole[each.start : each.end] for each in frames(whole, 1) if isinstance(each, Frame))
    blocks, fault = read(segment_head(CHAIN, 1) + two + one, 1)
    assert blocks == []
    assert fault is not None


def test_a_frame_inside_a_block_does_not_make_a_torn_tail_look_like_damage() -> None:
    # A sender that puts a frame of a later batch into a transaction would otherwise keep a node from restarting.
    forged = framed(1, 0, 99, [b"x"])
    data = segment(1, [[b"first"], [b"before" + forged + b"after"]])
    _, fault = read(data[:-1], 1)
    assert fault is not None
    assert fault.torn


def test_a_whole_frame_that_names_an_impossible_batch_is_damage() -> None:
    data = segment(1, [[b"first"]])
    data += framed(1, len(data), 9, [b"second"])
    _, fault = read(data, 1)
    assert fault == Fault(len(data) - FRAME_HEAD_BYTES - 6, 2, "it names batch 9", torn=False)


def test_a_head_of_another_chain_height_or_form_is_named() -> None:
    head = segment_head(CHAIN, 5)
    assert head_fault(head, CHAIN, 5) == ""
    assert head_fault(head, CHAIN, 6) == "it begins at block 5"
    assert CHAIN.hex() in head_fault(head, bytes(16), 5)
    assert "format 1" in head_fault(b"?" + head[1:], CHAIN, 5)
    assert head_fault(head[:9], CHAIN, 5) == "its head ends after 9 of 32 bytes"
