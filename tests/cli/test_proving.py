"""`wattquorum prove`: exactly one transaction, and of one that stands in the chain twice the one that was done."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.runs import printed, refused, said
from tests.ledger.world import World
from wattquorum.cli import chains
from wattquorum.foundation.identities import SigningKey
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.inclusion import check_inclusion
from wattquorum.ledger.transactions import Received, Register
from wattquorum.node.chain_folder import ChainFolder

INADMISSIBLE, DONE, REFUSED = Outcome.INADMISSIBLE, Outcome.DONE, Outcome.REFUSED


class Again(NamedTuple):
    """A folder with a chain in it; hash and block of a transaction that came in three blocks, and all hashes."""

    folder: Path
    twice: str
    hashes: list[str]


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Again:
    """The operator's second transaction comes before its first, again in its turn, and once more after that."""
    world = World()
    world.member("mill", Side.SELL)
    late = Register(SigningKey(bytes(31) + b"\x07").public, "late", "late", ())
    second = world.signed("operator", late, ahead=1)
    world.block([second])
    world.block([world.signed("operator", Register(SigningKey(bytes(31) + b"\x08").public, "b", "b", ()))])
    world.block([second])
    world.block([second])
    outcomes = [executed.block.receipts[0].outcome for executed in world.executed[-4:]]
    assert outcomes == [INADMISSIBLE, DONE, DONE, INADMISSIBLE]
    folder = tmp_path_factory.mktemp("again")
    chain = ChainFolder.create(folder / "chain", world.genesis_bytes)
    chain.append(world.executed)
    chain.close(world.proposer)
    hashes = [receipt.transaction.hex() for executed in world.executed for receipt in executed.block.receipts]
    return Again(folder, Received(second).hash.hex(), hashes)


def test_of_a_transaction_that_stands_there_three_times_the_one_that_was_done_is_proved(
    again: Again, tmp_path: Path
) -> None:
    for wanted in (again.twice, again.twice[:8], again.twice[:20].upper()):
        told = printed("prove", wanted, "--chain", "chain", "--out", tmp_path / "p.json", folder=again.folder)
        included = check_inclusion((tmp_path / "p.json").read_bytes())
        assert included.receipt.outcome is DONE
        assert included.received.hash.hex() == again.twice
        assert again.hashes.index(again.twice) + 1 < included.height < len(again.hashes)
        assert f"(block {included.height}, " in told


def test_a_beginning_that_several_hashes_share_is_refused_and_says_how_many(
    again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can make two hashes that begin with the same eight digits in a test, so that no digit must do here."""
    monkeypatch.setattr(chains, "PREFIX_DIGITS_MIN", 0)
    distinct = len(set(again.hashes))
    told = said("prove", "", "--chain", "chain", folder=again.folder, check=2)
    assert told.startswith(
        f"refused: transaction_ambiguous: transaction is how several hashes begin (found: , as {distinct}"
    )
    assert told.endswith("Give more digits of the hash.")
    assert not (again.folder / "proof.json").exists()


@pytest.mark.parametrize("wanted", ["", "a", "0123456", "no-hex-at-all", "0x12345678"])
def test_less_than_eight_digits_are_no_hash(again: Again, wanted: str) -> None:
    told = said("prove", wanted, "--chain", "chain", folder=again.folder, check=2)
    assert told.startswith("refused: out_of_range: transaction ")
    assert told.endswith("Give its hash, or at least the first 8 hexadecimal digits of it.")


def test_a_hash_that_is_not_on_the_chain_is_unknown(again: Again) -> None:
    for wanted in ("ff" * 32, again.twice + "00", again.twice[:12] + "0" * 20):
        assert refused("prove", wanted, "--chain", "chain", folder=again.folder) == "transaction_unknown"
