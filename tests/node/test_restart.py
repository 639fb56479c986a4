"""Nodes of a committee that lost half of it for good go on by their governor's act: from their folders, or a backup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.runs import printed, refused
from tests.ledger.committee_world import PBFT
from tests.ledger.test_restart import act_of, evidence_by, stuck, survivors
from tests.node.founded import Hamlet
from tests.node.live import run, until
from wattquorum.consensus.bft.committee import installed
from wattquorum.consensus.bft.records import Kept, kept
from wattquorum.foundation.identities import address_of, verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import restart_digest
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.light import LightClient
from wattquorum.ledger.parameters import Consensus
from wattquorum.node.auditing import audit_folder
from wattquorum.node.backup import copy_stopped, finish
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.founding import COMMUNITY, OPERATOR_KEY
from wattquorum.node.node_folder import LEDGER_KEY, read_key
from wattquorum.node.restarting import read_act
from wattquorum.node.restoring import restore
from wattquorum.node.wal_files import survey
from wattquorum.replica.agreeing import Outliner
from wattquorum.replica.pool import Limits

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of connections to nodes that are gone


def backed_up(node: Path, to: Path) -> None:
    copied = copy_stopped(node, to.with_name("copy"), None)
    with ChainFolder(to.with_name("copy") / "chain") as chain:
        audit_folder(chain, verify_each)
    finish(to.with_name("copy"), to, copied, 1_700_000_000_000, "1")


def gone_on(hamlet: Hamlet, nodes: list[Path]) -> None:
    """Two nodes run, and decide what their operator hands in."""

    async def story() -> None:
        await hamlet.start(nodes)
        ledger = hamlet.nodes[nodes[0]][0].ledger
        await until(lambda: hamlet.nodes[nodes[0]][0].engine.leader)
        account = ledger.account(hamlet.address)
        assert account is not None
        hamlet.nonce = account.nonce
        for number in range(3):
            await hamlet.deposit(hamlet.nodes[nodes[number % 2]][0])
        await until(lambda: len({node.ledger.tip_hash for node, _ in hamlet.nodes.values()}) == 1)
        await hamlet.stop()

    run(story())


def gone_on_with_all(hamlet: Hamlet) -> None:
    async def story() -> None:
        await hamlet.start()
        leader = await hamlet.leader()
        for _ in range(4):
            await hamlet.deposit(leader)
        await until(lambda: all(node.ledger.height >= leader.ledger.height for node, _ in hamlet.nodes.values()))
        await hamlet.stop()

    run(story())


def kept_in(node: Path) -> Kept:
    """What a node's engine begins with."""
    with ChainFolder(node / "chain") as chain:
        ledger = Ledger(chain.genesis_bytes)
    records = [record for segment in survey(node / "wal").segments for record in segment.records()]
    return kept(records, ledger.chain_id, installed(ledger.configuration, ledger.key_of), Outliner(Limits()))


def test_a_log_that_is_made_from_a_backup_knows_every_committee_since_it_begins(tmp_path: Path) -> None:
    """Also the one by which the chain was restarted, which no header names."""
    world = stuck(PBFT)
    act = act_of(world)
    world.block(evidence=evidence_by(world, act), by=survivors(world)[0], version=act.restart.version)
    world.view = 0
    world.block()
    world.block()
    node = tmp_path / "node"
    node.mkdir()
    with ChainFolder.create(node / "chain", world.genesis_bytes) as chain:
        chain.append(world.executed)
    backed_up(node, tmp_path / "backup")
    restored = restore(tmp_path / "backup", tmp_path / "new", verify_each)
    assert restored.new_key
    found = kept_in(tmp_path / "new")
    assert found.height == world.ledger.height - 1
    assert found.base is not None
    assert 0 < found.base.index < act.restart.height
    assert [(each.configuration.version, each.configuration.basis_index) for each in found.committees.installed] == [
        (act.restart.version - 1, 0),
        (act.restart.version, act.restart.height),
    ]


def address_of_node(hamlet: Hamlet, node: Path) -> str:
    return address_of(hamlet.chain_id, read_key(node / LEDGER_KEY).public).hex()


def test_two_of_four_go_on_from_their_folders_and_again_from_a_backup(tmp_path: Path) -> None:
    hamlet = Hamlet(tmp_path / "community", 4, {"consensus": int(Consensus.PBFT), "epoch_ms": 1_000})
    nodes, key = list(hamlet.founded.nodes), tmp_path / "community" / COMMUNITY / OPERATOR_KEY
    gone_on_with_all(hamlet)
    left = nodes[:2]
    keep = [option for node in left for option in ("--keep", address_of_node(hamlet, node))]

    def command(*words: str | Path) -> str:
        return printed(*words, folder=tmp_path)

    act = tmp_path / "act.json"
    assert "nobody" in command("restart", "plan", left[0], *keep, "--out", act)
    words = ("restart", "plan", str(left[0]), "--keep", "nobody", "--out", str(tmp_path / "other.json"))
    assert refused(*words, folder=tmp_path) == "validator_unknown"
    assert refused("restart", "put", str(act), "--to", str(left[0]), folder=tmp_path) == "approvals_missing"
    told = command("restart", "sign", act, "--key", key)
    digest = restart_digest(read_act(act.read_bytes()).restart)
    assert digest.hex() in told
    height = read_act(act.read_bytes()).restart.height
    for node in left:
        command("restart", "put", act, "--to", node)
    gone_on(hamlet, left)
    with ChainFolder(left[0] / "chain") as chain:
        assert audit_folder(chain, verify_each).height == chain.height > height
        headers = [decode_block(data).header for _, data in chain.read()]
        client = LightClient(chain.genesis_bytes, verify_each)
        with pytest.raises(Refused, match="chain_restarted"):
            list(map(client.take, headers))
        assert client.checkpoint.height == height
        client = LightClient(chain.genesis_bytes, verify_each, (digest,))
        list(map(client.take, headers))
        assert client.checkpoint.height == chain.height - 1
    assert refused("restart", "put", str(act), "--to", str(left[0]), folder=tmp_path) == "out_of_range"

    # And once more, from a backup, with nobody's log
    backup = tmp_path / "backup"
    backed_up(left[1], backup)
    second = tmp_path / "second.json"
    command("restart", "plan", backup, *keep, "--out", second)
    command("restart", "sign", second, "--key", key)
    from_height = read_act(second.read_bytes()).restart.height
    for node in left:
        shutil.rmtree(node / "chain")
        shutil.rmtree(node / "wal")
        restores = ("restore", str(backup), "--to", str(node), "--disaster")
        assert refused(*restores, folder=tmp_path) == "approvals_missing"
        assert f"from     block {from_height}, " in command(*restores, "--act", second)
        assert len(list(node.glob("restart-*.json"))) == 2
    gone_on(hamlet, left)
    with ChainFolder(left[0] / "chain") as chain:
        assert audit_folder(chain, verify_each).height == chain.height > from_height
