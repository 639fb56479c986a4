"""WattQuorum: a permissioned ledger for peer-to-peer power trading whose members' standing carries the vote."""

__version__ = "0.1.0"
