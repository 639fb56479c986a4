"""Commands on a community on which a committee agrees: what it looks like, and proving its chain by headers alone."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.api.served import Served, served
from tests.cli.runs import printed, refused, wattquorum
from wattquorum.cli import light
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import decode_header
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


class Lying(BaseHTTPRequestHandler):
    """A node between: it hides what is above block 5, alters headers, gives none, or tells what nobody can read."""

    node, lie = "", ""

    def do_GET(self) -> None:
        body = httpx.get(self.node + self.path).content
        height = json.loads(body)["height"] if self.path in ("/v1/status", "/v1/tip") else 0
        if self.path.startswith("/v1/headers"):
            lines = [json.loads(line) for line in body.splitlines()]
            if self.lie == "hides":
                lines = [line for line in lines if line["height"] <= 5]
            elif self.lie == "alters":
                altered = bytearray(b64decode(lines[0]["header"]))
                altered[60] ^= 1
                lines[0]["header"] = b64encode(altered).decode()
            elif self.lie == "claims":
                lines = []
            body = b"{}" if self.lie == "rubbish" else b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        elif self.lie == "hides" and self.path == "/v1/tip":
            header = json.loads(httpx.get(self.node + "/v1/headers?first=6&count=1").content.splitlines()[0])["header"]
            sealed = b64encode(decode_header(b64decode(header)).evidence).decode()
            body = json.dumps({"height": 5, "sealed": sealed}).encode()
        elif height:
            told = {"hides": 5, "claims": 1_000_000}.get(self.lie, height)
            body = json.dumps({**json.loads(body), "height": told}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def lying(node: str, lie: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Liar", (Lying,), {"node": node, "lie": lie}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_node_that_is_named_is_asked_and_who_lies_is_named(community: Served, tmp_path: Path) -> None:
    folder, honest = community.village.folder, community.apis[0]
    until = time.monotonic() + 30
    while community.village.nodes[0].ledger.height < 8 and time.monotonic() < until:
        community.do(asyncio.wait_for(community.village.nodes[1].submit(community.village.deposit()), 30))
    words = ("light", "verify", "genesis.json")
    with ExitStack() as made:
        lies = ("hides", "alters", "claims", "rubbish")
        hides, *liars = (made.enter_context(lying(honest, lie)) for lie in lies)
        for nodes in ((hides, *liars, honest), (honest, hides)):
            named = [word for node in nodes for word in ("--node", node)]
            told = wattquorum(*words, *named, folder=folder).stdout
            proven = re.search(r"^proven     block (\d+) ", told, re.MULTILINE)
            assert proven is not None
            assert int(proven[1]) >= 8, "what one hides another tells"
            assert f"node       {hides} told of block 5\n" in told
            codes = ("header_gap|evidence_wrong", "header_gap", "encoding_unreadable")
            for liar, code in zip(liars, codes, strict=True) if liars[0] in nodes else ():
                assert re.search(rf"^node       {liar} ({code}): ", told, re.MULTILINE), (liar, told)
        alone = wattquorum(*words, "--node", liars[0], folder=folder, check=None)
        assert (alone.returncode, "header_gap" in alone.stderr or "evidence_wrong" in alone.stderr) == (1, True)
        kept = tmp_path / "checkpoint.json"
        wattquorum(*words, "--node", hides, "--checkpoint", kept, folder=folder)
        assert json.loads(kept.read_text())["height"] == 5


@pytest.mark.parametrize("told", ["\u00e9", "a", "", "AAAA"])
def test_a_tip_that_nobody_can_read_is_refused(told: str) -> None:
    with pytest.raises(Refused, match=r"encoding_|evidence_wrong"):
        light._sealed(told)


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
