"""Restoring: a node's folder from a backup, with promises that it can keep.

A backup says what was decided up to a block, and nothing of what a replica promised since: votes, and entries that it
acknowledged. A replica that forgot such promises harms the others, who count on them: it may vote for a second leader
in one term, or elect one that lacks what was acknowledged. Waiting does not help, since others never stop counting on
an acknowledged entry. So there are two ways back, and no third:

One node, while the others go on. It gets a ledger key that the chain has never seen, promises nothing, and is admitted
as a new replica is: a learner, which decides nothing until it has everything. Its chain saves it fetching old blocks. A
key that ever had a seat is refused.

The whole community, from one backup, while every node is stopped. Then there is nobody left who counts on an old
promise, provided that all come back this way. Every node gets the same log, made of the backup's chain alone: the state
at its last epoch's end, the blocks after it as entries, the newest voters, in a term far above any that was before, so
that whoever comes back with an old log is behind and finds itself diverged. What was decided after the backup is lost.

Where a committee agrees, a term binds nobody, and old certificates stay good for ever. There the whole community comes
back by an act of governors (see `ledger.restart`) that names the block it goes on from and who goes on, as a new
version of the committee, for which nobody has promised anything. A chain proves every block but its last, so that is
the last but one at most.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.consensus.bft.blocks import genesis_digest
from wattquorum.consensus.bft.committee import Installed, installed
from wattquorum.consensus.bft.records import Base, BftRecord, Certified, Held, Viewed
from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_entry
from wattquorum.consensus.raft.records import Appended, Ballot
from wattquorum.consensus.raft.records import Base as RaftBase
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import KEY_BYTES, SigningKey, Verifier, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.restart import Act, check_approvals, members_of
from wattquorum.ledger.validators import configuration_of
from wattquorum.node.auditing import audit_folder
from wattquorum.node.backup import CHAIN, WAL, Manifest, copy_chain, read_manifest
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.disk import SECRET, UNFINISHED, make_folder, read_file, sync_file, sync_folder, write_files
from wattquorum.node.node_folder import GENESIS, LEDGER_KEY, ledger_key
from wattquorum.node.restarting import name_of, written_act
from wattquorum.node.wal import Wal
from wattquorum.replica.agreeing import archived
from wattquorum.replica.recovery import ordered_again
from wattquorum.replica.replica import copy_of, founding_configuration

TERMS_APART: Final = 1 << 20  # between a backup's term and that of a recovery from it, and between two recoveries
INDEXES_APART: Final = 1 << 32  # no log that was before has come so far
ENTRIES_IN_A_RECORD: Final = 256
NOTHING_PROMISED: Final = Ballot(0, b"")


class Restored(NamedTuple):
    """What a folder was made of."""

    manifest: Manifest
    address: bytes  # of its ledger key on the chain
    public: bytes  # that key
    new_key: bool  # made now
    term: int  # that it begins in, or the committee's version that it goes on with; 0: with nothing promised


class _Proven(NamedTuple):
    """A backup that its manifest and an audit have proven."""

    manifest: Manifest
    ledger: Ledger  # after its last block
    base: _Base | None
    entries: list[bytes]  # blocks after the base, as they were ordered
    committees: list[tuple[int, Installed]]  # made by blocks after the base: the block's height


class _Base(NamedTuple):
    """A state at an epoch's end."""

    height: int
    configuration: Configuration
    state: bytes
    committees: tuple[Installed, ...]  # of the block and of the next one, where committees agree


def restore(
    backup: Path, to: Path, verify: Verifier, on_block: Callable[[int, int], None] = lambda _height, _all: None
) -> Restored:
    """Makes a folder of a node that is new to the community, with the chain of a backup.

    Where `to` has a ledger key, as after `wattquorum join`, that one is taken, otherwise one is made. Refused:
    backup_altered, or what an audit finds; seat_taken where the chain knows the key; folder_exists where `to` has a
    chain or a log already.
    """
    _check_vacant(to)
    upto = read_manifest(backup).height - 1
    proven = _prove(backup, verify, on_block, upto=upto)
    new = not (to / LEDGER_KEY).exists()
    seed = os.urandom(KEY_BYTES)
    key = SigningKey(seed) if new else ledger_key(to)
    if proven.ledger.votes(key.public):
        remedy = "What it promised is not in a backup: join with a new ledger key, or see --disaster."
        raise Refused("seat_taken", "ledger.key", address_of(proven.ledger.chain_id, key.public), remedy)
    _check_genesis(to, proven.ledger)
    make_folder(to)
    if new:
        write_files(to, {LEDGER_KEY: seed.hex().encode() + b"\n"}, SECRET)
    by_committee = proven.ledger.by_committee
    records = _agreed_log(backup, proven, upto) if by_committee else [Durable(1, encode(NOTHING_PROMISED))]
    _put(backup, to, proven.ledger, records)
    return Restored(proven.manifest, address_of(proven.ledger.chain_id, key.public), key.public, new, 0)


