"""The light client: who has only headers knows which chain a committee agreed on (PROTOCOLS, part 3, "Members").

From the genesis, or from a checkpoint that it trusts, it follows headers one by one. A header proves the one before it,
since its evidence has the certificate of that block and the digest of its entry; the certificate must be of the
committee of its height, every signature good. The committee changes with the header that names the next one, which the
old one has certified. So no node has to be believed; the last header is proven when its certificate is told beside it.

Who needs only to know who agrees now follows from step to step: the headers that name the next committee, each with the
evidence of the block after it. A committee's quorum on a later header proves that one at once, and by its hashes all
that lies between; an honest member signs nothing beyond the block that ends its time.

A restart of a committee (`ledger.restart`) no committee can prove: by the act that stands in the next block it goes on
only where it was told to trust that very act.

Whoever keeps keys of an old committee can make another chain from there on. So a checkpoint must not be older than
keys are kept safe for: its age is bounded, and what is older is refused.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from wattquorum.consensus.bft.certificates import CommitCertificate, is_quorum
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.statements import Phase, statement_check
from wattquorum.foundation.codec import Named, Record, Unsigned, changed, from_json, to_named_json
from wattquorum.foundation.identities import Verifier, address_of
from wattquorum.foundation.intervals import MS_PER_DAY
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import Restart, Sealed, agreed_digest, restart_digest, restart_in, sealed_in
from wattquorum.ledger.blocks import Header, decode_committee, header_hash
from wattquorum.ledger.genesis import (
    chain_id_of,
    decode_genesis,
    first_parameters,
    founding_voters,
    genesis_hash,
)
from wattquorum.ledger.parameters import Consensus

FORMAT: Final = 1
MAX_AGE_DAYS: Final = 30  # of a checkpoint, by default
AHEAD_MS: Final = 10 * 60_000  # by which clocks may differ


class Checkpoint(Named, frozen=True):
    """A proven header and the committee that agrees after it. JSON, to be kept and to be handed on."""

    format: int
    chain: str
    height: Unsigned
    header: str  # its hash
    state: str  # the state digest after it
    time_ms: Unsigned  # of the block
    version: Unsigned  # of the committee that agrees on the next block
    first: Unsigned  # the first height on which that committee agrees
    keys: tuple[str, ...]  # in its order


class Step(Record, frozen=True):
    """A header that names the next committee, or the last before a restart, and the evidence of the block after it."""

    header: Header
    evidence: bytes


class Steps:
    """The steps of a chain, kept as its headers come: what whoever is new has to see of all that was before."""

    __slots__ = ("_last", "_named", "_steps")

    def __init__(self) -> None:
        self._last: Header | None = None
        self._named: Header | Restart | None = None  # what named a committee last
        self._steps: list[Step] = []

    @property
    def height(self) -> int:
        """The last header that was noted."""
        return 0 if self._last is None else self._last.height

    def note(self, header: Header) -> None:
        """The next header of the chain; any other changes nothing."""
        if header.height != self.height + 1:
            return
        restarted = restart_in(header.evidence)
        if self._last is not None and (self._last.committee or restarted is not None):
            self._steps.append(Step(self._last, header.evidence))
        self._last = header
        if header.committee:
            self._named = header
        elif restarted is not None:
            self._named = restarted.restart

    def lead(self, light: LightClient) -> None:
        """Takes a light client, which is at the genesis, to the last header: these are this replica's own."""
        if self._last is not None:
            light.stand_at(self._last, light.committee if self._named is None else light.named_in(self._named))

    def between(self, above: int, below: int) -> Iterator[Step]:
        """Those at heights above one and below another, ascending."""
        first = bisect_right(self._steps, above, key=lambda step: step.header.height)
        for step in self._steps[first:]:
            if step.header.height >= below:
                return
            yield step


