"""TLS identities of a small community, in files, for tests."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from wattquorum.node.community import Authority, Identity, TlsFiles, new_key, now_utc, serial_of

CHAIN = b"c" * 16


def address(number: int) -> bytes:
    return bytes([number]) * 20


class Community:
    """An authority, what it certified, and what it revoked."""

    def __init__(self, folder: Path, name: str = "village") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority.create(name, now_utc())
        self.revoked: dict[int, datetime] = {}
        (folder / "authority.pem").write_bytes(self.authority.pem)
        self.write_list()

    def write_list(self) -> None:
        (self.folder / "revoked.pem").write_bytes(self.authority.revoked(self.revoked, now_utc()))

    def files(self, number: int, *, chain: bytes = CHAIN, since: timedelta = timedelta(0), days: int = 10) -> TlsFiles:
        """A replica's files, made when they are asked for first."""
        certificate, secret = self.folder / f"{number}.pem", self.folder / f"{number}.key"
        if not certificate.exists():
            key, request = new_key()
            identity = Identity(chain, address(number))
            secret.write_bytes(key)
            certificate.write_bytes(self.authority.certify(request, identity, now_utc() + since, days))
        return TlsFiles(self.folder / "authority.pem", certificate, secret, self.folder / "revoked.pem")

    def revoke(self, number: int) -> int:
        serial = serial_of(self.files(number).certificate.read_bytes())
        self.revoked[serial] = now_utc()
        self.write_list()
        return serial