def recover(
    backup: Path,
    to: Path,
    verify: Verifier,
    attempt: int = 1,
    on_block: Callable[[int, int], None] = lambda _height, _all: None,
    act: Act | None = None,
) -> Restored:
    """Makes the chain and the log of a voter anew, where a whole community comes back from one backup.

    `attempt` counts recoveries from this backup: all nodes of one have the same, a later one a higher; where committees
    agree the version that `act` names does that. Refused, besides what `restore` is refused for: validator_unknown
    where `to` has not the ledger key of a voter; approvals_missing without an act, where one is needed, and what an act
    is refused for.
    """
    _check_vacant(to)
    if act is not None:
        return _recover_by(act, backup, to, verify, on_block)
    if not 1 <= attempt <= 1_000:
        raise Refused("out_of_range", "attempt", attempt, "Count recoveries from this backup from 1 on.")
    key = ledger_key(to)
    proven = _prove(backup, verify, on_block)
    ledger = proven.ledger
    if ledger.by_committee:
        raise Refused("approvals_missing", "act", "none", "Governors say who goes on: see `wattquorum restart --help`.")
    me = address_of(ledger.chain_id, key.public)
    _check_genesis(to, ledger)
    if me not in [voter.replica for voter in ledger.configuration.new]:
        raise Refused("validator_unknown", "ledger.key", me, "It has no vote: restore it without --disaster, and join.")
    term = max(proven.manifest.term, ledger.tip.round.term if ledger.tip else 0) + attempt * TERMS_APART
    _put(backup, to, ledger, _log(proven, term, attempt * INDEXES_APART))
    return Restored(proven.manifest, me, key.public, False, term)


def _recover_by(act: Act, backup: Path, to: Path, verify: Verifier, on_block: Callable[[int, int], None]) -> Restored:
    """The same where committees agree, up to the block that an act names."""
    key, restart, manifest = ledger_key(to), act.restart, read_manifest(backup)
    if not 0 < restart.height < manifest.height:
        remedy = f"A backup proves every block but its last: have an act made from one up to {manifest.height - 1}."
        raise Refused("out_of_range", "act.height", restart.height, remedy)
    me = address_of(restart.chain, key.public)
    if me not in members_of(restart):
        raise Refused("validator_unknown", "ledger.key", me, "The act does not name it: restore it without --disaster.")

    def reached(ledger: Ledger) -> None:
        ledger.restarted_by(restart)
        check_approvals(ledger.state, act)

    proven = _prove(backup, verify, on_block, upto=restart.height, reached=reached)
    _check_genesis(to, proven.ledger)
    write_files(to, {name_of(restart.height): written_act(act)})
    _put(backup, to, proven.ledger, _agreed_log(backup, proven, restart.height), restart.height)
    return Restored(manifest, me, key.public, False, restart.version)


def _check_vacant(to: Path) -> None:
    for name in (CHAIN, WAL):
        if (to / name).exists():
            remedy = "Move it elsewhere first, and keep it: it may know more than the backup."
            raise Refused("folder_exists", "to", to / name, remedy)


def _check_genesis(to: Path, ledger: Ledger) -> None:
    if (to / GENESIS).exists() and read_file(to / GENESIS, GENESIS) != ledger.genesis_bytes:
        raise Refused("chain_wrong", GENESIS, to / GENESIS, "This folder belongs to another community.")


def _prove(
    backup: Path,
    verify: Verifier,
    on_block: Callable[[int, int], None],
    upto: int | None = None,
    reached: Callable[[Ledger], None] = lambda _ledger: None,
) -> _Proven:
    """Checks every file of a backup and executes its chain again.

    Base and entries are those of blocks up to `upto`, after which `reached` is told the ledger.
    """
    manifest = read_manifest(backup)
    last = manifest.height if upto is None else upto
    ledgers: list[Ledger] = []
    base: _Base | None = None
    after: list[bytes] = []
    committees: list[tuple[int, Installed]] = []
    newest = 0  # the version of the committee that agrees on the next block
    with ChainFolder(backup / CHAIN) as chain:

        def begins(ledger: Ledger) -> None:
            nonlocal base
            base = _Base(ledger.height, _newest(ledger), copy_of(ledger), _committees(ledger))
            after.clear()
            committees.clear()

        def executed(each: Executed) -> None:
            nonlocal newest
            header, ledger = each.block.header, ledgers[-1]
            height, before, newest = header.height, newest, ledger.configuration.version
            on_block(height, manifest.height)
            if height > last:
                return
            if header.state_root:
                begins(ledger)
            else:
                after.append(encode(ordered_again(decode_block(each.data), chain.rows)))
                if ledger.by_committee and header.round.new != before:  # governors restarted it here
                    committees.append((height - 1, _installed(ledger, header.round.new)))
                if header.committee:
                    committees.append((height, _installed(ledger, newest)))
            if height == last:
                reached(ledger)

        def begun(ledger: Ledger) -> None:
            nonlocal newest
            ledgers.append(ledger)
            newest = ledger.configuration.version
            if ledger.tip is not None and ledger.height <= last:  # rows were forgotten: it goes on from a snapshot
                begins(ledger)

        audited = audit_folder(chain, verify, executed, begun)
        found = (chain.chain_id.hex(), audited.height, audited.tip_hash.hex(), audited.digest.hex())
    if found != (manifest.chain, manifest.height, manifest.block, manifest.state):
        raise Refused("backup_altered", CHAIN, f"block {audited.height} {found[2]}", "Use another backup.")
    return _Proven(manifest, ledgers[-1], base, after, committees)


