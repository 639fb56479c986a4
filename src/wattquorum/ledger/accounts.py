"""Accounts and roles (A-1, L-12, L-17, L-24).

An account is an address, a status, a balance and, apart from it, locked collateral. Five reserved accounts have no
key: the grid, the community, payouts under way, fines on their way to those who performed, and the outside, whose
negative balance mirrors every deposit, so that all balances always add up to zero.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

from wattquorum.foundation.codec import Address, Name, Record, Signed, Unsigned
from wattquorum.foundation.identities import address_of
from wattquorum.foundation.refusals import Refused


class Role(IntFlag):
    """What an account may do. Generator and consumer come with meters; the others are granted (L-24)."""

    GENERATOR = 1
    CONSUMER = 2
    REGISTRAR = 4
    GRID_OPERATOR = 8
    METER_OPERATOR = 16
    ISSUER = 32
    REGISTRY = 64
    CASHIER = 128
    GOVERNOR = 256
    AUDITOR = 512


MEMBER: Final = Role.GENERATOR | Role.CONSUMER
GRANTABLE: Final = tuple(role for role in Role if not role & MEMBER)


class Status(IntEnum):
    """Whether an account may trade."""

    ACTIVE = 1
    SUSPENDED = 2  # by a registrar
    INDEBTED = 3  # until its debts are paid (L-7)
    LEAVING = 4  # by its own decision, for good: no new contracts; frozen until everything is final (L-24)


class Side(IntEnum):
    """The two sides of a contract; also which register of a meter counts (L-12)."""

    SELL = 1  # injection, generator
    BUY = 2  # withdrawal, consumer


def legal_owner(name: str) -> str:
    """An owner's name as it is compared: names that differ in capital letters alone are one, as accounts' are."""
    return name.lower()


class Account(Record, frozen=True):
    """<address, status, balance> of A-1 and what the ledger needs beside; the address is its key."""

    key: bytes  # current Ed25519 public key; empty for reserved accounts
    status: Status
    roles: Unsigned
    balance: Signed  # free money [millionths]
    locked: Unsigned  # collateral in open contracts [millionths]
    nonce: Unsigned  # the next transaction's
    name: Name
    owner: Name  # legal owner: nobody trades with itself (L-12)
    joined_ms: Unsigned
    left_ms: Unsigned  # when it decided to leave; 0 if it did not

    @property
    def legal_owner(self) -> str:
        """The owner as it is compared."""
        return legal_owner(self.owner)

    def has(self, role: Role) -> bool:
        """Whether the account holds a role."""
        return bool(self.roles & role)

    def holds_office(self) -> bool:
        """Whether the account holds a role that governors grant."""
        return bool(self.roles & ~MEMBER)


class Reserved(Record, frozen=True):
    """The addresses without a key."""

    grid: Address
    community: Address
    payouts: Address
    outside: Address
    fines: Address


def reserved(chain_id: bytes) -> Reserved:
    """The reserved accounts of a chain: addresses of names that no 32-byte key can have."""
    return Reserved(
        address_of(chain_id, b"grid"),
        address_of(chain_id, b"community"),
        address_of(chain_id, b"payouts"),
        address_of(chain_id, b"outside"),
        address_of(chain_id, b"fines"),
    )


def check_active(account: Account, field: str) -> None:
    """Refuses what only an active account may do: new offers and contracts, money out, acting in a role."""
    if account.status is not Status.ACTIVE:
        raise Refused("account_inactive", field, f"{account.name} is {account.status.name.lower()}")
