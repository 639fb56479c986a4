"""Pieces: names, colours and units that the evaluation's pages share."""

from __future__ import annotations

from typing import Final

PBFT, AMONG = "PBFT", "CGPBFT"
COLOURS: Final = {PBFT: "c3", AMONG: "c1"}
NS_PER_MS: Final = 1e6