def _committees(ledger: Ledger) -> tuple[Installed, ...]:
    """Who agreed on the last block and who agrees on the next; nothing where powers and not heads are counted."""
    if not ledger.by_committee or ledger.tip is None:
        return ()
    versions = sorted({ledger.tip.round.new, ledger.configuration.version})
    return tuple(_installed(ledger, version) for version in versions)


def _installed(ledger: Ledger, version: int) -> Installed:
    return installed(configuration_of(ledger.state, version), ledger.key_of)


def _agreed_log(backup: Path, proven: _Proven, upto: int) -> list[Durable]:
    """A log of one who agrees or follows, that has the blocks up to a height and promised nothing."""
    base = proven.base
    first = base.height if base is not None else 1
    records: list[BftRecord] = []
    with ChainFolder(backup / CHAIN) as chain:
        blocks = {position.height: data for position, data in chain.read(first) if position.height <= upto + 1}
        genesis = genesis_digest(chain.chain_id)
        for height in range(first, upto + 1):
            chained = archived(genesis, height, blocks.get, chain.rows)
            if chained is None:
                raise Refused("backup_altered", CHAIN, f"block {height} is not certified by what follows it")
            if base is not None and height == base.height:
                viewed = Viewed(base.committees[-1].configuration.version, 0)
                records.append(Base(base.committees, viewed, chained, base.state, height, ()))
            else:
                records += [Held(chained.block), Certified(chained.commit_certificate)]
            records += [made for at, made in proven.committees if at == height]
    records = records or [Viewed(0, 0)]
    return [
        Durable(number, encode(record), number == 1 and base is not None) for number, record in enumerate(records, 1)
    ]


def _newest(ledger: Ledger) -> Configuration:
    newest = ledger.configuration
    return newest if newest.version else founding_configuration(ledger)


def _log(proven: _Proven, term: int, apart: int) -> list[Durable]:
    """The log that all nodes of a recovery begin with: the same bytes from the same backup."""
    entries = [Entry(term, Kind.PAYLOAD, payload) for payload in proven.entries]
    newest = _newest(proven.ledger)
    first = 1
    records: list[Ballot | RaftBase | Appended] = [Ballot(term, b"")]
    if proven.base is not None:
        base = proven.base
        index = apart + base.height
        records = [RaftBase(Ballot(term, b""), index, term, base.configuration, base.state, ())]
        first = index + 1
    if newest.version and (proven.base is None or newest != proven.base.configuration):
        entries.append(configuration_entry(term, newest))
    for at in range(0, len(entries), ENTRIES_IN_A_RECORD):
        records.append(Appended(first + at, tuple(entries[at : at + ENTRIES_IN_A_RECORD])))
    return [Durable(number, encode(record), number == 1) for number, record in enumerate(records, 1)]


def _put(backup: Path, to: Path, ledger: Ledger, records: Sequence[Durable], upto: int | None = None) -> None:
    """Puts chain and log beside their names, durable, and then gives them these: a node starts with both or refuses."""
    chain, wal = (to / (name + UNFINISHED) for name in (CHAIN, WAL))
    for left in (chain, wal):
        _remove(left)
    if not (to / GENESIS).exists():
        write_files(to, {GENESIS: ledger.genesis_bytes})
    if upto is None:
        _copy(backup / CHAIN, chain)
    else:
        with ChainFolder(backup / CHAIN) as whole:
            copy_chain(whole, upto, chain, None)
    log = Wal(wal, ledger.chain_id)
    try:
        log.write(records)
        log.sync()
    finally:
        log.close()
    sync_folder(wal)
    chain.rename(to / CHAIN)
    sync_folder(to)
    wal.rename(to / WAL)
    sync_folder(to)


def _remove(path: Path) -> None:
    """Removes what an interrupted restoring left."""
    if path.is_dir():
        for each in sorted(path.rglob("*"), reverse=True):
            each.rmdir() if each.is_dir() else each.unlink()
        path.rmdir()


def _copy(source: Path, to: Path) -> None:
    """Copies a folder's files durably."""
    make_folder(to)
    for path in sorted(source.rglob("*")):
        target = to / path.relative_to(source)
        if path.is_dir():
            make_folder(target)
            continue
        make_folder(target.parent)
        with path.open("rb") as reading:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                with os.fdopen(os.dup(descriptor), "wb") as writing:
                    while data := reading.read(1 << 20):
                        writing.write(data)
                sync_file(descriptor)
            finally:
                os.close(descriptor)
    for path in sorted(to.rglob("*")):
        if path.is_dir():
            sync_folder(path)
    sync_folder(to)
