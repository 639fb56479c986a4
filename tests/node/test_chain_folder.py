"""A chain folder gives back what it was given, refuses what does not belong, and finds every changed byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.node.small_chain import small_chain, stored
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.audit import AuditFault
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_files import BLOCKS, GENESIS, ROWS, SNAPSHOTS, TIP
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.replica.log_format import framed, segment_head

BLOCK_DATA = [executed.data for executed in small_chain().blocks]
ROWS_DATA = [data for executed in small_chain().blocks for data in executed.rows]


def reason(caught: pytest.ExceptionInfo[Refused]) -> tuple[str, str]:
    return caught.value.code, caught.value.field


def opening_is_refused(path: Path, *, writing: bool = False) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        ChainFolder(path, writing=writing)
    return reason(caught)


def segments(path: Path) -> list[Path]:
    return sorted((path / BLOCKS).iterdir())


def proved(path: Path) -> None:
    """The audit finds nothing wrong, and the chain was closed where it ends."""
    with ChainFolder(path) as folder:
        audited = audit_folder(folder, verify_each)
        assert folder.ended is not None
        assert audited.height == folder.height == folder.ended.height


def is_proved(path: Path) -> bool:
    try:
        proved(path)
    except (Refused, AuditFault, AssertionError):
        return False
    return True


def test_blocks_rows_and_snapshots_come_back_as_they_were(tmp_path: Path) -> None:
    chain = small_chain()
    assert ROWS_DATA, "the chain must have rows"
    assert chain.snapshots, "the chain must have an epoch's end"
    with ChainFolder(stored(tmp_path / "chain")) as folder:
        assert folder.genesis_bytes == chain.genesis
        assert [data for _, data in folder.read()] == BLOCK_DATA
        assert [data for _, data in folder.read(5)] == BLOCK_DATA[4:]
        assert [position.height for position, _ in folder.read(5)] == list(range(5, len(BLOCK_DATA) + 1))
        assert [folder.rows(root) for root in folder.roots()] == ROWS_DATA
        assert {height: folder.snapshot(height) for height in folder.snapshots()}.items() <= chain.snapshots.items()
        assert (folder.tip, folder.tip_hash) == (chain.world.ledger.tip, chain.world.ledger.tip_hash)
        assert folder.ended is not None
        assert folder.ended.state == chain.world.ledger.digest
        assert len(segments(folder.path)) > 1, "several segments"


def test_the_same_chain_makes_the_same_bytes_in_any_batches(tmp_path: Path) -> None:
    # Where batches end is part of the frames; everything else must not depend on it.
    one, other = stored(tmp_path / "one", batch=3), stored(tmp_path / "other", batch=3)
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert files == [path.relative_to(other) for path in sorted(other.rglob("*")) if path.is_file()]
    for file in files:
        assert (one / file).read_bytes() == (other / file).read_bytes()
    with ChainFolder(stored(tmp_path / "single", batch=1)) as folder:
        assert [data for _, data in folder.read()] == BLOCK_DATA


def test_a_clean_folder_is_proved_to_the_last_byte(tmp_path: Path) -> None:
    proved(stored(tmp_path / "chain"))


@pytest.mark.unmeasured
def test_every_flipped_byte_of_every_file_is_found(tmp_path: Path) -> None:
    # Eight bits of every byte would take minutes; each byte is changed in one bit, a different one from byte to byte.
    path = stored(tmp_path / "chain", blocks=3)
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    names = {file.parent.name if file.parent != path else file.name for file in files}
    assert names == {GENESIS, TIP, BLOCKS}
    missed = []
    for file in files:
        whole = file.read_bytes()
        for at in range(len(whole)):
            file.write_bytes(whole[:at] + bytes((whole[at] ^ 1 << at % 8,)) + whole[at + 1 :])
            if is_proved(path):
                missed.append((file.name, at))
        file.write_bytes(whole)
    assert missed == []
    assert is_proved(path)


@pytest.mark.unmeasured
def test_no_audit_passes_a_flipped_byte_of_a_chain_that_was_not_closed(tmp_path: Path) -> None:
    # Without a signed tip the end of the log may be a torn tail; reading it for an audit says so all the same.
    path = stored(tmp_path / "chain", blocks=3, signed=False)
    for file in segments(path):
        whole = file.read_bytes()
        for at in range(0, len(whole), 3):
            file.write_bytes(whole[:at] + bytes((whole[at] ^ 1 << at % 8,)) + whole[at + 1 :])
            with pytest.raises((Refused, AuditFault)), ChainFolder(path) as folder:
                audit_folder(folder, verify_each)
        file.write_bytes(whole)
    with ChainFolder(path) as folder:
        assert audit_folder(folder, verify_each).height == 3


@pytest.mark.unmeasured
def test_every_flipped_byte_of_rows_and_snapshots_is_found(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain")
    for kind in (ROWS, SNAPSHOTS):
        (file,) = (path / kind).iterdir()
        whole = file.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 60)):
            file.write_bytes(whole[:at] + bytes((whole[at] ^ 1 << at % 8,)) + whole[at + 1 :])
            assert not is_proved(path), (kind, at)
        file.write_bytes(whole)
    assert is_proved(path)


def test_a_flipped_byte_in_a_block_is_named_with_segment_byte_and_block(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain")
    with ChainFolder(path) as folder:
        fourth = [position for position, _ in folder.read()][3]
    file = path / fourth.segment
    data = bytearray(file.read_bytes())
    data[fourth.offset + 40] ^= 1
    file.write_bytes(data)
    with pytest.raises(Refused) as caught:
        ChainFolder(path, writing=True)
    assert reason(caught) == ("chain_altered", fourth.segment)
    assert caught.value.value == f"byte {fourth.offset}, block 4: its checksum does not match"


def test_a_block_that_does_not_follow_its_predecessor_is_named(tmp_path: Path) -> None:
    # The frames are intact, as a forger would make them: only the hash of the block before gives them away.
    chain, path = small_chain(), stored(tmp_path / "chain", blocks=3, signed=False)
    digest = chain.blocks[1].block.header.state_digest
    forged = chain.blocks[1].data.replace(digest, bytes(len(digest)))
    for blocks, named in (
        ([BLOCK_DATA[0], forged, BLOCK_DATA[2]], "block 3: it is not the block that follows block 2"),
        ([BLOCK_DATA[0], BLOCK_DATA[2]], "block 2: it is not the block that follows block 1"),
        ([BLOCK_DATA[0], b"\x93"], "block 2: it is no block (encoding_unreadable)"),
    ):
        head = segment_head(chain.world.ledger.chain_id, 1)
        for file in segments(path):
            file.unlink()
        (path / BLOCKS / "00000001.blocks").write_bytes(head + framed(1, len(head), 1, blocks))
        with pytest.raises(Refused) as caught:
            ChainFolder(path, writing=True)
        assert reason(caught) == ("chain_altered", f"{BLOCKS}/00000001.blocks")
        assert caught.value.value.endswith(named)


STRANGERS = ["notes.txt", "blocks/1.blocks", "rows/readme", "snapshots/.x", "blocks.bak", "tip.json~"]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_file_that_does_not_belong_is_refused(tmp_path: Path, stranger: str) -> None:
    path = stored(tmp_path / "chain", blocks=3)
    (path / stranger).write_bytes(b"x")
    assert opening_is_refused(path) == ("file_unknown", "file")
    assert opening_is_refused(path, writing=True) == ("file_unknown", "file")
    assert (path / stranger).exists(), "nothing that is not ours is removed"


def test_a_folder_or_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain", blocks=3)
    (path / TIP).rename(tmp_path / "elsewhere")
    (path / TIP).symlink_to(tmp_path / "elsewhere")
    assert opening_is_refused(path) == ("file_unknown", "file")
    (path / TIP).unlink()
    (path / ROWS / ("0" * 64 + ".rows")).mkdir()
    assert opening_is_refused(path) == ("file_unknown", "file")


def test_a_chain_that_was_cut_at_the_end_of_a_block_is_found_by_its_signed_tip(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain")
    with ChainFolder(path) as folder:
        last = list(folder.read())[-1][0]
    file = path / last.segment
    file.write_bytes(file.read_bytes()[: last.offset])
    assert opening_is_refused(path) == ("chain_truncated", BLOCKS)
    assert opening_is_refused(path, writing=True) == ("chain_truncated", BLOCKS)


def test_a_torn_block_that_the_signed_tip_names_is_damage_and_never_cut(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain")
    file = segments(path)[-1]
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert opening_is_refused(path, writing=True)[0] == "chain_altered"
    assert file.read_bytes() == whole[:-1]


def test_a_missing_segment_is_found(tmp_path: Path) -> None:
    for number in (0, 1):
        path = stored(tmp_path / f"chain{number}", signed=False)
        segments(path)[number].unlink()
        assert opening_is_refused(path)[0] == "chain_truncated"


def test_a_segment_that_ends_early_before_another_is_damage(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain", signed=False)
    file = segments(path)[0]
    file.write_bytes(file.read_bytes()[:-5])
    assert opening_is_refused(path, writing=True)[0] == "chain_altered"


def test_a_torn_tail_is_cut_when_the_chain_is_opened_for_writing_and_reported(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain", blocks=5, signed=False)
    chain, file = small_chain(), segments(stored(tmp_path / "chain5", blocks=5, signed=False))[-1]
    with ChainFolder(path) as folder:
        last = list(folder.read())[-1][0]
    file = path / last.segment
    file.write_bytes(file.read_bytes()[:-7])
    with ChainFolder(path) as folder:
        assert folder.height == 4
        assert folder.torn is not None
        assert folder.torn.position == last
        with pytest.raises(Refused) as caught:
            list(folder.read())
        assert reason(caught) == ("chain_truncated", last.segment)
    with ChainFolder(path, writing=True, segment_bytes=1_000) as folder:
        assert folder.torn is not None
        assert folder.torn.size > 0
        assert file.stat().st_size == last.offset
        folder.append(chain.blocks[4:6])
        assert [data for _, data in folder.read()] == BLOCK_DATA[:6]
    with ChainFolder(path) as folder:
        assert folder.torn is None


def test_a_stale_tip_still_proves_its_part_of_a_chain_that_went_on(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain", blocks=4)
    with ChainFolder(path, writing=True) as folder:
        folder.append(small_chain().blocks[4:6])
    with ChainFolder(path) as folder:
        assert folder.ended is not None
        assert (folder.ended.height, folder.height) == (4, 6)


def test_one_process_writes_or_several_read(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain", blocks=3)
    with ChainFolder(path), ChainFolder(path):
        assert opening_is_refused(path, writing=True) == ("chain_in_use", "path")
    with ChainFolder(path, writing=True):
        assert opening_is_refused(path) == ("chain_in_use", "path")
        assert opening_is_refused(path, writing=True) == ("chain_in_use", "path")
    with ChainFolder(path, writing=True) as folder:
        assert folder.height == 3, "the lock is gone with its holder"


def test_what_was_opened_for_reading_cannot_be_written_to(tmp_path: Path) -> None:
    with ChainFolder(stored(tmp_path / "chain", blocks=3)) as folder:
        for write in (
            lambda: folder.append(small_chain().blocks[3:4]),
            lambda: folder.put_snapshot(1, b""),
            lambda: folder.prune_rows(0),
            lambda: folder.close(small_chain().world.proposer),
        ):
            with pytest.raises(Refused) as caught:
                write()
            assert caught.value.code == "input_unexpected"


def test_a_block_that_does_not_follow_is_not_appended(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain", blocks=3)
    with ChainFolder(path, writing=True) as folder:
        for wrong in (small_chain().blocks[4:5], small_chain().blocks[2:3]):
            with pytest.raises(Refused) as caught:
                folder.append(wrong)
            assert caught.value.code == "input_unexpected"
        folder.append([])
        assert folder.height == 3
    with ChainFolder(path) as folder:
        assert [data for _, data in folder.read()] == BLOCK_DATA[:3]


def test_a_new_chain_needs_an_empty_place(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain", blocks=1)
    with pytest.raises(Refused) as caught:
        ChainFolder.create(path, small_chain().genesis)
    assert reason(caught) == ("folder_exists", "path")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Refused) as caught:
        ChainFolder.create(tmp_path / "file", small_chain().genesis)
    assert reason(caught) == ("folder_exists", "path")


def test_a_creation_that_was_interrupted_can_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "chain"
    (path / BLOCKS).mkdir(parents=True)
    (path / (GENESIS + ".new")).write_bytes(b"{")
    assert opening_is_refused(path)[0] == "file_unreadable"
    with ChainFolder.create(path, small_chain().genesis) as folder:
        assert folder.removed == ()
        assert [file.name for file in folder.files()] == [GENESIS]


def test_what_is_no_chain_folder_is_refused(tmp_path: Path) -> None:
    assert opening_is_refused(tmp_path / "nowhere") == ("file_unreadable", "path")
    assert opening_is_refused(tmp_path) == ("file_unreadable", GENESIS)


def test_empty_folders_that_a_copy_left_out_are_no_loss(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain", blocks=3, snapshot=False)
    (path / ROWS).rmdir()
    (path / SNAPSHOTS).rmdir()
    with ChainFolder(path) as folder:
        assert folder.roots() == []
    with ChainFolder(path, writing=True) as folder:
        folder.append(small_chain().blocks[3:])
        assert len(folder.roots()) == len(ROWS_DATA)


def test_opening_for_writing_removes_what_an_interrupted_write_left(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain", blocks=4, snapshot=False)
    orphan = ROWS_DATA[0]  # its block is not among the first four
    name = root_of_rows(decode_rows(orphan)).hex() + ".rows"
    (path / ROWS / name).write_bytes(orphan)
    for left in (f"{SNAPSHOTS}/00000003.snapshot.new", "tip.json.new", f"{BLOCKS}/00000099.blocks.new"):
        (path / left).write_bytes(b"half")
    with ChainFolder(path) as folder:
        assert folder.removed == ()
        with pytest.raises(AuditFault) as fault:
            audit_folder(folder, verify_each)
        assert fault.value.reason.code == "file_unknown"
    with ChainFolder(path, writing=True) as folder:
        assert folder.removed == (
            "blocks/00000099.blocks.new",
            f"rows/{name}",
            "snapshots/00000003.snapshot.new",
            "tip.json.new",
        )
        assert [file.path for file in folder.files() if file.path in folder.removed] == []
    proved(path)


def test_rows_that_a_block_commits_to_are_kept_when_the_chain_is_opened_again(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain")
    with ChainFolder(path, writing=True) as folder:
        assert folder.removed == ()
        assert len(folder.roots()) == len(ROWS_DATA)


def test_rows_are_pruned_only_behind_a_snapshot(tmp_path: Path) -> None:
    chain, path = small_chain(), stored(tmp_path / "chain", snapshot=False)
    with ChainFolder(path, writing=True) as folder:
        (root,) = folder.roots()
        commitment = folder.commitments()[root]
        assert folder.prune_rows(commitment.time_ms) == [], "the block is not before its own time"
        with pytest.raises(Refused) as caught:
            folder.prune_rows(commitment.time_ms + 1)
        assert reason(caught) == ("snapshot_missing", "rows")
        folder.put_snapshot(max(chain.snapshots), chain.snapshots[max(chain.snapshots)])
        if max(chain.snapshots) < commitment.height:
            with pytest.raises(Refused) as caught:
                folder.prune_rows(commitment.time_ms + 1)
            assert caught.value.code == "snapshot_missing"
            folder.put_snapshot(folder.height, chain.snapshots[max(chain.snapshots)])
        assert folder.prune_rows(commitment.time_ms + 1, needed=[root]) == []
        assert folder.rows(root) is not None
        assert folder.prune_rows(commitment.time_ms + 1) == [root]
        assert folder.rows(root) is None
        assert folder.roots() == []


def test_of_older_snapshots_one_is_kept(tmp_path: Path) -> None:
    with ChainFolder(stored(tmp_path / "chain", snapshot=False), writing=True) as folder:
        for height in (2, 4, 6):
            folder.put_snapshot(height, b"%d" % height)
        assert folder.snapshots() == [4, 6]
        assert folder.snapshot(6) == b"6"
        for height in (0, folder.height + 1):
            with pytest.raises(Refused) as caught:
                folder.put_snapshot(height, b"")
            assert caught.value.code == "input_unexpected"


def test_a_tip_of_another_key_chain_or_form_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path / "chain", blocks=3)
    with ChainFolder(path, writing=True) as folder:
        folder.close(small_chain().world.operator)  # a key of the chain, but no proposer's
    assert opening_is_refused(path) == ("chain_altered", TIP)
    for content in (b"", b"[]", b"{}", b'{"height": 1e999}', b'{"height": 99999999999999999999}', b"\xff"):
        (path / TIP).write_bytes(content)
        assert opening_is_refused(path) == ("chain_altered", TIP)


def test_a_closed_folder_is_no_longer_used(tmp_path: Path) -> None:
    folder = ChainFolder(stored(tmp_path / "chain", blocks=3), writing=True)
    folder.close()
    folder.close()
    with pytest.raises(Refused) as caught:
        folder.append(small_chain().blocks[3:4])
    assert caught.value.code == "input_unexpected"
    shutil.rmtree(folder.path)
