"""The tables of certificates and carbon, declared like all others in `wattquorum.records.tables` (A-5, A-13, A-14)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Index

from wattquorum.records.columns import superseded, table, whole, word

certified: Final = table(
    "certified",
    "What an issuer certified of a device's day: one row for each issue (A-5, L-22).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("day_start_ms", "delivery day"),
    word("meter", "the device's meter"),
    whole("energy_wh", "certified now"),
    whole("withheld_wh", "measured and held back, because more was certified before than measured"),
    whole("carry_wh", "what the device may still certify; below zero after a correction"),
)

carries: Final = table(
    "carries",
    "What a correction, a withdrawal or a day's end changed of what a device may certify (L-22).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("day_start_ms", "delivery day; empty for a withdrawal", maybe=True),
    word("meter", "the device's meter"),
    whole("carry_wh", "what it may still certify"),
)

bundles: Final = table(
    "bundles",
    "Bundles of certificates, each with where it stands now (L-22).",
    word("bundle", "id", key=True),
    word("owner", "who holds it, or held it last"),
    word("meter", "the device's meter"),
    word("source", "renewable source: wind, sun, biomass"),
    whole("unit_wh", "what one certificate stands for: 1, or 1,000,000 for a whole one"),
    whole("first", "number of its first certificate; granular and whole ones of a device are numbered apart"),
    whole("end", "number after its last certificate"),
    whole("start_ms", "begin of production"),
    whole("end_ms", "end of production"),
    whole("expires_ms", "when it expires"),
    word("status", "active, split, rolled_up, retired, withdrawn or expired"),
    word("beneficiary", "for whom it was retired; empty for its owner's own consumption"),
    word("said", "purpose of a retirement or reason of a withdrawal"),
    whole("made_height", "block that made it"),
    whole("made_place", "transaction in that block"),
    whole("ended_height", "block that ended it; empty while it is active", maybe=True),
    whole("ended_place", "transaction in that block", maybe=True),
)

lineage: Final = table(
    "lineage",
    "Which bundles a bundle was made of: one it was split off, or those that were rolled up to it.",
    word("bundle", "id", key=True),
    word("parent", "id of what it was made of", key=True),
)

bundle_moves: Final = table(
    "bundle_moves",
    "Certificates that changed hands.",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    word("bundle", "id"),
    word("giver", "who had it"),
    word("taker", "who has it"),
    word("sale", "the offer that was bought; empty for a gift"),
    whole("amount_millionths", "what was paid for all of it"),
)

sales: Final = table(
    "sales",
    "Certificates that were offered for money.",
    word("sale", "id", key=True),
    word("seller", "who offers"),
    word("bundle", "from which bundle"),
    whole("certificates", "how many"),
    word("buyer", "to whom; empty for anybody"),
    whole("amount_millionths", "price of all of them"),
    whole("valid_until_ms", "until when"),
    whole("height", "block"),
    word("status", "open, bought, withdrawn or lapsed"),
)

holdings: Final = table(
    "holdings",
    "Whole certificates that accounts held between two closings, by their time (A-13, L-20).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("day_start_ms", "the day whose close counted them"),
    word("account", "who held them"),
    whole("certificate_ms", "certificates times the milliseconds that they were held"),
    whole("held", "certificates held at the close"),
)

carbon_accounts: Final = table(
    "carbon_accounts",
    "Obliged members' allowances by period; every change is a row (A-14, L-19).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    word("account", "the member"),
    whole("period", "number of the period"),
    whole("carried_g", "deficit of the periods before, zero or below"),
    whole("quota_g", "allowances granted"),
    whole("bought_g", "received from others"),
    whole("sold_g", "moved to others"),
    whole("emitted_g", "verified emissions"),
    whole("reported", "1 once emissions were reported"),
    superseded(),
)

carbon_settlements: Final = table(
    "carbon_settlements",
    "How a closed period was settled for every obliged member (A-14).",
    word("account", "the member", key=True),
    whole("period", "number of the period", key=True),
    whole("settled_g", "quota + bought - sold - emitted, less the deficit of before"),
    whole("reported", "1 if emissions were reported in time"),
    whole("height", "block"),
)

allowance_moves: Final = table(
    "allowance_moves",
    "Allowances that changed hands.",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("period", "number of the period"),
    word("giver", "who had them"),
    word("taker", "who has them"),
    whole("moved_g", "how many"),
)

Index("bundles_owner", bundles.c.owner)
Index("lineage_parent", lineage.c.parent)
