"""Invitations, requests and admissions: the three files by which a node joins a community.

An invitation goes from the community to a member, a request comes back, an admission goes to the member again. They
are JSON, for people to look at, in one form each; the community's authority signs what it gives. An invitation holds a
one-time secret, the seed of a key of which the community keeps the public half alone: a request is signed with it, and
so proves the invitation without showing it. The same message is signed by the node's ledger key and holds the request
for its TLS identity, signed by its TLS key: one file proves all three.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

from wattquorum.foundation.codec import Name, Named, Text, Unsigned, changed, encode, from_json, to_named_json
from wattquorum.foundation.identities import KEY_BYTES, SIGNATURE_BYTES, Signed, SigningKey, is_signed, signed_bytes
from wattquorum.foundation.intervals import format_moment
from wattquorum.foundation.refusals import Refused
from wattquorum.node.community import Authority, fingerprint_of, is_signed_by

FORMAT: Final = 1
INVITATION_PURPOSE: Final = "invitation"
ADMISSION_PURPOSE: Final = "admission"
REQUEST_PURPOSE: Final = "join request"
PORT_MAX: Final = 65_535


class Invitation(Named, frozen=True):
    """What a member needs to ask for admission: bytes are hexadecimal, certificates PEM."""

    format: int
    community: Name
    authority: str
    member: Name
    expires_ms: Unsigned
    secret: str
    genesis: str  # the file's text; empty: there is none yet
    peers: dict[str, str]  # addresses and where they listen
    signature: str


class Request(Named, frozen=True):
    """What a member answers with."""

    format: int
    community: Name
    authority: str  # its fingerprint
    invitation: str  # the public half of its secret
    member: Name
    ledger_key: str
    listen: Text  # where others reach this node; empty: nowhere yet
    tls_request: str
    by_invitation: str  # signatures of all of the above
    by_ledger_key: str


class Admission(Named, frozen=True):
    """What the community gives to the node: its TLS identity and what it needs to speak to the others."""

    format: int
    community: Name
    authority: str
    tls_identity: str
    revocations: str
    genesis: str
    peers: dict[str, str]
    signature: str


class Peers(Named, frozen=True):
    """The content of peers.json: addresses and where they listen."""

    peers: dict[str, str]


Given = TypeVar("Given", Invitation, Admission)


def signed_by(authority: Authority, given: Given, purpose: str) -> bytes:
    """The file of what the authority gives, signed."""
    return to_named_json(changed(given, signature=authority.sign(purpose, _unsigned(given)).hex()))


def read_invitation(data: bytes, now_ms: int) -> Invitation:
    """An invitation that is whole, signed by the authority it names, and in time."""
    invitation = _read_given(data, Invitation, "invitation", INVITATION_PURPOSE)
    bytes_of(invitation.secret, KEY_BYTES, "invitation.secret")
    if now_ms >= invitation.expires_ms:
        raise Refused(
            "expired", "invitation", format_moment(invitation.expires_ms), "Ask the community for a new invitation."
        )
    return invitation


def read_admission(data: bytes) -> Admission:
    """An admission that is whole and signed by the authority it names."""
    return _read_given(data, Admission, "certificate", ADMISSION_PURPOSE)


def _read_given(data: bytes, kind: type[Given], field: str, purpose: str) -> Given:
    given = from_json(data, kind, field)
    _check_form(data, given, field)
    signature = bytes_of(given.signature, None, f"{field}.signature")
    if not is_signed_by(given.authority.encode(), purpose, _unsigned(given), signature):
        raise Refused("invitation_forged", field, given.signature)
    for place in given.peers.values():
        place_of(place, f"{field}.peers")
    return given


def _unsigned(given: Invitation | Admission) -> bytes:
    return to_named_json(changed(given, signature=""))


def answer(invitation: Invitation, ledger_key: SigningKey, tls_request: str, listen: str) -> Request:
    """The request of a node that was invited, with all its proofs."""
    secret = SigningKey(bytes.fromhex(invitation.secret))
    request = Request(
        FORMAT,
        invitation.community,
        fingerprint_of(invitation.authority.encode()),
        secret.public.hex(),
        invitation.member,
        ledger_key.public.hex(),
        listen,
        tls_request,
        "",
        "",
    )
    message = _proven(request)
    return changed(
        request,
        by_invitation=secret.sign(REQUEST_PURPOSE, message).hex(),
        by_ledger_key=ledger_key.sign(REQUEST_PURPOSE, message).hex(),
    )


def read_request(data: bytes) -> Request:
    """A request whose proofs hold, of invitation and ledger key; its TLS key's is checked in certifying it."""
    request = from_json(data, Request, "request")
    _check_form(data, request, "request")
    if request.listen:
        place_of(request.listen, "request.listen")
    message = signed_bytes(REQUEST_PURPOSE, _proven(request))
    for field, key, signature in (
        ("by_invitation", request.invitation, request.by_invitation),
        ("by_ledger_key", request.ledger_key, request.by_ledger_key),
    ):
        known = bytes_of(key, KEY_BYTES, "request.key")
        if not is_signed(Signed(known, message, bytes_of(signature, SIGNATURE_BYTES, f"request.{field}"))):
            raise Refused("request_forged", f"request.{field}", signature)
    return request


def _proven(request: Request) -> bytes:
    return encode(
        (
            request.format,
            request.community,
            request.authority,
            request.invitation,
            request.member,
            request.ledger_key,
            request.listen,
            request.tls_request,
        )
    )


def _check_form(data: bytes, read: Invitation | Request | Admission, field: str) -> None:
    if to_named_json(read) != data:
        raise Refused("encoding_noncanonical", field, data[:16], "Send the file as it was written.")
    if read.format != FORMAT:
        raise Refused("out_of_range", f"{field}.format", read.format, f"This version reads format {FORMAT}.")


def check_name(text: str, field: str) -> None:
    """Refused("out_of_range") for what is no name."""
    if re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", text) is None:
        raise Refused("out_of_range", field, text, "Use 1 to 64 of A-Z a-z 0-9 . _ : and -.")


def bytes_of(text: str, size: int | None, field: str) -> bytes:
    """Bytes from hexadecimal digits, as many as `size` says if it does; Refused("encoding_unreadable")."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if not found or (size is not None and len(found) != size) or found.hex() != text:
        remedy = f"Give {2 * size} hexadecimal digits." if size else ""
        raise Refused("encoding_unreadable", field, text, remedy)
    return found


def place_of(text: str, field: str) -> tuple[str, int]:
    """Host and port from `host:port`; an IPv6 address stands in brackets."""
    host, _, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= PORT_MAX:
        raise Refused("out_of_range", field, text, "Write it as host:port, such as node.example:7400.")
    return host, int(port)
