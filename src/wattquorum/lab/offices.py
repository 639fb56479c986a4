"""The offices of a demo market: who holds which role; members cannot have their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REGISTRAR: Final = "registrar"
GRID_OPERATOR: Final = "grid-operator"
METER_OPERATOR: Final = "meter-operator"
CASHIER: Final = "cashier"
AUDITOR: Final = "auditor"
GOVERNORS: Final = ("governor-1", "governor-2", "governor-3")
PROPOSER: Final = "proposer"
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    REGISTRAR: ("REGISTRAR",),
    GRID_OPERATOR: ("GRID_OPERATOR",),
    METER_OPERATOR: ("METER_OPERATOR",),
    CASHIER: ("CASHIER",),
    AUDITOR: ("AUDITOR",),
    **dict.fromkeys(GOVERNORS, ("GOVERNOR",)),
}
