"""A node's folder: its keys, its TLS identity, and what it knows of its community.

    ledger.key          the seed of the node's Ed25519 key, as `wattquorum keys` writes it; for its owner alone
    pending.key         a TLS key that waits to be certified, with `request.json`; for its owner alone
    tls.pem             the node's TLS identity and its key; for its owner alone
    authority.pem       the community's authority
    revoked.pem         its newest list of revocations; a newer one is put in its place
    genesis.json        what the chain starts from
    peers.json          addresses and where they listen

Keys are made here and never leave. The ledger key lasts; TLS identities run out, and joining again with a new
invitation renews them under the same ledger key. Nothing is replaced before all that replaces it has been checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.foundation.codec import from_json, to_named_json
from wattquorum.foundation.identities import KEY_BYTES, SigningKey, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.genesis import chain_id_of, decode_genesis
from wattquorum.node.community import (
    Contexts,
    Identity,
    fingerprint_of,
    is_key_of,
    make_contexts,
    make_request,
    read_identity,
    read_revocations,
)
from wattquorum.node.disk import SECRET, make_folder, read_file, remove_files, write_files
from wattquorum.node.invitations import (
    Invitation,
    Peers,
    Request,
    answer,
    bytes_of,
    place_of,
    read_admission,
    read_invitation,
    read_request,
)

LEDGER_KEY: Final = "ledger.key"
PENDING_KEY: Final = "pending.key"
REQUEST: Final = "request.json"
TLS: Final = "tls.pem"
AUTHORITY: Final = "authority.pem"
REVOKED: Final = "revoked.pem"
GENESIS: Final = "genesis.json"
PEERS: Final = "peers.json"
SECRETS: Final = (LEDGER_KEY, PENDING_KEY, TLS)
OTHERS_MAY: Final = 0o077


class NodeFiles(NamedTuple):
    """What a node starts with."""

    me: bytes
    key: SigningKey
    genesis: bytes
    chain_id: bytes
    contexts: Contexts
    peers: dict[bytes, tuple[str, int]]


def ask(
    folder: Path,
    invitation_data: bytes,
    listen: str,
    now_ms: int,
    random: Callable[[int], bytes],
    fingerprint: str = "",
) -> Request:
    """Makes what keys are missing and the request that answers an invitation; both are in the folder then.

    `fingerprint` is what the authority's must begin with, if the member was told it. Refused: the invitation is forged,
    past its time or of another community than the folder's, or answered by the request that is there. A request that
    answers another invitation is replaced, and so is its TLS key.
    """
    invitation = read_invitation(invitation_data, now_ms)
    authority = invitation.authority.encode()
    if listen:
        place_of(listen, "listen")
    _check_authority(folder, authority, fingerprint)
    if _answers(folder / REQUEST, invitation):
        remedy = f"Send it and wait for the certificate, or remove it and {PENDING_KEY} to begin again."
        raise Refused("file_exists", "request", folder / REQUEST, remedy)
    if invitation.genesis:
        _check_genesis(folder, invitation.genesis.encode())
    make_folder(folder)
    if not (folder / LEDGER_KEY).exists():
        write_files(folder, {LEDGER_KEY: random(KEY_BYTES).hex().encode() + b"\n"}, SECRET)
    secret, tls_request = make_request(invitation.member)
    request = answer(invitation, ledger_key(folder), tls_request, listen)
    write_files(folder, {PENDING_KEY: secret}, SECRET)
    write_files(folder, {AUTHORITY: authority, REQUEST: to_named_json(request)})
    return request


def _answers(request: Path, invitation: Invitation) -> bool:
    """Whether a request is there, whole, that answers this invitation."""
    if not request.exists():
        return False
    try:
        answered = read_request(read_file(request, REQUEST)).invitation
    except Refused:
        return False
    return answered == SigningKey(bytes.fromhex(invitation.secret)).public.hex()


def install(folder: Path, admission_data: bytes, now_ms: int, fingerprint: str = "") -> Identity:
    """Takes over an admission after checking that it is for this node and its keys; the TLS identity then.

    Refused: it is of another community or chain, for another address or key, expired or revoked.
    """
    admission = read_admission(admission_data)
    authority = admission.authority.encode()
    if not (folder / PENDING_KEY).exists():
        raise Refused("key_missing", PENDING_KEY, folder / PENDING_KEY)
    _check_authority(folder, authority, fingerprint)
    genesis = admission.genesis.encode()
    _check_genesis(folder, genesis)
    pem = admission.tls_identity.encode()
    identity = read_identity(pem, authority)
    chain_id = chain_id_of(genesis)
    if identity.chain_id != chain_id:
        raise Refused("chain_wrong", "certificate", identity.chain_id, "Ask the community to admit you to this chain.")
    me = address_of(chain_id, ledger_key(folder).public)
    if identity.address != me:
        remedy = "Install it in the folder that asked for it."
        raise Refused("tls_identity_invalid", "certificate", f"for {identity.address.hex()}, not {me.hex()}", remedy)
    secret = _secret(folder, PENDING_KEY)
    if not is_key_of(secret, pem):
        raise Refused("tls_identity_invalid", "certificate", "for another TLS key", "Send the newest request.")
    identity.check_time(now_ms)
    revoked = admission.revocations.encode()
    listed = read_revocations(revoked, authority)
    if (folder / REVOKED).exists():
        known = read_revocations(read_file(folder / REVOKED, REVOKED), authority)
        if known.number > listed.number:
            revoked, listed = read_file(folder / REVOKED, REVOKED), known
    if identity.serial in listed.serials:
        raise Refused("tls_identity_revoked", "certificate", identity.address)
    write_files(folder, {TLS: pem + secret}, SECRET)
    peers = to_named_json(Peers(admission.peers))
    shared = {AUTHORITY: authority, REVOKED: revoked, GENESIS: genesis, PEERS: peers}
    write_files(folder, shared)
    remove_files(folder, [each for each in (REQUEST, PENDING_KEY) if (folder / each).exists()])
    return identity


def load(folder: Path, now_ms: int) -> NodeFiles:
    """What a node starts with; load it again for a newer list of revocations or a renewed TLS identity.

    Refused: a file is missing or of another community or chain, a secret can be read by others, or the TLS identity is
    expired or revoked.
    """
    key = ledger_key(folder)
    genesis = read_file(folder / GENESIS, GENESIS)
    decode_genesis(genesis)
    chain_id = chain_id_of(genesis)
    _secret(folder, TLS)
    contexts = make_contexts(folder / AUTHORITY, folder / REVOKED, folder / TLS)
    me = address_of(chain_id, key.public)
    if contexts.me.chain_id != chain_id:
        raise Refused("chain_wrong", TLS, contexts.me.chain_id, "Restore the genesis that this node joined with.")
    if contexts.me.address != me:
        raise Refused("tls_identity_invalid", TLS, contexts.me.address, "Restore the ledger key that belongs to it.")
    contexts.me.check_time(now_ms)
    if contexts.me.serial in contexts.revocations.serials:
        raise Refused("tls_identity_revoked", TLS, me)
    peers = from_json(read_file(folder / PEERS, PEERS), Peers, PEERS).peers
    places = {bytes_of(each, len(me), PEERS): place_of(place, PEERS) for each, place in peers.items()}
    places.pop(me, None)
    return NodeFiles(me, key, genesis, chain_id, contexts, places)


def ledger_key(folder: Path) -> SigningKey:
    """The node's ledger key."""
    return read_key(folder / LEDGER_KEY)


