"""Addresses of nodes as people write them, and answers that come from where no such node is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.runs import refusal_of, refused
from wattquorum.api.shapes import StatusShape
from wattquorum.cli.statuses import Known, ask, interface_of, known_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.protocols import Protocol
from wattquorum.node.founding import found, nodes_of

STATUS = StatusShape(
    "aa" * 20, "bb" * 32, "leader", 1, "aa" * 20, 5, "", 5, 5, "", False, 0, 0, 1, False, [], [], 1, 1, [], {}
)


@contextmanager
def answering(content: bytes, status: int = 200) -> Iterator[str]:
    """A server that answers everything with this; where it is."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:7103", "http://127.0.0.1:7103"),
        ("localhost:7103/", "http://localhost:7103"),
        (" http://node.example:7103// ", "http://node.example:7103"),
        ("https://[::1]:7103", "https://[::1]:7103"),
        ("https://node.example", "https://node.example"),
    ],
)
def test_an_address_may_lack_what_is_the_same_for_all(text: str, meant: str) -> None:
    assert interface_of(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "http://[::1",
        "ftp://a:1",
        "a:b",
        "a:70000",
        "a:0",
        "http://a/v1/status",
        "a b:1",
        "u@a:1",
        "a:1?x",
    ],
)
def test_what_is_no_address_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="out_of_range"):
        interface_of(text)
    assert refused("status", text, folder=tmp_path) == "out_of_range"
    assert refused("members", "list", "--node", text, folder=tmp_path) == "out_of_range"


@pytest.mark.parametrize("content", [b"{}", b"[1]", b"hello", b"", b'{"halted": ""}'])
def test_what_answers_and_is_no_node_is_called_so(content: bytes, tmp_path: Path) -> None:
    with answering(content) as at:
        assert ask(Known(f"http://{at}")).wrong == "what answers there is no node"
        assert refused("members", "list", "--node", at, folder=tmp_path) == "encoding_unreadable"


def test_a_node_is_known_by_chain_and_replica() -> None:
    with answering(json.dumps(asdict(STATUS)).encode()) as at:
        api = f"http://{at}"
        assert ask(Known(api)).status == STATUS
        assert ask(Known(api, STATUS.chain, STATUS.replica)).status == STATUS
        assert "of another community" in ask(Known(api, "cc" * 32, STATUS.replica)).wrong
        other = ask(Known(api, STATUS.chain, "dd" * 20))
        assert other.status is None
        assert other.wrong == "another replica answers there, aaaaaaaa"
    with answering(b'{"code": "node_stopped"}', 503) as at:
        assert ask(Known(f"http://{at}")).status is None
    assert ask(Known(api)) == (api, None, "")


def test_a_folder_says_whether_its_node_is_asked_in_tls(tmp_path: Path) -> None:
    found(tmp_path / "village", "village", 1, Protocol.RAFT.parameters(None), "127.0.0.1", 7103)
    (node,) = nodes_of(tmp_path / "village")
    assert known_of(node).api == "http://127.0.0.1:7104"
    with (node / "node.toml").open("a", encoding="utf-8") as config:
        config.write('[api_tls]\ncertificate = "api.pem"\nkey = "api.key"\n')
    assert known_of(node).api == "https://127.0.0.1:7104"


def test_nothing_but_strangers_is_no_community(tmp_path: Path) -> None:
    with answering(b"{}") as at:
        assert refusal_of(_errors("status", at, folder=tmp_path)) == "node_stopped"


def _errors(*words: str, folder: Path) -> str:
    from tests.cli.runs import wattquorum

    done = wattquorum(*words, folder=folder, check=2)
    assert "what answers there is no node" in done.stdout
    return done.stderr
