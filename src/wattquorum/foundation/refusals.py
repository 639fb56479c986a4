"""Refusals: how WattQuorum says no.

An error is data: a stable code, the field, the value and the remedy. People see a sentence, tests and receipts see
the code. Every code is listed here once, with what is wrong and what to do in general; the place that refuses may
give a more exact remedy. The texts are not part of the replicated state (receipts carry code, field and value), so
that a better sentence never forks a ledger.
"""

from __future__ import annotations

import re
from typing import Final

VALUE_CHARACTERS_MAX: Final = 120

# Controls, invisible and direction-changing characters, and half pairs that cannot be encoded. Spelled out, because
# str.isprintable() changes with Python's Unicode tables while receipts keep the text.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff]"
)


class Refused(Exception):
    """Input that a rule does not admit; nothing was changed.

    `code` is stable across versions, `field` names what was wrong in the domain's words, `value` is what was found
    (shortened to 120 characters), `remedy` says what would be admitted.
    """

    def __init__(self, code: str, field: str, value: object, remedy: str = "") -> None:
        _, general = CODES[code]
        self.code = code
        self.field = field
        self.value = shown(value)
        self.remedy = remedy or general
        super().__init__(code, field, self.value, self.remedy)

    def __str__(self) -> str:
        return f"{self.code}: {sentence(self.code, self.field, self.value, self.remedy)}"


def shown(value: object) -> str:
    """A value as people see it in a refusal: bytes in hexadecimal, at most 120 characters of printable text."""
    text = bytes(value).hex() if isinstance(value, bytes | bytearray | memoryview) else str(value)
    text = _UNPRINTABLE.sub("?", text)
    return text if len(text) <= VALUE_CHARACTERS_MAX else text[: VALUE_CHARACTERS_MAX - 3] + "..."


def sentence(code: str, field: str, value: str, remedy: str = "") -> str:
    """The refusal as one plain sentence and its remedy."""
    wrong, general = CODES[code]
    return f"{field} {wrong} (found: {value or 'nothing'}). {remedy or general}"