def read_key(path: Path) -> SigningKey:
    """A key as `wattquorum keys` writes it.

    Refused: it is not there, others may read it, or it cannot be read.
    """
    text = _secret(path.parent, path.name).decode("ascii", "replace").removesuffix("\n")
    try:
        seed = bytes.fromhex(text)
    except ValueError:
        seed = b""
    if len(seed) != KEY_BYTES:
        raise Refused("encoding_unreadable", path.name, path, "Restore the key from its copy.")
    return SigningKey(seed)


def _secret(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.exists():
        raise Refused("key_missing", name, path)
    if os.stat(path).st_mode & OTHERS_MAY:
        raise Refused("key_public", name, path)
    return read_file(path, name)


def _check_authority(folder: Path, authority: bytes, fingerprint: str) -> None:
    found = fingerprint_of(authority)
    if fingerprint and not found.startswith(fingerprint.lower().replace(":", "")):
        raise Refused(
            "community_foreign", "fingerprint", found, "Ask the community by another way for its fingerprint."
        )
    path = folder / AUTHORITY
    if path.exists() and fingerprint_of(read_file(path, AUTHORITY)) != found:
        raise Refused("community_foreign", "authority", found, "Use another folder for another community.")


def _check_genesis(folder: Path, genesis: bytes) -> None:
    decode_genesis(genesis)
    path = folder / GENESIS
    if path.exists() and read_file(path, GENESIS) != genesis:
        raise Refused("chain_wrong", "genesis", chain_id_of(genesis), "Use another folder for another chain.")
