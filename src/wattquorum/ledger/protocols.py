"""Protocols by the names that people choose them by when a chain is founded, and the parameters that say so."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.parameters import DEFAULTS, Consensus, Voting


class Protocol(StrEnum):
    """How replicas agree."""

    WEIGHTED_RAFT = "weighted-raft"  # standing carries votes
    RAFT = "raft"  # all votes are equal
    PBFT = "pbft"  # everybody agrees, of whom a third may lie
    CGPBFT = "cgpbft"  # the agents of groups agree, of whom a third may lie

    @staticmethod
    def of(parameters: Mapping[str, int]) -> Protocol:
        """What a genesis with these parameters begins with."""
        match parameters.get("consensus", DEFAULTS.consensus):
            case Consensus.PBFT:
                return Protocol.PBFT
            case Consensus.CGPBFT:
                return Protocol.CGPBFT
        voting = parameters.get("voting", DEFAULTS.voting)
        return Protocol.RAFT if voting == Voting.EQUAL else Protocol.WEIGHTED_RAFT

    @property
    def by_committee(self) -> bool:
        """Whether a committee agrees, by heads."""
        return self in (Protocol.PBFT, Protocol.CGPBFT)

    def parameters(self, groups: int | None = None) -> dict[str, int]:
        """The parameters of a genesis; Refused("out_of_range") for groups where there are none."""
        if groups is not None and self is not Protocol.CGPBFT:
            raise Refused("out_of_range", "--groups", groups, "Only cgpbft has groups: add --engine cgpbft.")
        match self:
            case Protocol.WEIGHTED_RAFT:
                return {"voting": int(Voting.WEIGHTED)}
            case Protocol.RAFT:
                return {"voting": int(Voting.EQUAL)}
            case Protocol.PBFT:
                return {"consensus": int(Consensus.PBFT)}
            case Protocol.CGPBFT:
                return {"consensus": int(Consensus.CGPBFT), **({} if groups is None else {"groups": groups})}
