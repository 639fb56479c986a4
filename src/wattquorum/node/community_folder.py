"""The community's folder: its authority, whom it invited and admitted, and what it revoked.

    authority.key    the authority's secret key, for its owner alone: whoever has it lets anybody connect
    authority.pem    the authority's certificate, for everybody
    register.json    invitations and TLS identities, in the order in which they were made; the one truth of the folder
    revoked.pem      the signed list of what was revoked, for every node; it follows from the register
    peers.json       where the admitted nodes listen, for every node; it follows from the register
    genesis.json     what the chain starts from, written once the first requests are there; addresses follow from it

It stands apart from a node's folder, because it belongs on a machine that no node runs on. One command at a time
changes it. A change is in the register before anything of it is given away, so that a secret serves once even when
the machine stops in between.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.foundation.codec import Name, Named, Text, Unsigned, changed, from_json, to_named_json
from wattquorum.foundation.identities import ADDRESS_BYTES, KEY_BYTES, SigningKey, address_of
from wattquorum.foundation.intervals import format_moment
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.genesis import FORMAT as GENESIS_FORMAT
from wattquorum.ledger.genesis import Founder, Genesis, chain_id_of, decode_genesis, encode_genesis
from wattquorum.node.chain_files import locked
from wattquorum.node.community import (
    DAY_MS,
    IDENTITY_DAYS,
    Authority,
    fingerprint_of,
    is_requested_by,
    make_authority,
    read_identity,
    read_revocations,
)
from wattquorum.node.disk import SECRET, make_folder, read_file, write_files
from wattquorum.node.invitations import (
    ADMISSION_PURPOSE,
    FORMAT,
    INVITATION_PURPOSE,
    Admission,
    Invitation,
    Peers,
    Request,
    bytes_of,
    check_name,
    read_request,
    signed_by,
)

KEY: Final = "authority.key"
AUTHORITY: Final = "authority.pem"
REGISTER: Final = "register.json"
REVOKED: Final = "revoked.pem"
PEERS: Final = "peers.json"
GENESIS: Final = "genesis.json"
OTHERS_MAY: Final = 0o077


class Invited(Named, frozen=True):
    """An invitation: the public half of its secret, for whom, until when, and what it led to."""

    key: str
    member: Name
    expires_ms: Unsigned
    used_ms: Unsigned  # 0: not yet


class Certified(Named, frozen=True):
    """A TLS identity that was issued."""

    serial: str  # hexadecimal
    member: Name
    ledger_key: str
    address: str
    listen: Text
    tls_identity: str  # PEM
    ends_ms: Unsigned
    revoked_ms: Unsigned  # 0: it is not

    def in_force(self, now_ms: int) -> bool:
        """Whether it opens anything."""
        return not self.revoked_ms and now_ms < self.ends_ms


class Register(Named, frozen=True):
    """The content of register.json."""

    format: int
    community: Name
    list_number: Unsigned  # of the newest list of revocations
    invitations: tuple[Invited, ...]
    identities: tuple[Certified, ...]


class Rules(NamedTuple):
    """What a community decides of its chain before it begins."""

    currency: str
    approvals_needed: int
    parameters: Mapping[str, int]


def found(folder: Path, community: str, now_ms: int) -> str:
    """Makes the authority and its folder, with a list that revokes nothing; the authority's fingerprint.

    Refused("folder_exists") unless the folder is new or empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused("folder_exists", "folder", folder)
    check_name(community, "name")
    register = Register(FORMAT, community, 0, (), ())
    key, pem = make_authority(community, now_ms)
    make_folder(folder)
    write_files(folder, {KEY: key}, SECRET)
    listed = Authority(key, pem).revocations((), 0, now_ms)
    write_files(folder, {AUTHORITY: pem, REVOKED: listed, REGISTER: to_named_json(register)})
    return fingerprint_of(pem)


