"""Genesis: what a chain starts from.

A file that people write and read (JSON), whose hash is the chain's id and the first block's predecessor. It names the
currency, the governors and how many must agree, the accounts that exist from the start, who may propose blocks, and
the first parameters. A demo chain says so here; keys derived from a seed are for such chains alone.
"""

from __future__ import annotations

from typing import Final

from wattquorum.consensus.configuration import Voter
from wattquorum.foundation.codec import Name, Named, Unsigned, from_json, to_named_json
from wattquorum.foundation.identities import CHAIN_ID_BYTES, KEY_BYTES, address_of, tagged_hash
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import GRANTABLE, Account, Reserved, Role, Status, reserved
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.facts import (
    AccountOpened,
    AgentSeated,
    Fact,
    ParametersChanged,
    RoleChanged,
    ValidatorChanged,
    VectorMade,
)
from wattquorum.ledger.offices import Agent, Agents
from wattquorum.ledger.parameters import DEFAULTS, Consensus, Parameters, check, with_changes
from wattquorum.ledger.seats import VERSION_KEY_BYTES, Seat, Seats, Validator, Vector
from wattquorum.ledger.state import State, Table
from wattquorum.standing.election import tie
from wattquorum.standing.groups import GROUPS_MIN, group_count

FORMAT: Final = 1
PARAMETERS_KEY_BYTES: Final = 4


class Founder(Named, frozen=True):
    """An account that exists from the start, with the roles it is granted."""

    name: Name
    owner: Name
    key: str  # hexadecimal
    roles: tuple[str, ...]


class Genesis(Named, frozen=True):
    """The content of genesis.json; `parameters` overrides defaults by name."""

    format: int
    name: Name
    currency: Name
    demo: bool
    created_ms: Unsigned
    approvals_needed: Unsigned
    founders: tuple[Founder, ...]
    proposers: tuple[str, ...]  # public keys, hexadecimal
    parameters: dict[str, int]


def encode_genesis(genesis: Genesis) -> bytes:
    """The one form in which a genesis is stored: indented JSON and a newline."""
    return to_named_json(genesis)


def decode_genesis(data: bytes) -> Genesis:
    """A checked genesis; Refused on anything that is not the stored form of a valid one."""
    genesis = from_json(data, Genesis, "genesis")
    if encode_genesis(genesis) != data:
        raise Refused("encoding_noncanonical", "genesis", data[:16], "Write it with `wattquorum` and do not edit it.")
    if genesis.format != FORMAT:
        raise Refused("out_of_range", "genesis.format", genesis.format, f"This version reads format {FORMAT}.")
    keys = [_key(founder.key, "genesis.founders.key") for founder in genesis.founders]
    if len(set(keys)) != len(keys):
        raise Refused("account_exists", "genesis.founders.key", "twice the same", "Give every founder its own key.")
    names = [*Reserved.__struct_fields__, *(founder.name.lower() for founder in genesis.founders)]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise Refused("account_exists", "genesis.founders.name", twice[0], "Give every founder a name of its own.")
    governors = sum("GOVERNOR" in founder.roles for founder in genesis.founders)
    if not 1 <= genesis.approvals_needed <= governors:
        raise Refused("out_of_range", "genesis.approvals_needed", genesis.approvals_needed, f"Choose 1..{governors}.")
    if len(set(genesis.proposers)) != len(genesis.proposers):
        raise Refused("validator_exists", "genesis.proposers", "twice the same", "Name every proposer's key once.")
    if not genesis.proposers:
        raise Refused("out_of_range", "genesis.proposers", "none", "Name at least one proposer's key.")
    for proposer in genesis.proposers:
        _key(proposer, "genesis.proposers")
    for founder in genesis.founders:
        for role in founder.roles:
            if role not in [each.name for each in GRANTABLE]:
                raise Refused("role_unknown", "genesis.founders.roles", role)
    parameters = first_parameters(genesis)
    if len(genesis.proposers) > parameters.validators_max:
        remedy = f"Name at most {parameters.validators_max} or raise the parameter validators_max."
        raise Refused("validators_too_many", "genesis.proposers", len(genesis.proposers), remedy)
    if parameters.consensus == Consensus.CGPBFT and len(genesis.proposers) < GROUPS_MIN:
        remedy = f"Name at least {GROUPS_MIN}: of fewer agents none may lie."
        raise Refused("validators_too_few", "genesis.proposers", len(genesis.proposers), remedy)
    return genesis


