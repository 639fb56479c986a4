"""Founding: the folders of a whole community on one machine, to try it, to develop, to teach.

    community/    the authority's key and certificate, the list of what it revoked, the genesis, the operator's key
    node-0/ ...   one folder for each node; see `node`

All keys are random. The operator holds every office that the genesis grants, so that one key can do what governors,
registrars and cashiers do in a community that means it; such a one is founded by several.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import GRANTABLE
from wattquorum.ledger.genesis import FORMAT, Founder, Genesis, chain_id_of, encode_genesis
from wattquorum.ledger.parameters import Voting
from wattquorum.node.chain_files import GENESIS
from wattquorum.node.community import Authority, Identity, new_key, now_utc
from wattquorum.node.config import (
    AUTHORITY,
    CERTIFICATE,
    CONFIG,
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
    chain_id = chain_id_of(genesis_bytes)
    authority, now = Authority.create(name, now_utc()), now_utc()
    community = folder / COMMUNITY
    make_folder(community)
    write_secret(community / AUTHORITY_KEY, authority.key_pem)
    write_secret(community / OPERATOR_KEY, operator.hex().encode() + b"\n")
    revoked = authority.revoked({}, now)
    for path, data in ((AUTHORITY, authority.pem), (REVOKED, revoked), (GENESIS, genesis_bytes)):
        write_secret(community / path, data)
    addresses = [address_of(chain_id, SigningKey(seed).public) for seed in seeds]
    peers = {address: (host, first_port + number) for number, address in enumerate(addresses)}
    nodes, apis = [], []
    for number, (seed, address) in enumerate(zip(seeds, addresses, strict=True)):
        node, api = folder / node_name(number), (host, first_port + replicas + number)
        make_folder(node / TLS)
        key, request = new_key()
        write_secret(node / LEDGER_KEY, seed.hex().encode() + b"\n")
        write_secret(node / TLS / TLS_KEY, key)
        write_secret(node / TLS / CERTIFICATE, authority.certify(request, Identity(chain_id, address), now))
        write_secret(node / TLS / AUTHORITY, authority.pem)
        write_secret(node / TLS / REVOKED, revoked)
        write_secret(node / GENESIS, genesis_bytes)
        write_secret(node / CONFIG, composed(peers[address], api, peers, raft or {}).encode())
        sync_folder(node / TLS)
        sync_folder(node)
        nodes.append(node)
        apis.append(api)
    return Founded(folder, tuple(nodes), tuple(apis))