class LightClient:
    """Follows a chain by its headers. `proven` is the last header that a committee's certificate proves."""

    __slots__ = ("_committee", "_pending", "_trusted", "_verify", "chain_id", "checkpoint", "committees")

    def __init__(self, genesis: bytes, verify: Verifier, trusted: Sequence[bytes] = ()) -> None:
        """At the genesis; Refused("consensus_other") for a chain on which no committee signs.

        `trusted` are the digests of restarts by which it goes on.
        """
        found = decode_genesis(genesis)
        consensus = Consensus(first_parameters(found).consensus)
        if consensus is Consensus.RAFT:
            remedy = "Nobody signs blocks on a chain of Raft: see `wattquorum verify` and `audit`."
            raise Refused("consensus_other", "genesis", consensus.name.lower(), remedy)
        self.chain_id = chain_id_of(genesis)
        self._verify, self._trusted = verify, tuple(trusted)
        keys = {address_of(self.chain_id, key): key for key in map(bytes.fromhex, found.proposers)}
        members = founding_voters(found, self.chain_id)
        self._committee = Committee(0, 1, members, [keys[member] for member in members])
        self.committees = 1  # that were followed
        self.checkpoint = self._at(0, genesis_hash(genesis), genesis_hash(genesis), found.created_ms, self._committee)
        self._pending: Header | None = None  # the next one, not proven yet

    def _at(self, height: int, hash_: bytes, state: bytes, time_ms: int, committee: Committee) -> Checkpoint:
        return Checkpoint(
            FORMAT,
            self.chain_id.hex(),
            height,
            hash_.hex(),
            state.hex(),
            time_ms,
            committee.epoch,
            committee.first,
            tuple(key.hex() for key in committee.keys),
        )

    def begin_at(self, checkpoint: Checkpoint, now_ms: int, max_age_days: int = MAX_AGE_DAYS) -> None:
        """Goes on from a checkpoint; Refused: chain_wrong, checkpoint_old, checkpoint_wrong."""
        if checkpoint.format != FORMAT or checkpoint.chain != self.chain_id.hex():
            raise Refused("chain_wrong", "checkpoint.chain", checkpoint.chain)
        age = (now_ms - checkpoint.time_ms) // MS_PER_DAY
        if checkpoint.time_ms > now_ms + AHEAD_MS:
            raise Refused("checkpoint_wrong", "checkpoint.time_ms", checkpoint.time_ms, "It is of a time to come.")
        if age > max_age_days:
            remedy = f"Take one of the last {max_age_days} days from somebody whom you trust."
            raise Refused("checkpoint_old", "checkpoint.time_ms", f"{age} days", remedy)
        try:
            keys = [bytes.fromhex(key) for key in checkpoint.keys]
            members = [address_of(self.chain_id, key) for key in keys]
            bytes.fromhex(checkpoint.header + checkpoint.state)
        except ValueError:
            raise Refused("checkpoint_wrong", "checkpoint", "hexadecimal digits") from None
        if len(dict.fromkeys(members)) != len(members) or not members:
            raise Refused("checkpoint_wrong", "checkpoint.keys", len(members))
        self._committee = Committee(checkpoint.version, checkpoint.first, members, keys)
        self.checkpoint, self._pending = checkpoint, None

    @property
    def committee(self) -> Committee:
        """Who agrees after what is proven."""
        return self._committee

    def named_in(self, by: Header | Restart) -> Committee:
        """The committee that a header or a restart names; who agreed before, where it names none."""
        if isinstance(by, Header) and not by.committee:
            return self._committee
        named = by if isinstance(by, Restart) else decode_committee(by.committee)
        members = [address_of(self.chain_id, key) for key in named.keys]
        return Committee(named.version, by.height + 1, members, named.keys)

    def stand_at(self, header: Header, committee: Committee) -> None:
        """Goes on from a block whose effect this replica has itself, and from who agrees after it."""
        hash_ = header_hash(header)
        self._committee, self._pending = committee, None
        self.checkpoint = self._at(header.height, hash_, header.state_digest, header.time_ms, committee)

    @property
    def next(self) -> int:
        """The height of the header that is to be taken next."""
        return self.checkpoint.height + (1 if self._pending is None else 2)

    def take(self, header: Header) -> None:
        """The next header, which proves the one before.

        Refused: header_gap, evidence_wrong, signers_wrong, seal_forged; nothing is believed then. chain_restarted for
        one that goes on by a restart which is not trusted; what lies before it is proven then.
        """
        if header.height != self.next:
            raise Refused("header_gap", "height", header.height, f"Give the header of block {self.next}.")
        before = self._pending
        previous = header_hash(before).hex() if before is not None else self.checkpoint.header
        if header.previous.hex() != previous:
            raise Refused("header_gap", "previous", header.previous, "It follows another block.")
        if before is not None:
            sealed = sealed_in(header.evidence)
            if sealed is None:
                raise Refused("evidence_wrong", "evidence", "nothing")
            self.prove(sealed)
        self._go_on_by(header.evidence)
        self._pending = header

    def retract(self) -> None:
        """Lets go of a header that was taken last and is not proven."""
        self._pending = None

    def prove(self, sealed: Sealed) -> None:
        """Proves the header that was taken last, by its certificate and the digest of its entry. Refused as `take`."""
        header = self._pending
        if header is None:
            raise Refused("header_gap", "certificate", sealed.certificate.height, "Take its header first.")
        self._check(header, sealed)
        self._pass_on(header)

    def leap(self, header: Header, sealed: Sealed) -> None:
        """A later header, proven at once, since the present committee has certified it itself. Refused as `take`.

        Whatever lies between names no other committee: an honest member of this one would not have signed it then.
        """
        self.check(header, sealed)
        self._pass_on(header)

    def step(self, step: Step) -> None:
        """The header that names the next committee. Refused as `take`."""
        sealed = sealed_in(step.evidence)
        if sealed is None or not (step.header.committee or restart_in(step.evidence)):
            raise Refused("evidence_wrong", "step", step.header.height, "Give a header that names a committee.")
        self.leap(step.header, sealed)
        self._go_on_by(step.evidence)

    def _go_on_by(self, evidence: bytes) -> None:
        """Another committee follows what is proven, where the next block's evidence has a restart that is trusted."""
        restarted = restart_in(evidence)
        if restarted is None:
            return
        restart, proven = restarted.restart, self.checkpoint
        told = (restart.chain.hex(), restart.height, restart.block.hex())
        if told != (proven.chain, proven.height, proven.header):
            raise Refused("evidence_wrong", "restart", restart.height, "It goes on from another block.")
        digest = restart_digest(restart)
        if digest not in self._trusted:
            raise Refused("chain_restarted", "restart", digest)
        self._committee = committee = self.named_in(restart)
        self.committees += 1
        keys = tuple(key.hex() for key in committee.keys)
        self.checkpoint = changed(proven, version=committee.epoch, first=committee.first, keys=keys)

    def check(self, header: Header, sealed: Sealed) -> None:
        """Refuses a later header that the present committee has not certified, as `take`; goes nowhere."""
        if header.height <= self.checkpoint.height:
            raise Refused("header_gap", "height", header.height, f"Give one above {self.checkpoint.height}.")
        self._check(header, sealed)

    def _pass_on(self, header: Header) -> None:
        """A header that is proven is passed, and who agrees after it known."""
        committee = self.named_in(header)
        self.committees += committee is not self._committee
        self._committee = committee
        self.checkpoint = self._at(header.height, header_hash(header), header.state_digest, header.time_ms, committee)
        self._pending = None

    def _check(self, header: Header, sealed: Sealed) -> None:
        certificate: CommitCertificate = sealed.certificate
        digest = agreed_digest(self.chain_id, header, sealed.entry)
        if (certificate.height, certificate.digest) != (header.height, digest):
            raise Refused("evidence_wrong", "evidence", certificate.height, "It is of another block.")
        if not is_quorum(certificate, self._committee):
            places = ", ".join(str(seal.member) for seal in certificate.seals)
            raise Refused("signers_wrong", "evidence", places, f"{self._committee.quorum} of the committee must sign.")
        checks = [
            statement_check(
                self.chain_id,
                self._committee,
                seal.member,
                header.height,
                certificate.view,
                Phase.COMMIT,
                digest,
                seal.signature,
            )
            for seal in certificate.seals
        ]
        for seal, good in zip(certificate.seals, self._verify(checks), strict=True):
            if not good:
                raise Refused("seal_forged", "evidence", self._committee.members[seal.member])


def read_checkpoint(data: bytes) -> Checkpoint:
    """A checkpoint from its file; Refused for anything else."""
    return from_json(data, Checkpoint, "checkpoint")


def written_checkpoint(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as a file."""
    return to_named_json(checkpoint)