class CommunityFolder:
    """An open community folder; `opened` locks it."""

    def __init__(self, folder: Path, now_ms: int) -> None:
        """Refused("file_unreadable") where there is none, Refused("key_public") when others can read its key."""
        self._folder = folder
        if (folder / KEY).exists() and (folder / KEY).stat().st_mode & OTHERS_MAY:
            raise Refused("key_public", KEY, folder / KEY)
        pem = read_file(folder / AUTHORITY, AUTHORITY)
        self._authority = Authority(read_file(folder / KEY, KEY), pem)
        data = read_file(folder / REGISTER, REGISTER)
        self.register = from_json(data, Register, REGISTER)
        self.fingerprint = fingerprint_of(pem)
        listed = read_revocations(read_file(folder / REVOKED, REVOKED), pem)
        if listed.number != self.register.list_number:  # a revocation was interrupted
            self._write_list(now_ms)
        self._write_peers(now_ms)

    @property
    def genesis(self) -> str:
        """The genesis, checked; empty: there is none yet."""
        path = self._folder / GENESIS
        if not path.exists():
            return ""
        data = read_file(path, GENESIS)
        decode_genesis(data)
        return data.decode()

    def peers(self, now_ms: int) -> dict[str, str]:
        """Where the admitted nodes listen, the newest word of each."""
        return {each.address: each.listen for each in self.register.identities if each.listen and each.in_force(now_ms)}

    def invite(self, member: str, days: int, now_ms: int, secret: bytes) -> bytes:
        """An invitation for a member, to be used once within some days; `secret` is 32 random bytes."""
        check_name(member, "member")
        expires = now_ms + days * DAY_MS
        invited = Invited(SigningKey(secret).public.hex(), member, expires, 0)
        invitation = Invitation(
            FORMAT,
            self.register.community,
            self._authority.pem.decode(),
            member,
            expires,
            secret.hex(),
            self.genesis,
            self.peers(now_ms),
            "",
        )
        given = signed_by(self._authority, invitation, INVITATION_PURPOSE)
        self._keep(changed(self.register, invitations=(*self.register.invitations, invited)))
        return given

    def admit(self, request_data: bytes, now_ms: int, days: int = IDENTITY_DAYS) -> tuple[Certified, bytes]:
        """The TLS identity for a request, and the admission that carries it; its invitation is used up.

        The address follows from the chain and the ledger key, which the request proves to hold. Refused: the chain has
        no genesis here, the invitation is unknown, used, past its time or somebody else's, or a proof is wrong. The
        request that used an invitation gets its TLS identity again, while that is in force.
        """
        again = self._admitted(request_data, now_ms)
        if again is not None:
            return again, self._admission(again, self.genesis, now_ms)
        request, number = self._proven(request_data, now_ms)
        invited = self.register.invitations[number]
        genesis = self.genesis
        if not genesis:
            raise Refused("genesis_missing", GENESIS, self._folder / GENESIS)
        chain_id = chain_id_of(genesis.encode())
        ledger_key = bytes_of(request.ledger_key, KEY_BYTES, "request.ledger_key")
        address = address_of(chain_id, ledger_key)
        pem = self._authority.issue(request.tls_request, chain_id, address, now_ms, days)
        identity = read_identity(pem, self._authority.pem)
        certified = Certified(
            f"{identity.serial:x}",
            invited.member,
            request.ledger_key,
            address.hex(),
            request.listen,
            pem.decode(),
            identity.ends_ms,
            0,
        )
        invitations = list(self.register.invitations)
        invitations[number] = changed(invited, used_ms=now_ms)
        identities = (*self.register.identities, certified)
        self._keep(changed(self.register, invitations=tuple(invitations), identities=identities))
        self._write_peers(now_ms)
        return certified, self._admission(certified, genesis, now_ms)

    def begin(self, requests: Sequence[bytes], founders: Sequence[Founder], rules: Rules, now_ms: int) -> bytes:
        """Writes the genesis of a chain whose first replicas are those that sent these requests.

        They are admitted afterwards, like all others. Refused: there is a genesis already, no request, one that
        `admit` would refuse, two with one ledger key, or founders and parameters that no genesis may have.
        """
        if self.genesis:
            raise Refused("file_exists", GENESIS, self._folder / GENESIS, "A community has one chain.")
        genesis = Genesis(
            GENESIS_FORMAT,
            self.register.community,
            rules.currency,
            False,
            now_ms,
            rules.approvals_needed,
            tuple(founders),
            tuple(self._proven(each, now_ms)[0].ledger_key for each in requests),
            dict(rules.parameters),
        )
        data = encode_genesis(genesis)
        decode_genesis(data)
        write_files(self._folder, {GENESIS: data})
        return data

    def _admitted(self, request_data: bytes, now_ms: int) -> Certified | None:
        """What this very request was given before and is in force."""
        request = read_request(request_data)
        if request.authority != self.fingerprint:
            return None
        for each in self.register.identities:
            same = (each.ledger_key, each.member) == (request.ledger_key, request.member)
            if same and each.in_force(now_ms) and is_requested_by(each.tls_identity.encode(), request.tls_request):
                return each
        return None

    def _proven(self, request_data: bytes, now_ms: int) -> tuple[Request, int]:
        """A request whose invitation is open, and the number of that."""
        request = read_request(request_data)
        if request.authority != self.fingerprint:
            raise Refused("community_foreign", "request.authority", request.authority)
        number = self._invited(request.invitation)
        invited = self.register.invitations[number]
        if invited.used_ms:
            raise Refused("invitation_used", "request.invitation", request.invitation)
        if now_ms >= invited.expires_ms:
            raise Refused(
                "expired", "request.invitation", format_moment(invited.expires_ms), "Invite the member again."
            )
        if request.member != invited.member:
            raise Refused("request_forged", "request.member", request.member)
        return request, number

    def _invited(self, key: str) -> int:
        for number, invited in enumerate(self.register.invitations):
            if invited.key == key:
                return number
        raise Refused("invitation_unknown", "request.invitation", key)

    def _admission(self, certified: Certified, genesis: str, now_ms: int) -> bytes:
        listed = read_file(self._folder / REVOKED, REVOKED).decode()
        admission = Admission(
            FORMAT,
            self.register.community,
            self._authority.pem.decode(),
            certified.tls_identity,
            listed,
            genesis,
            self.peers(now_ms),
            "",
        )
        return signed_by(self._authority, admission, ADMISSION_PURPOSE)

    def revoke(self, address: str, now_ms: int) -> int:
        """Revokes every TLS identity of an address that is in force, and signs the list anew; how many they were."""
        bytes_of(address, ADDRESS_BYTES, "address")
        revoked = tuple(
            changed(each, revoked_ms=now_ms) if each.address == address and each.in_force(now_ms) else each
            for each in self.register.identities
        )
        count = sum(new is not old for new, old in zip(revoked, self.register.identities, strict=True))
        if not count:
            raise Refused("tls_identity_unknown", "address", address)
        self._keep(changed(self.register, identities=revoked, list_number=self.register.list_number + 1))
        self._write_list(now_ms)
        self._write_peers(now_ms)
        return count

    def _write_list(self, now_ms: int) -> None:
        serials = [(int(each.serial, 16), each.revoked_ms) for each in self.register.identities if each.revoked_ms]
        listed = self._authority.revocations(serials, self.register.list_number, now_ms)
        write_files(self._folder, {REVOKED: listed})

    def _write_peers(self, now_ms: int) -> None:
        data = to_named_json(Peers(self.peers(now_ms)))
        path = self._folder / PEERS
        if not path.exists() or read_file(path, PEERS) != data:
            write_files(self._folder, {PEERS: data})

    def _keep(self, register: Register) -> None:
        write_files(self._folder, {REGISTER: to_named_json(register)}, SECRET)
        self.register = register


@contextmanager
def opened(folder: Path, now_ms: int) -> Iterator[CommunityFolder]:
    """The folder for as long as one command needs it; Refused("chain_in_use") while another has it."""
    descriptor = locked(folder, writing=True)
    try:
        yield CommunityFolder(folder, now_ms)
    finally:
        os.close(descriptor)