def _key(text: str, field: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Refused("encoding_unreadable", field, text, "Give a public key of 64 hexadecimal digits.")
    return key


def first_parameters(genesis: Genesis) -> Parameters:
    """The defaults with the genesis's overrides, checked."""
    parameters = with_changes(DEFAULTS, sorted(genesis.parameters.items()))
    check(parameters)
    return parameters


def chain_id_of(data: bytes) -> bytes:
    """The chain's id: the first 16 bytes of the genesis's hash."""
    return genesis_hash(data)[:CHAIN_ID_BYTES]


def genesis_hash(data: bytes) -> bytes:
    """What the first block names as its predecessor."""
    return tagged_hash("genesis", data)


def version_key(version: int) -> bytes:
    """The key of a version of the parameters."""
    return version.to_bytes(PARAMETERS_KEY_BYTES, "big")


def founding_voters(genesis: Genesis, chain_id: bytes) -> tuple[bytes, ...]:
    """The proposers that vote first, in their order: all by address, but of a chain that agents run the first agents.

    Nobody has any standing yet, so who they are is drawn: as many as there are to be groups, by their ties (B-4).
    """
    replicas = sorted(address_of(chain_id, bytes.fromhex(key)) for key in genesis.proposers)
    parameters = first_parameters(genesis)
    if parameters.consensus != Consensus.CGPBFT:
        return tuple(replicas)
    drawn = sorted(replicas, key=lambda replica: tie(chain_id, 0, replica))
    return tuple(drawn[: group_count(parameters.groups, len(replicas))])


def first_state(genesis: Genesis, chain_id: bytes) -> tuple[State, list[Fact]]:
    """The state before the first block, and the facts that lead to it."""
    state, facts = State(), list[Fact]()
    state.put(Table.CHAIN, b"", Chain(0, genesis.created_ms, (0,), 0, genesis.approvals_needed))
    parameters = first_parameters(genesis)
    state.put(Table.PARAMETERS, version_key(0), parameters)
    facts.append(ParametersChanged(0, parameters, 0))
    special = reserved(chain_id)
    for name in special.__struct_fields__:
        address = getattr(special, name)
        state.put(Table.ACCOUNT, address, Account(b"", Status.ACTIVE, 0, 0, 0, 0, name, name, genesis.created_ms, 0))
        facts.append(AccountOpened(address, name, name))
    keys = {address_of(chain_id, key): key for key in map(bytes.fromhex, genesis.proposers)}
    for replica, key in sorted(keys.items()):
        state.put(Table.VALIDATOR, replica, Validator(key, b"", Seat.VOTER, 0, 0, 0))
        facts.append(ValidatorChanged(replica, key, b"", Seat.VOTER))
    voting = founding_voters(genesis, chain_id)
    voters = tuple(Voter(replica, 1) for replica in voting)
    learners = tuple(replica for replica in sorted(keys) if replica not in voting)
    facts.append(VectorMade(0, voters, learners))
    state.put(Table.VECTOR, bytes(VERSION_KEY_BYTES), Vector(voters, learners, 0, b""))
    state.put(Table.SEATS, b"", Seats(0, 0, 0, 0, 0, 0))
    if parameters.consensus == Consensus.CGPBFT:
        agents = tuple(Agent(replica, 0, 0, ()) for replica in voting)
        state.put(Table.AGENTS, b"", Agents(agents, 1, 0, 0, (), 0, 0, ()))
        facts.extend(AgentSeated(0, place, 0, replica, 0, 0) for place, replica in enumerate(voting))
    for founder in genesis.founders:
        key = bytes.fromhex(founder.key)
        roles = Role(0)
        for role in founder.roles:
            roles |= Role[role]
        address = address_of(chain_id, key)
        account = Account(key, Status.ACTIVE, int(roles), 0, 0, 0, founder.name, founder.owner, genesis.created_ms, 0)
        state.put(Table.ACCOUNT, address, account)
        facts.append(AccountOpened(address, founder.name, founder.owner))
        facts.append(RoleChanged(address, int(roles)))
    state.commit()
    return state, facts
