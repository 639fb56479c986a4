"""Founding: the folders of a whole community on one machine, to try it, to develop, to teach.

    community/    the authority's key and certificate, the list of what it revoked, the genesis, the operator's key
    node-0/ ...   one folder for each node; see `node`

All keys are random. The operator holds every office that the genesis grants, so that one key can do what governors,
registrars and cashiers do in a community that means it; such a one is founded by several.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import GRANTABLE
from wattquorum.ledger.genesis import FORMAT, Founder, Genesis, chain_id_of, decode_genesis, encode_genesis
from wattquorum.ledger.parameters import Voting
from wattquorum.node.chain_files import GENESIS
from wattquorum.node.community import Authority, Identity, new_key, now_utc
from wattquorum.node.config import (
    AUTHORITY,
    CERTIFICATE,
    CONFIG,
    DECLARED,
    LEDGER_KEY,
    REVOKED,
    TLS,
    TLS_KEY,
    composed,
)
from wattquorum.node.disk import make_folder, sync_folder, write_all
from wattquorum.node.steady_clock import SteadyClock
from wattquorum.node.transport import Place

COMMUNITY: Final = "community"
OPERATOR_KEY: Final = "operator.key"
AUTHORITY_KEY: Final = "authority.key"
SEED_BYTES: Final = 32
DEMO_SEGMENT_BYTES: Final = 4 << 20  # of a write-ahead log: a demo's blocks are few and its folder is no server's


class Founded(NamedTuple):
    """A community on this machine: where its nodes' folders are, and where their interfaces listen."""

    folder: Path
    nodes: tuple[Path, ...]
    apis: tuple[Place, ...]


def node_name(number: int) -> str:
    """The name of a node's folder."""
    return f"node-{number}"


def write_secret(path: Path, data: bytes) -> None:
    """Writes a file that only its owner can read, and that did not exist."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused("file_exists", "file", path) from None
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def found(
    folder: Path,
    name: str,
    replicas: int,
    voting: Voting,
    host: str,
    first_port: int,
    raft: Mapping[str, int] | None = None,
    parameters: Mapping[str, int] | None = None,
    currency: str = "EUR",
) -> Founded:
    """Makes a community of so many nodes; Refused("folder_exists") where the folder is not empty."""
    if folder.exists() and any(folder.iterdir()):
        raise Refused("folder_exists", "folder", folder)
    seeds = [os.urandom(SEED_BYTES) for _ in range(replicas)]
    operator = os.urandom(SEED_BYTES)
    offices = tuple(role.name or "" for role in GRANTABLE)
    genesis = Genesis(
        FORMAT,
        name,
        currency,
        False,
        int(SteadyClock().read()),
        1,
        (Founder("operator", "operator", SigningKey(operator).public.hex(), offices),),
        tuple(SigningKey(seed).public.hex() for seed in seeds),
        {"voting": int(voting), **(parameters or {})},
    )
    genesis_bytes = encode_genesis(genesis)
    authority, now = Authority.create(name, now_utc()), now_utc()
    community = folder / COMMUNITY
    make_folder(community)
    write_secret(community / AUTHORITY_KEY, authority.key_pem)
    write_secret(community / OPERATOR_KEY, operator.hex().encode() + b"\n")
    revoked = authority.revoked({}, now)
    for path, data in ((AUTHORITY, authority.pem), (REVOKED, revoked), (GENESIS, genesis_bytes)):
        write_secret(community / path, data)
    places = [(host, first_port + number) for number in range(2 * replicas)]
    return _settled(folder, genesis_bytes, seeds, places, authority, revoked, raft or {}, "")


def found_demo(
    folder: Path, genesis_bytes: bytes, seeds: Sequence[bytes], places: Sequence[Place], raft: Mapping[str, int]
) -> Founded:
    """Makes the nodes of a demo whose keys derive from its seed and whose time is declared with each step.

    `places` are those of the nodes among themselves, then those of their interfaces. Refused("demo_only") for
    a genesis that is not marked so, Refused("folder_exists") where the folder is not empty.
    """
    genesis = decode_genesis(genesis_bytes)
    if not genesis.demo:
        raise Refused("demo_only", "genesis.demo", genesis.demo)
    if folder.exists() and any(folder.iterdir()):
        raise Refused("folder_exists", "folder", folder)
    authority = Authority.create(genesis.name, now_utc())
    clock = f'clock = "{DECLARED}"\nwal_segment_bytes = {DEMO_SEGMENT_BYTES}\n'
    return _settled(folder, genesis_bytes, seeds, places, authority, authority.revoked({}, now_utc()), raft, clock)


def _settled(
    folder: Path,
    genesis_bytes: bytes,
    seeds: Sequence[bytes],
    places: Sequence[Place],
    authority: Authority,
    revoked: bytes,
    raft: Mapping[str, int],
    clock: str,
) -> Founded:
    """Writes a folder for each node: its keys, its certificate, what it knows of the others."""
    chain_id, count = chain_id_of(genesis_bytes), len(seeds)
    addresses = [address_of(chain_id, SigningKey(seed).public) for seed in seeds]
    peers = dict(zip(addresses, places[:count], strict=True))
    nodes = tuple(folder / node_name(number) for number in range(count))
    for node, seed, address, api in zip(nodes, seeds, addresses, places[count:], strict=True):
        make_folder(node / TLS)
        key, request = new_key()
        write_secret(node / LEDGER_KEY, seed.hex().encode() + b"\n")
        write_secret(node / TLS / TLS_KEY, key)
        write_secret(node / TLS / CERTIFICATE, authority.certify(request, Identity(chain_id, address), now_utc()))
        write_secret(node / TLS / AUTHORITY, authority.pem)
        write_secret(node / TLS / REVOKED, revoked)
        write_secret(node / GENESIS, genesis_bytes)
        write_secret(node / CONFIG, (clock + composed(peers[address], api, peers, raft)).encode())
        sync_folder(node / TLS)
        sync_folder(node)
    return Founded(folder, nodes, tuple(places[count:]))
