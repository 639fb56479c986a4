"""Founding: the folders of a whole community on one machine, to try it, to develop, to teach.

    community/    the community's folder, with its genesis and the operator's key; see `community_folder`
    node-0/ ...   one folder for each node; see `node`

Every node is invited, asks and is admitted as it would be from another machine. All keys are random. The operator
holds every office that the genesis grants, so that one key can do what governors, registrars and cashiers do in a
community that means it; such a one is founded by several.

All is made in a folder `founding.new` of the same folder, which gets the name `founded` when it is whole; only then is
what it holds moved to where it belongs. So a founding that was interrupted is either begun anew or brought to its end,
and a community is never there in part.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.foundation.codec import to_named_json
from wattquorum.foundation.identities import KEY_BYTES, SigningKey, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import GRANTABLE
from wattquorum.ledger.genesis import Founder, chain_id_of, decode_genesis
from wattquorum.node import community_folder, node_folder
from wattquorum.node.community import Authority, make_authority, make_request
from wattquorum.node.community_folder import Rules
from wattquorum.node.config import CONFIG, DECLARED, composed, written
from wattquorum.node.disk import SECRET, make_folder, read_file, sync_folder, write_files
from wattquorum.node.invitations import Peers, check_name
from wattquorum.node.processes import PROCESS
from wattquorum.node.transport import Place

COMMUNITY: Final = "community"
OPERATOR: Final = "operator"
OPERATOR_KEY: Final = "operator.key"
UNFINISHED: Final = "founding.new"
FINISHED: Final = "founded"
INVITED_DAYS: Final = 1
DEMO_SEGMENT_BYTES: Final = 4 << 20  # of a write-ahead log: a demo's blocks are few and its folder is no server's


class Founded(NamedTuple):
    """A community on this machine: where its nodes' folders are, and where their interfaces listen."""

    folder: Path
    nodes: tuple[Path, ...]
    apis: tuple[Place, ...]


def node_name(number: int) -> str:
    """The name of a node's folder."""
    return f"node-{number}"


def nodes_of(folder: Path) -> list[Path]:
    """The folders of a community's nodes, in the order of their numbers; not a copy such as node-0-copy."""
    found = [path for path in folder.glob("node-*") if re.fullmatch(r"node-(0|[1-9]\d{0,3})", path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("node-")))


def take_up(folder: Path) -> None:
    """Ends a founding that was interrupted: what was whole is moved to its place, anything less is removed."""
    if (folder / UNFINISHED).exists():
        shutil.rmtree(folder / UNFINISHED)
    finished = folder / FINISHED
    if finished.exists():
        for path in sorted(finished.iterdir(), reverse=True):  # nodes first: with its community/ all is there
            path.rename(folder / path.name)
        sync_folder(folder)
        finished.rmdir()


def of_every_office(name: str, key: str) -> Founder:
    """A founder who holds every office; `key` is hexadecimal."""
    return Founder(name, name, key, tuple(role.name or "" for role in GRANTABLE))


def found(
    folder: Path,
    name: str,
    replicas: int,
    parameters: Mapping[str, int],
    host: str,
    first_port: int,
    raft: Mapping[str, int] | None = None,
    currency: str = "EUR",
) -> Founded:
    """Makes a community of so many nodes; Refused("folder_exists") where the folder is not empty.

    What an earlier founding left that was interrupted does not count: see `take_up`.
    """
    if folder.exists() and any(path.name not in (PROCESS, UNFINISHED) for path in folder.iterdir()):
        raise Refused("folder_exists", "folder", folder)
    check_name(name, "name")
    take_up(folder)
    unfinished = folder / UNFINISHED
    now_ms = time.time_ns() // 1_000_000
    home = unfinished / COMMUNITY
    nodes = tuple(unfinished / node_name(number) for number in range(replicas))
    places = [(host, first_port + number) for number in range(replicas)]
    apis = tuple((host, first_port + replicas + number) for number in range(replicas))
    fingerprint = community_folder.found(home, name, now_ms)
    operator = os.urandom(KEY_BYTES)
    write_files(home, {OPERATOR_KEY: operator.hex().encode() + b"\n"}, SECRET)
    with community_folder.opened(home, now_ms) as community:
        requests = []
        for node, place in zip(nodes, places, strict=True):
            invitation = community.invite(node.name, INVITED_DAYS, now_ms, os.urandom(KEY_BYTES))
            node_folder.ask(node, invitation, written(place), now_ms, os.urandom, fingerprint)
            requests.append(read_file(node / node_folder.REQUEST, node_folder.REQUEST))
        founder = of_every_office(OPERATOR, SigningKey(operator).public.hex())
        rules = Rules(currency, 1, dict(parameters))
        community.begin(requests, [founder], rules, now_ms)
        admissions = [community.admit(request, now_ms)[1] for request in requests]
    peers = read_file(home / community_folder.PEERS, community_folder.PEERS)
    for node, admission, place, api in zip(nodes, admissions, places, apis, strict=True):
        node_folder.install(node, admission, now_ms, fingerprint)
        write_files(node, {node_folder.PEERS: peers, CONFIG: composed(place, api, {}, raft or {}).encode()})
    unfinished.rename(folder / FINISHED)
    sync_folder(folder)
    take_up(folder)
    return Founded(folder, tuple(folder / node.name for node in nodes), apis)


def found_demo(
    folder: Path, genesis: bytes, seeds: Sequence[bytes], places: Sequence[Place], raft: Mapping[str, int]
) -> Founded:
    """Makes the nodes of a demo whose keys derive from its seed and whose time is declared with each step.

    `places` are those of the nodes among themselves, then those of their interfaces. The authority that certifies
    their random TLS keys is forgotten: nobody joins a demo. Refused("demo_only") for a genesis that is not marked so,
    Refused("folder_exists") where the folder is not empty.
    """
    said = decode_genesis(genesis)
    if not said.demo:
        raise Refused("demo_only", "genesis.demo", said.demo)
    if folder.exists() and any(folder.iterdir()):
        raise Refused("folder_exists", "folder", folder)
    now_ms, count, chain_id = time.time_ns() // 1_000_000, len(seeds), chain_id_of(genesis)
    key, pem = make_authority(said.name, now_ms)
    authority = Authority(key, pem)
    addresses = [address_of(chain_id, SigningKey(seed).public) for seed in seeds]
    peers = {address.hex(): written(place) for address, place in zip(addresses, places, strict=False)}
    shared = {
        node_folder.AUTHORITY: pem,
        node_folder.REVOKED: authority.revocations((), 0, now_ms),
        node_folder.GENESIS: genesis,
        node_folder.PEERS: to_named_json(Peers(peers)),
    }
    clock = f'clock = "{DECLARED}"\nwal_segment_bytes = {DEMO_SEGMENT_BYTES}\n'
    nodes = tuple(folder / node_name(number) for number in range(count))
    for number, (node, seed, address) in enumerate(zip(nodes, seeds, addresses, strict=True)):
        secret, request = make_request(node.name)
        identity = authority.issue(request, chain_id, address, now_ms)
        make_folder(node)
        write_files(
            node, {node_folder.LEDGER_KEY: seed.hex().encode() + b"\n", node_folder.TLS: identity + secret}, SECRET
        )
        config = clock + composed(places[number], places[count + number], {}, raft)
        write_files(node, {**shared, CONFIG: config.encode()})
    return Founded(folder, nodes, tuple(places[count:]))
