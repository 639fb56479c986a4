"""What nodes say of themselves: the addresses that people give for them, their answers, and the table of those."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from rich.console import Group
from rich.table import Table
from rich.text import Text

from wattquorum.foundation.refusals import Refused

if TYPE_CHECKING:
    from wattquorum.api.shapes import StatusShape

ANSWER_S: Final = 1.0
SHORT: Final = 8
UNTRUSTED: Final = "its certificate is not trusted; SSL_CERT_FILE names a file of authorities that are"


class Known(NamedTuple):
    """Where a node is asked, and who has to answer there, in hexadecimal; empty: whoever it is."""

    api: str
    chain: str = ""
    replica: str = ""


class Seen(NamedTuple):
    """What was found at a node's interface: its status, or else what is wrong there; neither: nobody answers."""

    api: str
    status: StatusShape | None
    wrong: str = ""


def interface_of(text: str, field: str = "node") -> str:
    """A node's interface from how people write it, such as 127.0.0.1:7103; Refused("out_of_range") for no address."""
    whole = text.strip() if "://" in text else f"http://{text.strip()}"
    remedy = "Write it as http://127.0.0.1:7103."
    try:
        parts = urlsplit(whole)
        port = parts.port
    except ValueError:
        raise Refused("out_of_range", field, text, remedy) from None
    host = parts.hostname or ""
    more = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in ("http", "https") or re.fullmatch(r"[\w.:%-]+", host, re.ASCII) is None or more or port == 0:
        raise Refused("out_of_range", field, text, remedy)
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")


def known_of(node: Path) -> Known:
    """A node as its folder tells."""
    from wattquorum.api.interface import tls_of
    from wattquorum.foundation.identities import address_of
    from wattquorum.ledger.genesis import chain_id_of
    from wattquorum.node.config import CONFIG, parsed, written
    from wattquorum.node.disk import read_file
    from wattquorum.node.node_folder import GENESIS, ledger_key

    config = parsed(read_file(node / CONFIG, str(node / CONFIG)).decode("utf-8", "replace"))
    chain_id = chain_id_of(read_file(node / GENESIS, str(node / GENESIS)))
    replica = address_of(chain_id, ledger_key(node).public)
    scheme = "http" if tls_of(node, config.api) is None else "https"
    return Known(f"{scheme}://{written(config.api)}", chain_id.hex(), replica.hex())


def ask(known: Known) -> Seen:
    """Asks a node for its status."""
    import httpx

    from wattquorum.api.shapes import StatusShape
    from wattquorum.foundation.codec import from_json

    trust = known.api.startswith("https:")  # to load whom this machine trusts takes long, and HTTP asks nobody
    try:
        answer = httpx.get(f"{known.api}/v1/status", timeout=ANSWER_S, verify=trust)
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        return Seen(known.api, None, UNTRUSTED if "CERTIFICATE_VERIFY_FAILED" in str(fault) else "")
    try:
        status: StatusShape = from_json(answer.content if answer.is_success else b"", StatusShape, "status")
    except Refused:
        return Seen(known.api, None, "what answers there is no node")
    if known.chain not in ("", status.chain):
        return Seen(known.api, None, f"a node of another community answers there, of chain {status.chain[:SHORT]}")
    if known.replica not in ("", status.replica):
        return Seen(known.api, None, f"another replica answers there, {status.replica[:SHORT]}")
    return Seen(known.api, status)


def table(found: Sequence[Seen], otherwise: Sequence[str] = ()) -> Group:
    """A line for each node, and below them what is wrong; `otherwise`: what is shown as role of each without answer."""
    lines = Table(box=None)
    for heading in ("api", "replica", "role", "term", "height", "peers", "waiting"):
        lines.add_column(heading, no_wrap=True, overflow="fold")
    wrong = []
    for number, (api, each, fault) in enumerate(found):
        if fault:
            wrong.append(f" {api}: {fault}")
        if each is None:
            state = "stranger" if fault else otherwise[number] if otherwise else "silent"
            lines.add_row(api, "", state, "", "", "", "")
            continue
        if each.halted or each.disk_full:
            wrong.append(f" {api}: {each.halted or 'its disk is full'}")
        connected = sum(peer.connected for peer in each.peers)
        lines.add_row(
            api,
            each.replica[:SHORT],
            each.role,
            str(each.term),
            f"{each.height:,}",
            f"{connected} of {len(each.peers)}",
            f"{each.waiting:,}",
        )
    return Group(lines, *map(Text, wrong))
