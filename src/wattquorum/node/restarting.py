"""Restarting a committee: the act of governors as a file, which they sign one after the other, and operators keep.

    restart-00000042.json    in a node's folder: by which act the chain goes on after block 42

A node that has such a file goes along with it once its chain is at that very block, and halts where the chain has gone
on otherwise. See `ledger.restart` for what an act does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wattquorum.foundation.codec import Named, Unsigned, from_json, to_named_json
from wattquorum.foundation.identities import SIGNATURE_BYTES, SigningKey, Verifier, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import RESTART_PURPOSE, Approval, Restart, restart_message
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.parameters import Consensus
from wattquorum.ledger.restart import Act, check_approvals
from wattquorum.ledger.seats import Seat, Validator
from wattquorum.ledger.state import Table
from wattquorum.ledger.validators import seats_of
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.disk import read_file, write_files
from wattquorum.replica.recovery import recovered

FORMAT: Final = 1
PATTERN: Final = "restart-*.json"


class Signed(Named, frozen=True):
    """A governor's approval. Both are hexadecimal."""

    governor: str
    signature: str


class Written(Named, frozen=True):
    """An act as a file; addresses, keys and hashes are hexadecimal."""

    format: int
    chain: str
    height: Unsigned
    block: str
    version: Unsigned
    keys: tuple[str, ...]
    approvals: tuple[Signed, ...]


def name_of(height: int) -> str:
    """The file's name in a node's folder."""
    return f"restart-{height:08d}.json"


def read_act(data: bytes) -> Act:
    """An act from its file; Refused for anything else. Whether it is approved is looked at by who carries it out."""
    found = from_json(data, Written, "act")
    if found.format != FORMAT:
        raise Refused("out_of_range", "act.format", found.format, f"This version reads format {FORMAT}.")
    try:
        keys = tuple(bytes.fromhex(key) for key in found.keys)
        restart = Restart(bytes.fromhex(found.chain), found.height, bytes.fromhex(found.block), found.version, keys)
        approvals = [(bytes.fromhex(each.governor), bytes.fromhex(each.signature)) for each in found.approvals]
    except ValueError:
        raise Refused("encoding_unreadable", "act", "hexadecimal digits") from None
    wrong = [key for key in keys if len(key) != 32] + [each for _, each in approvals if len(each) != SIGNATURE_BYTES]
    if wrong or len(restart.block) != 32:
        raise Refused("encoding_unreadable", "act", "a key, hash or signature of another length")
    return Act(restart, tuple(Approval(governor, signature) for governor, signature in approvals))


def written_act(act: Act) -> bytes:
    """An act as a file."""
    restart = act.restart
    approvals = tuple(Signed(each.governor.hex(), each.signature.hex()) for each in act.approvals)
    keys = tuple(key.hex() for key in restart.keys)
    chain, block = restart.chain.hex(), restart.block.hex()
    return to_named_json(Written(FORMAT, chain, restart.height, block, restart.version, keys, approvals))


def acts_in(folder: Path) -> list[Act]:
    """The acts by which a node's chain goes on, as its operator put them into its folder."""
    return [read_act(read_file(path, path.name)) for path in sorted(folder.glob(PATTERN))]


def ledger_at(chain: ChainFolder, height: int, verify: Verifier) -> Ledger:
    """The ledger after a block of a chain, executed from its beginning."""
    blocks = (data for position, data in chain.read() if position.height <= height)
    return recovered(chain.genesis_bytes, None, blocks, chain.rows, verify)


def plan(ledger: Ledger, keep: Sequence[str], attempt: int = 1) -> Act:
    """The act by which these replicas go on, named by their member or by address; nobody has approved it yet.

    `attempt` counts acts from the same block. Refused: consensus_other, validator_unknown, out_of_range, and what
    cannot be carried out.
    """
    if not ledger.by_committee or ledger.tip is None:
        raise Refused("consensus_other", "chain", ledger.consensus.name.lower(), "See `wattquorum restore --help`.")
    found: list[tuple[bytes, Validator]] = list(ledger.state.items(Table.VALIDATOR))
    seated = {replica: each for replica, each in found if each.seat is not Seat.REMOVED}
    names: dict[str, bytes] = {}
    for replica, each in seated.items():
        account = ledger.account(each.member) if each.member else None
        names[replica.hex()] = replica
        if account is not None:
            names[account.name] = replica
    unknown = [name for name in keep if name not in names]
    if unknown:
        raise Refused(
            "validator_unknown", "keep", unknown[0], "Name members that have a seat, or addresses of replicas."
        )
    replicas = list(dict.fromkeys(names[name] for name in keep))
    if ledger.consensus is Consensus.PBFT:
        replicas.sort()
    version = seats_of(ledger.state).newest + attempt
    keys = tuple(seated[replica].key for replica in replicas)
    restart = Restart(ledger.chain_id, ledger.height, ledger.tip_hash, version, keys)
    ledger.restarted_by(restart)
    return Act(restart, ())


def approve(act: Act, key: SigningKey, governor: bytes = b"") -> Act:
    """The act with a governor's approval; `governor` is its account, where it is not the key's own address."""
    address = governor or address_of(act.restart.chain, key.public)
    own = Approval(address, key.sign(RESTART_PURPOSE, restart_message(act.restart)))
    others = [each for each in act.approvals if each.governor != address]
    return act._replace(approvals=tuple(sorted((*others, own), key=lambda each: each.governor)))


def install(folder: Path, act: Act, chain: ChainFolder, verify: Verifier) -> None:
    """Puts an act into a node's folder. Refused where its chain has gone on from that block, or has another there.

    The approvals are checked where the chain is at the block already; everywhere else the node checks them when it is.
    """
    restart = act.restart
    if restart.chain != chain.chain_id:
        raise Refused("chain_wrong", "act.chain", restart.chain)
    if chain.height > restart.height:
        remedy = f"This folder's chain has {chain.height} blocks: restart from the highest, or restore this node."
        raise Refused("out_of_range", "act.height", restart.height, remedy)
    if chain.height == restart.height:
        ledger = ledger_at(chain, restart.height, verify)
        ledger.restarted_by(restart)
        check_approvals(ledger.state, act)
    write_files(folder, {name_of(restart.height): written_act(act)})
