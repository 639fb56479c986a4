"""An export tells the whole chain in words that people know."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from tests.node.small_chain import KWH, fed, small_chain, stored
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import order
from wattquorum.ledger.execution import Ledger
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.export import export
from wattquorum.node.lone import LoneNode

CHAIN = small_chain()


def exported(path: Path) -> list[dict[str, Any]]:
    out = io.BytesIO()
    with ChainFolder(path) as folder:
        count = export(folder, out)
    lines = out.getvalue().decode("utf-8").splitlines()
    assert count == len(lines)
    return [json.loads(line) for line in lines]


def test_every_block_and_every_row_is_told(tmp_path: Path) -> None:
    lines = exported(stored(tmp_path / "chain"))
    assert [line["line"] for line in lines].count("block") == len(CHAIN.blocks)
    assert lines[0]["line"] == "genesis"
    assert lines[0]["genesis"]["currency"] == "CNY"
    blocks = [line for line in lines if line["line"] == "block"]
    assert [block["height"] for block in blocks] == list(range(1, len(CHAIN.blocks) + 1))
    assert blocks[1]["previous"] == blocks[0]["hash"]
    (rows,) = [line for line in lines if line["line"] == "rows"]
    committing = lines[lines.index(rows) - 1]
    assert committing["transactions"][0]["payload"]["root"] == rows["root"]
    assert [row["energy"] for row in rows["rows"]] == [[KWH] * 4] * 2
    assert rows["rows"][0]["quality"] == [0, 0, 0, 0]


def test_transactions_are_told_with_type_vectors_and_outcome(tmp_path: Path) -> None:
    told = [each for line in exported(stored(tmp_path / "chain")) for each in line.get("transactions", [])]
    by_type = {each["payload"]["type"]: each for each in told}
    offer = by_type["Offer"]
    assert offer["payload"]["energy"] == [KWH] * 4
    assert offer["payload"]["price"] == [500_000]
    assert offer["payload"]["side"] == "sell"
    assert offer["sender"] == CHAIN.world.address("g").hex()
    assert offer["outcome"] == "done"
    assert by_type["Propose"]["payload"]["action"]["type"] == "PublishDay"
    assert by_type["Propose"]["payload"]["action"]["feed_in"] == [400_000]


def test_refused_and_unreadable_transactions_are_told_too(tmp_path: Path) -> None:
    world = CHAIN.world
    ledger = Ledger(CHAIN.genesis)
    for entry in world.entries:
        ledger.execute(entry, verify_each)
    assert ledger.tip is not None
    forbidden = world.signed("c", world.offer_payload(Side.BUY, [1] * 4))
    entry = order(world.proposer, ledger.chain_id, ledger.tip.time_ms + 1, ledger.applied, (b"noise", forbidden))
    path = stored(tmp_path / "chain")
    with ChainFolder(path, writing=True) as folder:
        folder.append([ledger.execute(entry, verify_each)])
    noise, refused = exported(path)[-1]["transactions"]
    assert (noise["unreadable"], noise["outcome"]) == (b"noise".hex(), "inadmissible")
    assert noise["code"] == "encoding_unreadable"
    assert (refused["outcome"], refused["code"]) == ("refused", "window_past")


def test_a_chain_of_a_node_and_its_copy_are_told_alike(tmp_path: Path) -> None:
    with LoneNode.create(tmp_path / "node", CHAIN.genesis, CHAIN.world.proposer, verify_each) as node:
        fed(node, 1)
        assert node.turn(Millis(0)).finished == ()
    assert exported(tmp_path / "node") == exported(stored(tmp_path / "copy"))
