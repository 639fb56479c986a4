"""A verifier for worlds of many hosts in one process."""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.foundation.identities import Signed, is_signed


class Verified:
    """A verifier that remembers verdicts: a signature that one host checked needs no second look by another."""

    def __init__(self) -> None:
        self._verdicts: dict[Signed, bool] = {}

    def __call__(self, checks: Sequence[Signed]) -> list[bool]:
        """The verdicts, in order."""
        found = []
        for check in checks:
            verdict = self._verdicts.get(check)
            if verdict is None:
                verdict = self._verdicts[check] = is_signed(check)
            found.append(verdict)
        return found
