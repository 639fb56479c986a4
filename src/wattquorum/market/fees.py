"""Fees: the handling fee that each side of a contract pays on acceptance (A-20).

That there is one is stated; its size, that each side pays it, and to the community, are chosen.
"""

from __future__ import annotations

from wattquorum.foundation.quantities import Energy, Money, Price, cost


def handling_fee(energy: Energy, fee: Price) -> Money:
    """What each side pays for contracted `energy` [Wh] at `fee` >= 0 [millionths per kWh].

    When curtailment lowers the energy, the refund is the fee of the old energy less the fee of the new one, so that
    what stays paid is always the fee of what stays contracted.
    """
    return cost(energy, fee)