# code: (what is wrong, what to do in general). Grouped by where it is found; keep each group sorted.
CODES: Final[dict[str, tuple[str, str]]] = {
    # quantities and encoding
    "encoding_noncanonical": ("is not in the one admitted encoding", "Encode it with WattQuorum's own codec."),
    "encoding_unreadable": ("cannot be decoded", "Check that it was not cut or altered on its way."),
    "overflow": ("does not fit into 64 bits", "Split it into smaller amounts."),
    "quantity_unreadable": (
        "is not a quantity with a unit",
        "Write a number and a unit, such as 1.5 MWh or 0.45 CNY/kWh.",
    ),
    "out_of_range": ("lies outside its range", "Choose a value inside the range."),
    "vector_length": ("has the wrong number of intervals", "Give one entry for each interval of the delivery day."),
    # signed transactions
    "chain_wrong": ("names another chain", "Sign it again for this chain."),
    "expired": ("is past its expiry", "Sign it again with a later expiry."),
    "expiry_too_far": ("lies too far ahead", "Choose an earlier expiry."),
    "nonce_wrong": ("is not the sender's next nonce", "Use the sender's next nonce."),
    "signature_forged": ("does not belong to the sender's key", "Sign it with the sender's current key."),
    "transaction_oversized": ("is larger than a transaction may be", "Split it into several transactions."),
    "sender_unknown": ("has no account", "Ask a registrar to register it first."),
    # roles, members and governance
    "account_exists": ("has an account already", "Use the account that exists."),
    "account_unknown": ("is not an account", "Check the address; a registrar opens accounts."),
    "account_inactive": (
        "may not do this in its present status",
        "Settle its debts or ask a registrar to reinstate it.",
    ),
    "notice_short": ("leaves too little notice", "Choose a later height."),
    "already_approved": ("was approved by this governor before", "Nothing is left to do for this governor."),
    "meter_known": ("is registered already", "Use a meter id that is not in use."),
    "meter_unknown": ("is not a registered meter", "Register the meter first or correct its id."),
    "parameter_fixed": ("is fixed by the chain's genesis", "Found another chain for another value."),
    "parameter_out_of_range": ("lies outside the parameter's range", "Choose a value inside the range."),
    "parameter_unknown": ("is not a parameter", "See the table of parameters."),
    "proposal_expired": ("was not approved by enough governors in time", "Propose it again."),
    "proposal_unknown": ("is not an open proposal", "Check the proposal's id."),
    "role_held": ("holds a role that governors grant", "Ask governors to take its roles back first."),
    "role_unknown": ("is not a role", "See the table of roles."),
    "role_missing": ("does not have the role that this needs", "Ask a governor to grant the role."),
    "governors_too_few": ("would leave fewer governors than must agree", "Grant the role to another account first."),
    "validator_exists": ("has a replica already", "A legal owner runs one replica, with a key of its own."),
    "validator_unknown": ("is no replica that this concerns", "Check its address, and who runs it."),
    "validators_too_many": ("has no seat left", "Remove a replica first, or raise the parameter validators_max."),
    "validators_too_few": ("are too few who vote", "Admit another replica first."),
    # delivery days and trading
    "band_violated": ("lies outside the price band", "Choose a price inside the band."),
    "collateral_short": ("is less than the collateral that this needs", "Deposit more or promise less."),
    "contract_state": ("is not in a state that admits this", "Check the contract's state."),
    "contract_unknown": ("is not a contract", "Check the contract's id."),
    "day_exists": ("is published already", "Publish another day."),
    "day_unknown": ("is not a published delivery day", "Wait until the day is published."),
    "day_overlaps": ("overlaps a published delivery day", "Publish days that do not overlap."),
    "energy_negative": ("is below zero", "Give zero or more."),
    "gate_closed": ("is closed", "Trade before the day's gate."),
    "gate_open": ("is still open", "Wait until the day's gate has closed."),
    "offer_addressed": ("is addressed to another member", "Accept or counter offers that are public or yours."),
    "offer_closed": ("is no longer open", "Make a new offer."),
    "offer_unknown": ("is not an offer", "Check the offer's id."),
    "offers_too_many": ("has as many offers as one member may make", "Trade with the offers that stand."),
    "promise_empty": ("promises nothing in any interval", "Promise energy in at least one interval."),
    "promise_exceeds_limit": ("is more than the connection can carry", "Promise less in this interval."),
    "self_trade": ("has the same owner on both sides", "Trade with another owner."),
    "side_impossible": ("has no meter for this side", "Register a meter for this direction first."),
    "started": ("has begun already", "Act before it begins."),
    "window_past": ("lies in the past", "Choose a window in the future."),
    # metering and settlement
    "commitment_wrong": ("does not match the rows beside it", "Send the rows that the commitment was made from."),
    "energy_absurd": ("is more than the connection can carry", "Check the unit and the meter."),
    "fault_unrecorded": ("has no recorded line fault", "Report the line fault first."),
    "feeder_unknown": ("is not a feeder of this day", "Check the feeder's name."),
    "intervals_missing": ("does not cover every interval once", "Give exactly one row for each interval."),
    "intervals_overlap": ("covers an interval more than once", "Give exactly one row for each interval."),
    "energy_unbalanced": ("does not balance", "Let generation and supply be consumption, losses and what is returned."),
    "page_closed": ("is closed already", "Nothing is left to do for this page."),
    "page_open": ("is not closed yet", "Close every page of the day first."),
    "quality_unknown": ("is not a quality of a reading", "Use measured, estimated or substituted."),
    "retention_open": ("lies within the retention of readings", "Choose an earlier time."),
    "readings_early": ("is before the end of delivery", "Wait until the day has ended."),
    "readings_missing": ("has no readings yet", "Send the readings first."),
    "rows_missing": ("has no rows beside it", "Send the rows together with their commitment."),
    "version_not_higher": ("is not higher than the version on the ledger", "Use the next version."),
    "day_closed": ("is closed already", "Nothing is left to do for this day."),
    "day_final": ("is past its final day", "File a dispute; it is settled outside the ledger."),
    "day_not_final": ("is not past its final day", "Wait for the final day."),
    "fault_known": ("is recorded already", "Record each fault once."),
    # money
    "amount_not_positive": ("is not above zero", "Give an amount above zero."),
    "balance_short": ("is less than this needs", "Deposit more or choose a smaller amount."),
    "debt_unknown": ("is not an open debt", "Check the debt's id."),
    "payout_unknown": ("is not an open payout", "Check the payout's id."),
    "reference_used": ("was used before", "Use each reference once."),
    "obligations_open": ("has obligations left", "Wait until its contracts are final and its debts are paid."),
    # certificates and carbon
    "allowance_missing": ("has no allowance account", "Ask the carbon registry: a quota opens one."),
    "allowance_short": ("is less than this needs", "Move fewer allowances or buy more first."),
    "carbon_period": ("is not the open period", "Name the period that is open."),
    "certificate_expired": ("has expired", "Use certificates of younger production."),
    "certificate_final": ("is not active any more", "Use other certificates."),
    "certificate_short": ("is less than this needs", "Name more certificates or ask for fewer."),
    "certificate_unit": ("does not have the certificates that this takes", "Name granular bundles of one device."),
    "certificate_unknown": ("is none of the owner's bundles", "Look the owner's bundles up: a split gives new ids."),
    "energy_certified": ("has nothing left that could be certified", "Each Wh backs one certificate."),
    "sale_unknown": ("is not for sale", "It was sold, withdrawn or never offered."),
    "technology_ineligible": ("earns no certificates", "Certify generation from wind, sun or biomass."),
    # standing and committees
    "approvals_missing": ("is not approved by enough governors", "Have more governors sign the same act."),
    "attest_height": ("is no height that can be attested now", "Name one of the last 64, once the next block stands."),
    "attest_known": ("is known to be attended", "Nothing is left to do for this height."),
    "attest_outsider": ("had no part in agreeing there", "Only who was in the committee can have signed."),
    "candidate_unseated": ("runs no replica that votes", "Vote for a member that runs one."),
    "consensus_other": ("has no agents", "Do this on a chain that agents run."),
    "evidence_known": ("is proven to lie already", "Nothing is left to do in this epoch."),
    "evidence_outsider": (
        "is of no committee that can be judged now",
        "Accuse a member of the committee of then, soon.",
    ),
    "evidence_unproven": ("does not prove a lie", "Give two different digests, both signed by the member."),
    "chain_restarted": (
        "goes on by an act of governors that is not trusted here",
        "Ask governors for the digest of their act; if it is this one, trust it by name.",
    ),
    "checkpoint_old": ("is older than keys are kept safe for", "Take a later checkpoint from somebody whom you trust."),
    "checkpoint_wrong": ("is no checkpoint", "Take one that `wattquorum light verify` wrote."),
    "header_gap": ("does not follow on what was proven", "Ask another node."),
    "evidence_wrong": ("is not the certificate of the block before", "Embed the certificate that the block got."),
    "seal_forged": ("is not a committee member's signature", "Ask that member again."),
    "signers_wrong": ("are not a quorum of the committee", "Name a quorum's members, each once, in their order."),
    "stand_early": ("comes before the epoch closes", "Stand in the last blocks of the epoch."),
    "stand_outsider": ("runs no replica that votes", "Ask governors for a seat first."),
    "stand_second": ("stands already", "Nothing is left to do in this epoch."),
    "vote_invalid": ("is not a vote that counts", "Vote once, for a member of your own group."),
    "vote_outside": ("is of no member of the voter's group", "Vote for a member of your own group."),
    "vote_second": ("has voted in this epoch", "Vote again in the next epoch."),
    "voter_unknown": (
        "carries no vote in this epoch",
        "One account of an owner votes, from the next epoch's groups on.",
    ),
    # meter files and member files
    "column_missing": ("is missing", "Name the columns as the format describes."),
    "column_ambiguous": ("must be given exactly once", "Give exactly one of energy_wh, energy_kwh and power_w."),
    "column_type": ("has a type that cannot be read here", "Use the types that the format describes."),
    "direction_unknown": ("is not a direction", "Use injection or withdrawal."),
    "file_unreadable": ("cannot be read", "Check the path and the format."),
    "members_missing": ("are needed beside these readings", "Name a members file."),
    "strategy_failed": ("decided for its member and failed", "Correct the strategy."),
    "member_invalid": ("does not describe a member", "See the format of members.toml."),
    "strategy_options": ("cannot be made with these options", "See the strategy's options."),
    "strategy_unknown": ("is not a strategy", "Choose a shipped strategy or write module:Class."),
    "technology_unknown": ("has no forecast error", "Choose a technology from the table of forecast errors."),
    "time_naive": ("has no time zone", "Add an offset such as Z or +02:00, or name the zone."),
    "time_nonexistent": ("does not exist in this time zone", "Correct the local time: clocks were put forward here."),
    "time_ambiguous": ("exists twice in this time zone", "Add the offset: clocks were put back here."),
    "row_malformed": ("does not have the fields of the header", "Give each row one field for each column."),
    "time_zone_unknown": ("is not a time zone", "Name it as the IANA database does, such as Europe/Berlin."),
    "time_unreadable": ("is not a time stamp", "Write it as 2016-06-13T00:00:00Z."),
    "time_misaligned": ("does not lie on the interval grid", "Use whole intervals."),
    "energy_fraction": ("is not a whole number of Wh", "Give whole Wh, or at most three decimals of kWh."),
    # grids and their power flow
    "grid_diverged": ("has no power flow that converges", "Check the grid's data, or let its units exchange less."),
    "grid_invalid": ("does not describe a grid", "See the format of grid.json."),
    "grid_island": ("is not connected to any source", "Connect it, or leave it out."),
    "grid_meter_unknown": ("stands nowhere in the grid", "Give a unit of the grid this meter_id."),
    "grid_profile_missing": ("has no profile for this time", "Give a profile for every unit that is no member's."),
    "grid_reference_unknown": ("refers to a node that is not there", "Name a node of the grid."),
    "grid_value_absurd": ("cannot be right", "Check the value and its unit."),
    # consensus and replicas
    "already_pending": ("is pending already", "Nothing is left to do; wait for its receipt."),
    "clock_declared": ("comes without the time that it is meant for", "Send it in a step, with the demo's time."),
    "configuration_invalid": ("is not a configuration that can decide", "Name distinct voters with power above zero."),
    "diverged": ("differs from what the others have", "Keep this replica's folder, and let a new one take its seat."),
    "input_unexpected": ("is nothing that the engine asked for", "Answer only what the engine handed out."),
    "not_ordering": ("orders nothing now", "Send it to the replica that leads."),
    "orders_alone": ("needs other replicas, and this one orders alone", "Start an engine that has several voters."),
    "outcome_unseen": (
        "was used in a block that this replica did not see",
        "Look the transaction up before signing it again.",
    ),
    "pending_too_many": ("has too many transactions pending", "Wait until some of them are in a block."),
    "pool_full": ("has no room left", "Send it again later."),
    # communities and connections
    "community_foreign": ("is of another community", "Use what this community's authority has signed."),
    "frame_oversized": ("is larger than a frame may be", "Send less at once."),
    "genesis_missing": ("is missing, and addresses follow from it", "Put the chain's genesis.json into the folder."),
    "invitation_forged": ("was not signed by the community's authority", "Ask the community for a new invitation."),
    "invitation_used": ("was used before", "Ask the community for a new invitation."),
    "invitation_unknown": ("is no invitation of this community", "Ask the community for a new invitation."),
    "key_missing": ("is missing", "Join with an invitation first: that makes the keys."),
    "key_public": ("can be read by others", "Take their permissions away: chmod 600."),
    "request_forged": ("does not prove what it says", "Make the request again with `wattquorum join`."),
    "revocations_old": ("is older than the list that is here", "Use the newest list of the community."),
    "tls_identity_expired": ("has run out or has not begun", "Ask the community for a new invitation, and join again."),
    "tls_identity_invalid": ("is not a TLS identity of this community", "Ask the community to admit you again."),
    "tls_identity_revoked": ("was revoked", "Ask the community why; a new invitation makes a new one."),
    "tls_identity_unknown": (
        "has no TLS identity that is in force",
        "Look the addresses up: wattquorum community list.",
    ),
    # chain folders
    "backup_altered": ("is not what the backup's manifest says", "Use another backup, or another copy of this one."),
    "chain_altered": ("does not match what the chain commits to", "Restore the chain from another copy."),
    "chain_in_use": ("is in use by another process", "End the other process first."),
    "chain_unclosed": ("is missing: the chain has no signed end", "Close the chain first, then prove."),
    "conservation_broken": ("is not conserved", "Do not trust this chain; compare it with another replica."),
    "chain_truncated": ("ends too early", "Restore the chain from another copy."),
    "disk_failed": ("could not be written", "Check the disk, then open the chain again."),
    "disk_full": ("has no room left", "Free space and start again; nothing that was acknowledged is lost."),
    "end_unexpected": ("is not what the chain was expected to end with", "Compare it with another copy."),
    "file_exists": ("exists already", "Choose a file that does not exist."),
    "file_unknown": ("does not belong into a chain folder", "Move it elsewhere."),
    "folder_exists": ("exists and is not empty", "Choose another folder or remove it."),
    "certificate_wrong": ("is not what TLS needs", "Join the community anew, or ask who runs its authority."),
    "config_invalid": ("does not describe a node", "See the operations guide for what a node.toml holds."),
    "request_unreadable": ("cannot be read", "See the interface's schema."),
    "undecided": ("is not decided yet", "Hand the same transaction in again, here or elsewhere; it is decided once."),
    "address_in_use": ("is where something else listens", "Choose another port, or end what listens there."),
    "node_failed": ("found a defect in itself", "Report it with the log; start the node again meanwhile."),
    "node_halted": ("takes part no more", "See why in its status; ask another node meanwhile."),
    "node_stopped": ("was stopped", "Ask another node, or this one when it runs again."),
    "log_missing": (
        "lacks records that this replica had written",
        "Do not run this replica again: it forgot what it promised. See docs/operations.md, backup and recovery.",
    ),
    "seat_taken": ("has had a seat on this chain", "Join with a ledger key of its own."),
    "wal_damaged": (
        "does not hold the records that were written",
        "Do not go on from this log: the replica would forget what it promised. Give its seat to a new one.",
    ),
    "wal_foreign": ("is no segment of this write-ahead log", "Put the log's own file back in its place."),
    "wal_format_unknown": ("has a format that this version cannot read", "Use the version that wrote it."),
    "snapshot_missing": ("has no snapshot that is new enough", "Take a snapshot first."),
    "records_foreign": (
        "were made from another chain or by another version",
        "Drop them and rebuild them from the chain.",
    ),
    "records_gap": ("does not follow the last recorded block", "Replay the chain from the block after it."),
    "proof_wrong": ("does not prove what it says", "Ask for the proof again from a replica of the chain."),
    "transaction_ambiguous": ("is how several hashes begin", "Give more digits of the hash."),
    "transaction_unknown": ("is not on this chain", "Check the hash."),
    "block_unknown": ("is not on this chain", "Name a height up to the one that the chain is at."),
    "record_unknown": ("is not in the state", "Check the table and the key."),
    "snapshot_wrong": ("does not match the block it was taken at", "Use another snapshot or replay from genesis."),
    "demo_only": ("is for demo chains alone", "Create random keys for a live chain."),
}
