"""Blocks of others before a state that was taken over: only what a committee certified is put in, with its own rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.ledger.committee_world import CGPBFT, CommitteeWorld
from wattquorum.consensus.bft.certificates import CommitCertificate
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.agreed import Sealed, entry_digest, sealed_in
from wattquorum.ledger.blocks import Block, decode_block, header_hash, ordered_of, receipts_root, transactions_root
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.readings import encode_rows
from wattquorum.node.archive import Archive, Stored
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.filling import Filling

KWH = 1_000
HAD = 4  # blocks that the folder has
ALL = (b"one", b"two", b"three")  # who is connected


@cache
def chain() -> tuple[CommitteeWorld, tuple[Executed, ...]]:
    """A chain of agents across epochs, with rows of readings in the middle."""
    world = CommitteeWorld(4, consensus=CGPBFT, members=0)
    world.member("g", Side.SELL)
    world.end_epoch()
    world.publish()
    world.end_epoch()
    world.read({"g-sell": [KWH] * 4})
    world.end_epoch()
    world.block()
    return world, tuple(world.executed)


def archive(path: Path, had: int = HAD) -> Archive:
    """It has the first blocks and the last one, which it executed."""
    world, blocks = chain()
    folder = ChainFolder.create(path / "chain", world.genesis_bytes)
    folder.append(blocks[:had])
    kept = Archive(folder, filling=Filling(world.genesis_bytes, folder.steps, verify_each))
    kept.add(blocks[-1])
    return kept


Given = list[Stored]


def given(first: int = HAD + 1, last: int | None = None) -> Given:
    return [Stored(each.data, each.rows) for each in chain()[1][first - 1 : last or len(chain()[1]) - 1]]


def filled(kept: Archive, answer: Given, peer: bytes = ALL[0]) -> int:
    """How far its folder is then."""
    kept.fill(encode(answer), peer, ALL)
    kept.flush()
    return kept.height


def read_at() -> int:
    """The height of the block with the readings."""
    return next(each.block.header.height for each in chain()[1] if each.rows)


def test_a_gap_is_filled_in_parts_each_of_which_its_last_block_proves(tmp_path: Path) -> None:
    kept, last = archive(tmp_path), len(chain()[1])
    assert HAD < read_at() < last - 1
    assert filled(kept, given(HAD + 1, HAD + 1)) == HAD, "one alone is proven by nothing"
    assert filled(kept, given(HAD + 1, last - 3)) == last - 4
    assert filled(kept, given(last - 3)) == last, "what it executed proves the rest"
    kept.close(None)
    with ChainFolder(tmp_path / "chain") as folder:
        assert [data for _, data in folder.read()] == [each.data for each in chain()[1]]
        assert len(folder.roots()) == 1


def altered(answer: Given, place: int, **fields: object) -> Given:
    block = decode_block(answer[place].block)
    made = encode(changed(block, **fields))
    return [*answer[:place], changed(answer[place], block=made), *answer[place + 1 :]]


def other_chain(answer: Given) -> Given:
    """Blocks that follow each other, which nobody certified."""
    made, previous = list[Stored](), None
    for each in answer:
        block = decode_block(each.block)
        header = changed(block.header, state_digest=bytes(32), previous=previous or block.header.previous)
        previous = header_hash(header)
        made.append(changed(each, block=encode(changed(block, header=header))))
    return made


def other_transactions(answer: Given) -> Given:
    return altered(answer, 1, transactions=(b"another",), receipts=())


def other_receipts(answer: Given) -> Given:
    place = next(at for at, each in enumerate(answer) if decode_block(each.block).receipts)
    receipts = decode_block(answer[place].block).receipts
    return altered(answer, place, receipts=(changed(receipts[0], code="made_up"), *receipts[1:]))


def fewer_receipts(answer: Given) -> Given:
    place = next(at for at, each in enumerate(answer) if decode_block(each.block).receipts)
    return altered(answer, place, receipts=())


def unproven(answer: Given) -> Given:
    """A liar's own: money out of nowhere, a commitment without its rows, and a last block that proves nothing."""
    paid, read = (decode_block(each.data) for each in (chain()[1][HAD], chain()[1][read_at() - 1]))
    made, previous, evidence = list[Stored](), decode_block(answer[0].block).header.previous, b""
    for height, block in enumerate((paid, read, paid), HAD + 1):
        header = changed(block.header, height=height, previous=previous, committee=b"", evidence=evidence)
        block = changed(block, header=header)
        sealed = Sealed(CommitCertificate(height, 0, bytes(32), ()), entry_digest(encode(ordered_of(block, ()))))
        previous, evidence = header_hash(header), encode(sealed) if height == HAD + 1 else b""
        made.append(Stored(encode(block), ()))
    return made


def rubbish_rows(answer: Given) -> Given:
    return [changed(answer[0], rows=(b"\xc1",)), *answer[1:]]


