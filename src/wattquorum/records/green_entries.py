"""Entries of certificates and carbon: which rows their facts become."""

from __future__ import annotations

from wattquorum.foundation.vectors import energies
from wattquorum.ledger import facts as told
from wattquorum.ledger.holdings import Ending, SaleEnding
from wattquorum.records import green_tables as tables
from wattquorum.records.block_entries import BlockEntries, day_or_none, enter


@enter.register
def _(fact: told.EnergyCertified, block: BlockEntries) -> None:
    energy = int(energies(fact.energy).sum())
    row = (block.height, block.sequence, fact.day, fact.meter, energy, fact.withheld, fact.carry)
    block.batch.add(tables.certified, row)


@enter.register
def _(fact: told.CarryChanged, block: BlockEntries) -> None:
    row = (block.height, block.sequence, day_or_none(fact.day), fact.meter, fact.carry)
    block.batch.add(tables.carries, row)


@enter.register
def _(fact: told.BundleMade, block: BlockEntries) -> None:
    bundle = fact.bundle.hex()
    block.batch.add(
        tables.bundles,
        (
            bundle,
            fact.owner.hex(),
            fact.meter,
            fact.source,
            fact.unit,
            fact.first,
            fact.end,
            fact.start_ms,
            fact.end_ms,
            fact.expires_ms,
            "active",
            "",
            "",
            block.height,
            block.place,
            None,
            None,
        ),
    )
    block.batch.extend(tables.lineage, [(bundle, parent.hex()) for parent in fact.parents])


@enter.register
def _(fact: told.BundleMoved, block: BlockEntries) -> None:
    block.batch.change(tables.bundles, {"bundle": fact.bundle.hex()}, owner=fact.taker.hex())
    row = (
        block.height,
        block.sequence,
        fact.bundle.hex(),
        fact.giver.hex(),
        fact.taker.hex(),
        fact.sale.hex(),
        fact.amount,
    )
    block.batch.add(tables.bundle_moves, row)


@enter.register
def _(fact: told.BundleEnded, block: BlockEntries) -> None:
    block.batch.change(
        tables.bundles,
        {"bundle": fact.bundle.hex()},
        status=Ending(fact.ending).name.lower(),
        beneficiary=fact.beneficiary,
        said=fact.said,
        ended_height=block.height,
        ended_place=block.place,
    )


@enter.register
def _(fact: told.SaleOffered, block: BlockEntries) -> None:
    block.batch.add(
        tables.sales,
        (
            fact.sale.hex(),
            fact.seller.hex(),
            fact.bundle.hex(),
            fact.count,
            fact.buyer.hex(),
            fact.amount,
            fact.valid_until_ms,
            block.height,
            "open",
        ),
    )


@enter.register
def _(fact: told.SaleEnded, block: BlockEntries) -> None:
    status = SaleEnding(fact.ending).name.lower()
    block.batch.change(tables.sales, {"sale": fact.sale.hex()}, status=status)


@enter.register
def _(fact: told.HoldingCounted, block: BlockEntries) -> None:
    row = (block.height, block.sequence, fact.day, fact.member.hex(), fact.weighted, fact.held)
    block.batch.add(tables.holdings, row)


@enter.register
def _(fact: told.CarbonChanged, block: BlockEntries) -> None:
    row = (
        block.height,
        block.sequence,
        fact.member.hex(),
        fact.period,
        fact.carried,
        fact.quota,
        fact.bought,
        fact.sold,
        fact.emitted,
        int(fact.reported),
        None,
    )
    block.batch.revise(tables.carbon_accounts, ("account", "period"), row)


@enter.register
def _(fact: told.AllowancesMoved, block: BlockEntries) -> None:
    row = (block.height, block.sequence, fact.period, fact.giver.hex(), fact.taker.hex(), fact.grams)
    block.batch.add(tables.allowance_moves, row)


@enter.register
def _(fact: told.CarbonSettled, block: BlockEntries) -> None:
    row = (fact.member.hex(), fact.period, fact.settled, int(fact.reported), block.height)
    block.batch.add(tables.carbon_settlements, row)
