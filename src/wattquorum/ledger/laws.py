"""Laws: what an auditor's books say of a chain that breaks one. The books themselves stand in modules of their own."""

from __future__ import annotations

from wattquorum.foundation.refusals import Refused


def fault(field: str, value: object, reason: str) -> Refused:
    """A broken law, as an auditor names it."""
    return Refused("conservation_broken", field, value, reason)


def must(holds: bool, field: str, value: object, reason: str) -> None:
    """Refused("conservation_broken") unless the law holds."""
    if not holds:
        raise fault(field, value, reason)