def test_a_chain_of_a_liars_own_is_refused_also_where_no_committee_changes(tmp_path: Path) -> None:
    named = [bool(each.block.header.committee) for each in chain()[1]]
    had = next(at for at in range(HAD, len(named) - 3) if not any(named[at : at + 3]))
    kept, answer = archive(tmp_path, had), given(had + 1, had + 3)
    with pytest.raises(Refused, match="evidence_wrong"):
        kept.fill(encode(other_chain(answer)), ALL[0], ALL)
    assert filled(kept, answer) == had + 2
    kept.close(None)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    "lie",
    [other_chain, unproven, other_transactions, other_receipts, fewer_receipts, rubbish_rows],
    ids=lambda lie: lie.__name__,
)
def test_what_no_committee_certified_is_refused_and_nothing_put_in(
    tmp_path: Path, lie: Callable[[Given], Given], whole: bool
) -> None:
    kept, last = archive(tmp_path), len(chain()[1])
    answer = given(HAD + 1, None if whole else last - 2)
    with pytest.raises(Refused):
        kept.fill(encode(lie(answer)), ALL[0], ALL)
    assert kept.height == HAD
    assert filled(kept, given()) == last
    kept.close(None)


def test_blocks_come_without_their_rows_only_when_everybody_was_asked(tmp_path: Path) -> None:
    """Somebody may hold them back; where their time has come, nobody has them, and the chain has to be filled too."""
    kept = archive(tmp_path)
    without = [changed(each, rows=()) for each in given()]
    assert filled(kept, without) == read_at() - 1
    assert filled(kept, without, ALL[1]) == read_at() - 1
    assert filled(kept, given(), ALL[2]) == len(chain()[1]), "the last one had them"
    assert len(kept._folder.roots()) == 1
    kept.close(None)
    lacking = archive(tmp_path / "other")
    for peer in ALL:
        reached = filled(lacking, without, peer)
    assert reached == len(chain()[1])
    assert lacking._folder.roots() == []
    lacking.close(None)


def test_superfluous_rows_are_left_out(tmp_path: Path) -> None:
    kept = archive(tmp_path)
    more = encode_rows(chain()[0].rows({"x": [KWH] * 4}))
    answer = [changed(each, rows=(*each.rows, more)) for each in given()]
    assert filled(kept, answer) == len(chain()[1])
    assert len(kept._folder.roots()) == 1
    kept.close(None)


def linked(answer: Given, at: int) -> Given:
    """The same blocks, of which those from a place on follow each other again, and tell each other's entry."""
    made, before = answer[:at], list[Block]()
    for each in answer[at:]:
        block = decode_block(each.block)
        roots = {
            "transactions_root": transactions_root(block.transactions),
            "receipts_root": receipts_root(block.receipts),
        }
        header = changed(block.header, **roots)
        if before:
            sealed, entry = sealed_in(header.evidence), entry_digest(encode(ordered_of(before[-1], ())))
            evidence = b"" if sealed is None else encode(Sealed(sealed.certificate, entry))
            header = changed(header, previous=header_hash(before[-1].header), evidence=evidence)
        before.append(changed(block, header=header))
        made.append(changed(each, block=encode(before[-1])))
    return made


def of_a_liar(answer: Given, data: st.DataObject) -> Given:
    """What somebody makes of a good answer who signs nothing: parts of it elsewhere, left out or empty."""
    if data.draw(st.booleans()):
        answer = [changed(each, rows=()) for each in answer]
    if data.draw(st.booleans()):
        answer = [
            altered([each], 0, header=changed(decode_block(each.block).header, committee=b""))[0] for each in answer
        ]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(answer) - 1))
        block, other = decode_block(answer[at].block), decode_block(data.draw(st.sampled_from(chain()[1])).data)
        header = block.header
        lie = data.draw(st.sampled_from(("no evidence", "evidence", "committee", "body", "state", "left out")))
        if lie == "body":
            block = changed(block, transactions=other.transactions, receipts=other.receipts)
        elif lie in ("evidence", "committee"):
            header = changed(header, **{lie: getattr(other.header, lie)})
        elif lie == "state":
            header = changed(header, state_digest=other.header.state_digest)
        elif lie == "no evidence":
            header = changed(header, evidence=b"")
        made = (
            []
            if lie == "left out" and len(answer) > 1
            else [changed(answer[at], block=encode(changed(block, header=header)))]
        )
        answer = [*answer[:at], *made, *answer[at + 1 :]]
    return linked(answer, 0) if data.draw(st.booleans()) else answer


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=300)
def test_whatever_is_given_nothing_but_the_chain_is_put_in(data: st.DataObject) -> None:
    good, kept = chain()[1], archive(Path(mkdtemp(prefix="filling-")))
    try:
        for _ in range(2):
            first = kept.height + 1
            last = data.draw(st.integers(min(first + 1, len(good) - 1), len(good) - 1))
            with suppress(Refused):
                kept.fill(encode(of_a_liar(given(first, last), data)), data.draw(st.sampled_from(ALL)), ALL[:1])
            kept.flush()
            if kept.height == len(good):
                break
        put_in = [block for _, block in kept._folder.read(1)]
        assert put_in == [each.data for each in good[: len(put_in)]]
    finally:
        kept.close(None)
        shutil.rmtree(kept._folder.path.parent)
