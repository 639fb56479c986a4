"""The tables of the records, declared once: names, units, keys, and what every column says.

They stand apart from the ledger because nobody needs them to agree on anything: a projection fills them from facts, and
they can be dropped and rebuilt from the chain. Everything is an integer or a word; the unit stands in the column's
name, addresses and ids are hexadecimal. What replaces an earlier row (a correction, a later version) leaves that row
where it was and fills its `superseded_height`, so that differences stay visible (L-11). `docs/records.md` is written
from these declarations.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Index

from wattquorum.records.columns import superseded, table, whole, word

RECORDS_FORMAT: Final = 7

# The chain --------------------------------------------------------------------------------------------------------

chain: Final = table(
    "chain",
    "The chain that these records were made from; one row.",
    word("chain_id", "the chain's id", key=True),
    whole("records_format", "version of these tables"),
    word("genesis_hash", "hash of the genesis"),
    word("name", "the chain's name"),
    word("currency", "the ledger's one currency"),
    whole("demo", "1 if keys and salts derive from a seed"),
    whole("created_ms", "when the genesis was made"),
    whole("height", "the last recorded block; 0 before the first"),
    word("block_hash", "hash of the last recorded block's header; of the genesis before the first"),
    whole("time_ms", "time of the last recorded block"),
    word("state_digest", "state digest of the last recorded block; empty before the first"),
)

blocks: Final = table(
    "blocks",
    "Blocks in order.",
    whole("height", "the block's height", key=True),
    word("block_hash", "hash of its header"),
    word("previous", "hash of the block before"),
    whole("time_ms", "the block's time"),
    whole("epoch", "the epoch it belongs to"),
    word("proposer", "public key of its proposer"),
    whole("transactions", "how many transactions it orders"),
    whole("size_bytes", "sum of its transactions' sizes"),
    word("transactions_root", "Merkle root of its transactions"),
    word("receipts_root", "Merkle root of its receipts"),
    word("state_digest", "digest of the state after it"),
    word("state_root", "Merkle root of the whole state; empty but at an epoch's end"),
)

transactions: Final = table(
    "transactions",
    "Transactions with their receipts, admissible or not.",
    whole("height", "block", key=True),
    whole("place", "place in the block, from 0", key=True),
    word("transaction_hash", "hash of the signed transaction"),
    word("type", "what it does, such as offer or commit_readings; unreadable if its bytes cannot be decoded"),
    word("sender", "who signed it; empty if unreadable"),
    whole("nonce", "the sender's nonce; -1 if unreadable"),
    whole("day_start_ms", "the delivery day it names", maybe=True),
    word("outcome", "done, refused (its nonce is used) or inadmissible (nothing was changed)"),
    word("code", "why it was refused; empty when it was not"),
    word("field", "the field that was wrong"),
    word("value", "what was found there"),
    whole("size_bytes", "size of the signed transaction"),
)

# Who takes part ---------------------------------------------------------------------------------------------------

accounts: Final = table(
    "accounts",
    "Accounts as they are now; five of them are the ledger's own (grid, community, payouts, outside, fines).",
    word("account", "address", key=True),
    word("name", "name"),
    word("owner", "legal owner"),
    word("roles", "roles, in words"),
    word("status", "active, suspended, indebted or leaving"),
    word("reason", "reason of the last change of status"),
    whole("reserved", "1 for the ledger's own accounts, which have no key"),
    whole("opened_height", "block that opened it; 0 for the genesis"),
)

account_changes: Final = table(
    "account_changes",
    "Every change of an account's roles, status or key, in order.",
    whole("height", "block; 0 for the genesis", key=True),
    whole("sequence", "place among the block's facts", key=True),
    word("account", "address"),
    word("change", "roles, status, key or key_recovered"),
    word("value", "what it is now"),
    word("reason", "why, where a reason was given"),
)

meters: Final = table(
    "meters",
    "Meter points: one register each, injection and withdrawal never netted (L-12).",
    word("meter", "the meter point's id", key=True),
    word("member", "address of the member"),
    word("side", "sell (injection) or buy (withdrawal)"),
    word("feeder", "feeder, the page on which it is settled"),
    whole("limit_w", "P_max or connection limit (A-4)"),
    word("technology", "technology or kind of consumer"),
    whole("power_factor_ppm", "power factor"),
    whole("height", "block that added it"),
)

parameters: Final = table(
    "parameters",
    "Every version of the parameters (L-25).",
    whole("version", "version", key=True),
    word("name", "parameter", key=True),
    whole("value", "value in the parameter's unit"),
    word("unit", "unit"),
    word("meaning", "what it does"),
    whole("from_height", "first block in which it is in force; 0 for the genesis"),
    whole("height", "block that decided it; 0 for the genesis"),
)

proposals: Final = table(
    "proposals",
    "Actions that governors decide on (L-25).",
    word("proposal", "id", key=True),
    word("governor", "who proposed it"),
    word("action", "what it does"),
    whole("proposed_height", "block of the proposal"),
    whole("decided_height", "block that executed it; empty while it is open", maybe=True),
)

# Days -------------------------------------------------------------------------------------------------------------

days: Final = table(
    "days",
    "Delivery days (L-13).",
    whole("day_start_ms", "start of the day; its key everywhere", key=True),
    word("date", "calendar date (UTC) of the day's middle, a label for people"),
    whole("end_ms", "end of the day"),
    whole("interval_ms", "length of an interval"),
    whole("intervals", "how many intervals it has"),
    word("feeders", "its feeders, in words"),
    whole("gate_ms", "when trading ends"),
    whole("readings_due_ms", "when readings are due"),
    whole("final_ms", "when corrections end"),
    whole("parameters_version", "the parameters it is traded under"),
    whole("published_height", "block that published it"),
    whole("closed_height", "block that closed it; empty before", maybe=True),
    whole("sealed_height", "block that sealed it; empty before", maybe=True),
)

tariffs: Final = table(
    "tariffs",
    "The grid's tariffs for every interval of a day (L-6).",
    whole("day_start_ms", "delivery day", key=True),
    whole("interval", "interval of the day, from 0", key=True),
    whole("start_ms", "start of the interval"),
    whole("feed_in_millionths_per_kwh", "ps: what the grid pays"),
    whole("grid_price_millionths_per_kwh", "pb: what the grid takes"),
    whole("over_grid_fee_millionths_per_kwh", "po: what the consumer pays for transport"),
)

pages: Final = table(
    "pages",
    "Feeders of a day that were settled (L-14).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("day_start_ms", "delivery day"),
    word("feeder", "feeder"),
    whole("contracts", "contracts on the page"),
)

# Negotiation ------------------------------------------------------------------------------------------------------

offers: Final = table(
    "offers",
    "Offers and counter-offers; prices are over intervals in which something is promised.",
    word("offer", "id", key=True),
    whole("day_start_ms", "delivery day"),
    word("author", "who made it"),
    word("side", "sell or buy: the author's side"),
    word("partner", "to whom it is addressed; empty when it is public"),
    whole("energy_wh", "promised over the day"),
    whole("price_millionths_per_kwh", "mean price, weighted by energy, rounded toward zero"),
    whole("lowest_price_millionths_per_kwh", "lowest price of an interval"),
    whole("highest_price_millionths_per_kwh", "highest price of an interval"),
    whole("valid_until_ms", "when it lapses"),
    word("answers", "the offer it counters; empty for a first offer"),
    word("thread", "the first offer of its chain of answers"),
    whole("round", "0 for a first offer, one more for every answer"),
    word("status", "open, countered, accepted or withdrawn; one that stays open past the gate was left unanswered"),
    whole("height", "block"),
    whole("place", "transaction in the block"),
    whole("closed_height", "block in which it stopped being open; empty before", maybe=True),
)

contracts: Final = table(
    "contracts",
    "Contracts as they are now (A-20, L-6, L-7); the id is that of the accepted offer.",
    word("contract", "id", key=True),
    whole("day_start_ms", "delivery day"),
    word("seller", "generator's address"),
    word("buyer", "consumer's address"),
    whole("energy_wh", "promised over the day, after curtailments"),
    whole("price_millionths_per_kwh", "mean price, weighted by the energy first promised, rounded toward zero"),
    whole("lowest_price_millionths_per_kwh", "lowest price of an interval"),
    whole("highest_price_millionths_per_kwh", "highest price of an interval"),
    whole("seller_lock_millionths", "collateral the seller locked at acceptance"),
    whole("buyer_lock_millionths", "collateral the buyer locked at acceptance"),
    whole("fee_millionths", "handling fee that each side paid at acceptance"),
    whole("versions", "1, and one more for every curtailment"),
    word("status", "accepted, approved, cancelled, lapsed or settled"),
    whole("accepted_height", "block of its acceptance"),
    whole("ended_height", "block in which it was cancelled or lapsed; empty otherwise", maybe=True),
)

contract_versions: Final = table(
    "contract_versions",
    "A contract's promises in sum as accepted (version 1) and after every curtailment (L-8).",
    word("contract", "id", key=True),
    whole("version", "1 as accepted, then one more for every curtailment", key=True),
    whole("day_start_ms", "delivery day"),
    whole("energy_wh", "promised over the day"),
    whole("refund_millionths", "handling fee paid back to each side"),
    word("reason", "the grid operator's reason; empty for version 1"),
    whole("height", "block"),
)

promises: Final = table(
    "promises",
    "What a contract's version promises in each interval; intervals without a promise are left out.",
    word("contract", "id", key=True),
    whole("version", "as in contract_versions", key=True),
    whole("interval", "interval of the day, from 0", key=True),
    whole("energy_wh", "promised"),
    whole("price_millionths_per_kwh", "negotiated price p"),
)

# Delivery ---------------------------------------------------------------------------------------------------------

faults: Final = table(
    "faults",
    "Line faults at a meter, for intervals first..end-1 (A-15, L-8).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    word("meter", "meter point", key=True),
    whole("day_start_ms", "delivery day"),
    whole("first", "first interval of the fault"),
    whole("end", "first interval after it"),
    word("reason", "the grid operator's reason"),
)

reading_sets: Final = table(
    "reading_sets",
    "A meter's readings of a day and where they stand on the chain: which root, which place (L-23).",
    whole("day_start_ms", "delivery day", key=True),
    word("meter", "meter point", key=True),
    whole("version", "1 first, higher for corrections", key=True),
    word("member", "address of the member"),
    word("side", "sell (injection) or buy (withdrawal)"),
    word("feeder", "feeder that reported it"),
    whole("energy_wh", "sum over the day"),
    whole("not_measured", "intervals whose value was estimated or substituted"),
    word("root", "Merkle root that the chain holds"),
    whole("position", "place among that root's rows"),
    whole("late", "1 if the block's time lies after readings_due_ms"),
    whole("height", "block"),
    whole("place", "transaction in the block"),
    superseded(),
)

readings: Final = table(
    "readings",
    "Readings, interval by interval, every version (L-11).",
    whole("day_start_ms", "delivery day", key=True),
    word("meter", "meter point", key=True),
    whole("version", "as in reading_sets", key=True),
    whole("interval", "interval of the day, from 0", key=True),
    whole("energy_wh", "what the register counted"),
    word("quality", "measured, estimated or substituted"),
)

# Settlement -------------------------------------------------------------------------------------------------------

SIGNED: Final = "negative when a price is"

settlements: Final = table(
    "settlements",
    "A contract's settlement in sums; a higher revision replaces a lower one and posts the difference (A-17, L-11).",
    word("contract", "id", key=True),
    whole("revision", "1 first, higher for corrections", key=True),
    whole("day_start_ms", "delivery day"),
    whole("promised_wh", "promised, after curtailments"),
    whole("generated_wh", "metered at the seller and allotted to this contract"),
    whole("consumed_wh", "metered at the buyer and allotted to this contract"),
    whole("matched_wh", "traded: the least of promised, generated and consumed, interval by interval (L-2)"),
    whole("energy_millionths", f"consumer to generator, price on what was traded; {SIGNED}"),
    whole("over_grid_fee_millionths", f"consumer to grid, on what was traded; {SIGNED}"),
    whole("grid_purchase_millionths", f"consumer to grid, for what was consumed beyond it; {SIGNED}"),
    whole("grid_sale_millionths", f"grid to generator, for what was generated beyond it; {SIGNED}"),
    whole("seller_compensation_millionths", "seller to buyer (L-3)"),
    whole("buyer_compensation_millionths", "buyer to seller (L-3)"),
    whole("seller_shortfall_wh", "what the seller missed in tested intervals (L-4)"),
    whole("buyer_shortfall_wh", "what the buyer missed in tested intervals (L-4)"),
    whole("height", "block"),
    whole("place", "transaction in the block"),
    superseded(),
)

intervals: Final = table(
    "intervals",
    "A settlement interval by interval: allotment and money (A-17); intervals without a promise are left out.",
    word("contract", "id", key=True),
    whole("revision", "as in settlements", key=True),
    whole("interval", "interval of the day, from 0", key=True),
    whole("promised_wh", "promised"),
    whole("generated_wh", "metered at the seller and allotted to this contract"),
    whole("consumed_wh", "metered at the buyer and allotted to this contract"),
    whole("matched_wh", "traded"),
    whole("price_millionths_per_kwh", "negotiated price p"),
    whole("energy_millionths", "consumer to generator"),
    whole("over_grid_fee_millionths", "consumer to grid"),
    whole("grid_purchase_millionths", "consumer to grid"),
    whole("grid_sale_millionths", "grid to generator"),
    whole("seller_compensation_millionths", "seller to buyer"),
    whole("buyer_compensation_millionths", "buyer to seller"),
)

positions: Final = table(
    "positions",
    "A member's metered energy of a day and side, and what of it went past its promises to the grid (L-2).",
    whole("day_start_ms", "delivery day", key=True),
    word("member", "address", key=True),
    word("side", "sell or buy", key=True),
    whole("revision", "1 first, higher for corrections", key=True),
    whole("metered_wh", "metered"),
    whole("residual_wh", "beyond its promises: sold to or bought from the grid"),
    whole("residual_millionths", f"grid to member when selling, member to grid when buying; {SIGNED}"),
    whole("grid_alone_millionths", "what all that was metered would have cost or earned with the grid alone"),
    whole("height", "block"),
    whole("place", "transaction in the block"),
    superseded(),
)

position_intervals: Final = table(
    "position_intervals",
    "A grid position interval by interval.",
    whole("day_start_ms", "delivery day", key=True),
    word("member", "address", key=True),
    word("side", "sell or buy", key=True),
    whole("revision", "as in positions", key=True),
    whole("interval", "interval of the day, from 0", key=True),
    whole("metered_wh", "metered"),
    whole("residual_wh", "beyond its promises"),
    whole("residual_millionths", "its price"),
)

credit: Final = table(
    "credit",
    "What entry, a day, a correction or decay did to a member's credit C and trust T (A-9, A-10, A-16, B-2).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("day_start_ms", "delivery day; empty for an entry and for trust", maybe=True),
    word("member", "address"),
    word("side", "sell or buy"),
    word("event", "entry, day (the day's judgement), decay, or trust (office, votes or idleness moved it: see trust)"),
    whole("corrected", "1 if a correction led to this judgement"),
    whole("promised_wh", "promised in tested intervals; 0 but for a day's judgement, as are the next two"),
    whole("delivered_wh", "of it, delivered (L-4)"),
    whole("defaulted", "1 if that is a default"),
    whole("credit_before_points_millionths", "credit C before the day, or before the decay"),
    whole("credit_after_points_millionths", "credit C after it, had nothing happened since"),
    whole("trust_before_points_millionths", "trust T before it"),
    whole("trust_after_points_millionths", "trust T after it, had nothing happened since"),
    whole("credit_now_points_millionths", "credit C from this block on: a correction adds its difference (L-11)"),
    whole("trust_now_points_millionths", "trust T from this block on"),
    whole("traded_wh", "N of B-2 from this block on"),
    superseded(),
)

weights: Final = table(
    "weights",
    "Each side's weight after a closed day, component by component, 0 to 100 points each (A-7, A-8).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("day_start_ms", "the day that was closed"),
    word("member", "address"),
    word("side", "sell or buy"),
    whole("credit_points_millionths", "credit C (A-9, A-10)"),
    whole("volume_points_millionths", "volume (A-11)"),
    whole("participation_points_millionths", "participation in consensus (A-12)"),
    whole("certificates_points_millionths", "certificates held (A-13)"),
    whole("carbon_points_millionths", "carbon (A-14)"),
    whole("line_points_millionths", "line faults (A-15); 0 for buyers, with whom they do not count"),
    whole("weight_points_millionths", "the weight: the components times their coefficients"),
    whole("transmissions", "intervals in which the side promised energy, over all closed days"),
    whole("failed", "of them, under a recorded line fault"),
)

fines: Final = table(
    "fines",
    "A defaulter's fine on one contract; a correction states the new sum (A-18).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("day_start_ms", "delivery day"),
    word("contract", "id"),
    word("payer", "who defaulted"),
    whole("amount_millionths", "the fine"),
    superseded(),
)

# Money ------------------------------------------------------------------------------------------------------------

transfers: Final = table(
    "transfers",
    "Every movement of money, in order (L-1).",
    whole("height", "block; 0 for the genesis", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("place", "transaction in the block"),
    word("kind", "what it is for"),
    word("payer", "who pays"),
    word("payee", "who is paid"),
    whole("amount_millionths", "above zero"),
    whole("day_start_ms", "delivery day that caused it", maybe=True),
    word("contract", "contract that caused it; empty when none did"),
)

debts: Final = table(
    "debts",
    "What a debtor could not pay (L-7).",
    word("debt", "id", key=True),
    word("debtor", "who owes"),
    word("creditor", "to whom"),
    whole("recorded_millionths", "when it was first recorded"),
    whole("open_millionths", "still open"),
    word("kind", "the transfer that could not be made"),
    whole("day_start_ms", "delivery day", maybe=True),
    word("contract", "contract; empty when none"),
    whole("recorded_height", "block that recorded it"),
    whole("changed_height", "block of its last change"),
)

deposits: Final = table(
    "deposits",
    "What the cashier signed: one row for every deposit, by its reference (L-27).",
    whole("height", "block", key=True),
    whole("place", "transaction in the block", key=True),
    word("cashier", "who signed"),
    word("account", "whose money it is"),
    word("reference", "reference of the payment outside"),
    whole("amount_millionths", "amount"),
)

disputes: Final = table(
    "disputes",
    "Days that a member contests; decided outside the ledger (L-11).",
    whole("height", "block", key=True),
    whole("sequence", "place among the block's facts", key=True),
    whole("day_start_ms", "delivery day"),
    word("member", "who contests"),
    word("contract", "contract; empty for the whole day"),
    word("statement", "what it says"),
)

# What is not on the chain -----------------------------------------------------------------------------------------

run_info: Final = table(
    "run_info",
    "What the chain does not know: where the data come from, how forecasts were made, who ran it.",
    word("name", "what", key=True),
    word("value", "its value"),
)

members_info: Final = table(
    "members_info",
    "What the chain does not know of a member.",
    word("member", "address", key=True),
    word("technology", "technology or kind of consumer"),
    word("strategy", "by what it decides what to promise"),
    word("forecast", "the forecasts it uses"),
)

Index("transfers_payer", transfers.c.payer, transfers.c.day_start_ms)
Index("transfers_payee", transfers.c.payee, transfers.c.day_start_ms)
Index("transfers_contract", transfers.c.contract)
Index("contracts_day", contracts.c.day_start_ms)
Index("settlements_day", settlements.c.day_start_ms)
Index("fines_contract", fines.c.contract)
Index("credit_member", credit.c.member, credit.c.day_start_ms)
