"""A retirement statement: who used which certificates up, as a page to print, with a proof that anybody can check.

Everything on the page is read out of the proof itself, which holds the retirement, its receipt with what was retired,
and what makes both part of the chain. So the page can say nothing that the proof does not.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Final

from wattquorum.foundation.intervals import format_moment
from wattquorum.foundation.quantities import Energy, format_energy
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.inclusion import Included, check_inclusion
from wattquorum.ledger.transactions import RetireCertificates

STYLE: Final = """
@page { size: A4; margin: 22mm 20mm; }
* { box-sizing: border-box; }
body { font: 11.5pt/1.5 system-ui, sans-serif; color: #1c2430; max-width: 170mm; margin: 12mm auto; padding: 0 5mm; }
h1 { font-size: 20pt; margin: 0 0 2mm; }
.lead { color: #4a5563; margin: 0 0 9mm; }
.amount { font-size: 26pt; font-weight: 650; margin: 0; }
.of { color: #4a5563; margin: 0 0 8mm; }
table { border-collapse: collapse; width: 100%; margin-bottom: 8mm; }
th { text-align: left; font-weight: 500; color: #4a5563; width: 44mm; vertical-align: top; padding: 1.6mm 4mm 1.6mm 0; }
td { padding: 1.6mm 0; overflow-wrap: anywhere; }
tr + tr { border-top: 1px solid #dfe4ea; }
code { font: 9.5pt/1.4 ui-monospace, monospace; }
footer { color: #4a5563; font-size: 9.5pt; border-top: 1px solid #dfe4ea; padding-top: 4mm; }
@media print { body { margin: 0; padding: 0; max-width: none; } }
"""


def statement(proof: bytes, proof_name: str, owner: str) -> str:
    """The page of a retirement's proof, which stands in a file of this name beside it; `owner` is the owner's name.

    Raises Refused("proof_wrong") for a proof that does not hold or that is no retirement's.
    """
    included = check_inclusion(proof)
    facts = retired(included)
    payload = included.received.body.payload
    assert isinstance(payload, RetireCertificates)
    energy = Energy((int(facts["end"]) - int(facts["first"])) * int(facts["unit_wh"]))
    kind = "whole certificates of 1 MWh" if int(facts["unit_wh"]) > 1 else "granular certificates of 1 Wh"
    beneficiary = payload.beneficiary or f"{owner}, for its own consumption"
    rows = (
        ("Retired by", owner),
        ("Beneficiary", beneficiary),
        ("Purpose", payload.purpose or "not stated"),
        ("Source", facts["source"]),
        ("Device", facts["meter"]),
        ("Produced", f"{format_moment(int(facts['start_ms']))} to {format_moment(int(facts['end_ms']))}"),
        ("Certificates", f"{_numbers(int(facts['first']), int(facts['end']))} of the device's {kind}"),
        ("Retired at", f"{format_moment(included.time_ms)}, block {included.height}"),
        ("Transaction", included.received.hash.hex()),
        ("Chain", included.chain_id.hex()),
    )
    table = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    year = datetime.fromtimestamp(included.time_ms // 1000, UTC).year
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Retirement statement {included.received.hash.hex()[:8]}</title><style>{STYLE}</style></head><body>"
        "<h1>Retirement statement</h1>"
        f'<p class="lead">These certificates were used up in {year} and can never be used again.</p>'
        f'<p class="amount">{escape(format_energy(energy))}</p>'
        f'<p class="of">of electricity from {escape(facts["source"])}, for {escape(beneficiary)}</p>'
        f"<table>{table}</table>"
        "<footer><p>This page proves nothing by itself. Whoever doubts it runs "
        f"<code>wattquorum verify {escape(proof_name)}</code> on the file beside it, and compares what that prints "
        "with every line above, and the chain with the one that it knows. The proof holds the signed retirement, its "
        "receipt and the end of the chain, signed by the founder on whose word it rests; only the owner's name is not "
        "in it.</p></footer></body></html>\n"
    )


def _numbers(first: int, end: int) -> str:
    return f"number {end}" if end - first == 1 else f"numbers {first + 1} to {end}"


def retired(included: Included) -> dict[str, str]:
    """What a retirement used up, as its receipt says; Refused("proof_wrong") when it is none."""
    payload, receipt = included.received.body.payload, included.receipt
    if not isinstance(payload, RetireCertificates) or receipt.field != "retired":
        raise Refused("proof_wrong", "transaction", type(payload).__name__, "Prove a retirement that was done.")
    return described(receipt.value)


def described(value: str) -> dict[str, str]:
    """What a retirement's receipt says of the certificates, by name: device, numbers, unit, source, production."""
    return dict(part.split("=", 1) for part in value.split(" "))
