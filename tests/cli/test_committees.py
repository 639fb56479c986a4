"""Commands on a community on which a committee agrees: what it looks like, and proving its chain by headers alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.served import Served, served
from tests.cli.runs import printed, refused, wattquorum
from wattquorum.ledger.parameters import Consensus
from wattquorum.simulation.demo_keys import DemoSecrets

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of connections that are broken off at the end


@pytest.fixture(scope="module")
def community(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    parameters = {"consensus": int(Consensus.CGPBFT), "epoch_ms": 1_000, "stand_blocks": 2}
    with served(tmp_path_factory.mktemp("village"), 5, parameters=parameters) as found:
        for number in range(4):
            found.do(asyncio.wait_for(found.village.nodes[number].submit(found.village.deposit()), 30))
        (found.village.folder / "genesis.json").write_bytes(found.village.genesis)
        yield found


def test_elections_show_who_agrees_and_in_which_order(community: Served) -> None:
    folder, node = community.village.folder, community.apis[0]
    told = wattquorum("elections", "show", "--node", node, folder=folder).stdout
    assert "primary" in told
    assert told.count("nobody's yet") == 4
    found = json.loads(wattquorum("elections", "show", "--json", "--node", node, folder=folder).stdout)
    order = [each["replica"] for each in found["agents"]]
    agreeing = community.call(lambda: community.village.nodes[0].ledger.configuration.new)
    assert sorted(order) == sorted(voter.replica.hex() for voter in agreeing)
    assert (found["protocol"], found["electors"]) == ("cgpbft", [])


def test_a_chain_is_proven_by_headers_and_gone_on_from_a_checkpoint(community: Served) -> None:
    folder, kept = community.village.folder, community.village.folder / "checkpoint.json"
    words = ("light", "verify", "genesis.json", "--checkpoint", kept, "--trust", "00" * 32)  # it was never restarted
    assert "proven     block" in wattquorum(*words, "--node", community.apis[0], folder=folder).stdout
    before = json.loads(kept.read_text())["height"]
    assert before >= 4
    community.do(asyncio.wait_for(community.village.nodes[1].submit(community.village.deposit()), 30))
    wattquorum(*words, "--node", community.apis[4], folder=folder)
    assert json.loads(kept.read_text())["height"] > before


def test_a_false_an_old_and_a_foreign_checkpoint_prove_nothing(community: Served, tmp_path: Path) -> None:
    folder, kept = community.village.folder, tmp_path / "checkpoint.json"
    words = ("light", "verify", "genesis.json", "--node", community.apis[0], "--checkpoint", kept)
    wattquorum(*words, folder=folder)
    true = json.loads(kept.read_text())
    for change, code, status in (
        ({"header": "00" * 32}, "header_gap", 1),
        ({"keys": true["keys"][::-1]}, "seal_forged", 1),
        ({"time_ms": 1}, "checkpoint_old", 2),
        ({"chain": "00" * 16}, "chain_wrong", 2),
    ):
        kept.write_text(json.dumps({**true, **change}))
        community.do(asyncio.wait_for(community.village.nodes[1].submit(community.village.deposit()), 30))
        told = wattquorum(*words, folder=folder, check=None)
        assert (told.returncode, code in told.stderr) == (status, True), told.stderr


def test_nobody_votes_or_accuses_where_nobody_is_elected(tmp_path: Path) -> None:
    with served(tmp_path, 1) as found:
        told = wattquorum("light", "verify", "none.json", folder=tmp_path, check=None)
        assert told.returncode == 2
        shown = wattquorum("elections", "show", "--node", found.apis[0], folder=tmp_path).stdout
        assert shown.splitlines()[-1].startswith("raft;")
        assert "0 lies" in printed("elections", "testimony", "--node", found.apis[0], folder=tmp_path)
        key = tmp_path / "client.key"
        key.write_text(DemoSecrets(1, demo=True).key_seed("client-0").hex() + "\n")
        key.chmod(0o600)
        for words in (("stand",), ("vote", "client-1"), ("keep",), ("attest",), ("accuse",)):
            code = refused("elections", *words, "--node", found.apis[0], "--key", str(key), folder=tmp_path)
            assert code == "consensus_other"
