"""The documentation says what the code says: tables that mirror code, links, and the ids of rules."""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import asdict, fields
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from wattquorum.consensus.bft.settings import Settings as CommitteeSettings
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation import transfers
from wattquorum.foundation.codec import Record
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.refusals import CODES, Refused
from wattquorum.ledger import agreed, blocks, proofs, readings, rounds, snapshots, state
from wattquorum.ledger import transactions as t
from wattquorum.ledger.accounts import Role, Status
from wattquorum.ledger.genesis import Founder, Genesis
from wattquorum.ledger.inclusion import InclusionProof
from wattquorum.ledger.parameters import RANGES
from wattquorum.node import community_folder, frames, invitations, node_folder, transport
from wattquorum.node.config import CONFIG
from wattquorum.records.bills import words_of
from wattquorum.replica.pool import Limits

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "wattquorum"
LIMITS, FORMATS, RULES, README = "docs/limits.md", "docs/formats.md", "docs/rules.md", "README.md"
COMMUNITIES = "docs/communities.md"
IN_DOCS = sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *IN_DOCS]

Rows = list[dict[str, str]]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}$", read(page), re.MULTILINE)
    assert found, f"{page} has no heading {title!r}"
    rest = read(page)[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def tables(text: str) -> list[Rows]:
    """Every table of a text, its rows by the names in its head."""
    found: list[Rows] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        head, _, *rest = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        found.append([dict(zip(head, row, strict=True)) for row in rest])
    return found


def names_in(cell: str) -> list[str]:
    """The names in backticks."""
    return re.findall(r"`([A-Za-z0-9_]+)`", cell)


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def python_files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@cache
def syntax(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file; read and walked once."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


# Limits


def test_the_limits_list_every_refusal_code_and_no_other() -> None:
    listed = [row["code"].strip("`") for rows in tables(section(LIMITS, "Refusal codes")) for row in rows]
    assert sorted(listed) == sorted(CODES)


def test_the_limits_list_every_parameter_with_unit_range_and_default() -> None:
    (rows,) = tables(section(LIMITS, "Parameters"))
    listed = [(row["name"], row["unit"], row["range"], row["default"]) for row in rows]
    assert listed == [(f"`{r.name}`", r.unit, f"{r.low:,}..{r.high:,}", f"{r.default:,}") for r in RANGES]


def test_the_limits_state_the_numbers_and_sizes_of_the_code() -> None:
    listed = 0
    for title, column, at in (("Numbers", "bound", 0), ("Sizes", "limit", 0), ("Sizes", "limit", 2)):
        for row in tables(section(LIMITS, title))[at]:
            module, _, name = row["constant"].strip("`").rpartition(".")
            assert getattr(importlib.import_module(f"wattquorum.{module}"), name) == number(row[column]), name
            listed += 1
    assert listed > 15


def test_the_limits_state_what_may_wait_at_a_replica() -> None:
    rows = tables(section(LIMITS, "Sizes"))[1]
    assert {row["field"].strip("`"): number(row["limit"]) for row in rows} == Limits()._asdict()


def test_the_limits_list_every_setting_of_an_engine_and_refuse_what_is_beyond() -> None:
    rows = {row["engine"].strip("`"): row for row in tables(section(LIMITS, "Sizes"))[3]}
    assert {name: number(row["default"]) for name, row in rows.items()} == asdict(Settings())
    for name, row in rows.items():
        if row["from"].isdigit():
            with pytest.raises(Refused):
                Settings(**{name: number(row["from"]) - 1})


def test_the_limits_list_every_setting_of_an_engine_of_committees() -> None:
    rows = {row["engine of committees"].strip("`"): row for row in tables(section(LIMITS, "Sizes"))[4]}
    assert {name: number(row["default"]) for name, row in rows.items()} == asdict(CommitteeSettings())
    for name, row in rows.items():
        if row["from"].isdigit():
            with pytest.raises(Refused):
                CommitteeSettings(**{name: number(row["from"]) - 1})


def test_the_limits_list_every_role_and_status_with_its_number() -> None:
    roles, statuses = tables(section(LIMITS, "Roles"))
    assert [(number(row["bit"]), row["role"].strip("`").upper()) for row in roles] == pairs(Role)
    assert [(number(row["number"]), row["status"].strip("`").upper()) for row in statuses] == pairs(Status)


def test_the_limits_list_every_exit_status() -> None:
    from wattquorum.cli import INTERRUPTED
    from wattquorum.cli import app as commands

    (rows,) = tables(section(LIMITS, "Exit codes"))
    exits = [commands.WRONG, commands.REFUSED, commands.DISK, INTERRUPTED]
    assert [number(row["exit"]) for row in rows] == [0, *exits]
    codes = section(LIMITS, "Exit codes").partition("these codes:")[2]
    assert names_in(codes) == [*commands.WRONG_CODES, *commands.DISK_CODES]


# Formats

RECORDS = [
    *((kind, kind.__struct_config__.tag) for kind in (*t.PAYLOAD_TYPES, *t.Action.__args__)),
    *((kind, None) for kind in (t.Transaction, t.Body, t.MeterPoint, Window, blocks.Ordered, blocks.Block)),
    *((kind, None) for kind in (blocks.Applied, blocks.Round, rounds.Evidence, agreed.Sealed, blocks.NextCommittee)),
    *((kind, None) for kind in (t.OwnCommit, Equivocation)),
    *((kind, None) for kind in (blocks.Header, blocks.Receipt, readings.Row, proofs.Proof, snapshots.Snapshot)),
    (state.Entry, None),
]


@pytest.mark.parametrize(("kind", "tag"), RECORDS, ids=[kind.__name__ for kind, _ in RECORDS])
def test_the_formats_describe_every_record_with_its_number_and_fields(kind: type[Record], tag: int | None) -> None:
    text = section(FORMATS, f"{kind.__name__} {tag}" if tag else kind.__name__)
    fields = [row["field"].strip("`") for rows in tables(text)[:1] for row in rows if "type" in row]
    assert fields == list(kind.__struct_fields__)


def test_the_formats_describe_the_genesis_and_the_proof_file() -> None:
    genesis, founder = tables(section(FORMATS, "genesis.json"))
    assert [name for row in genesis for name in names_in(row["field"])] == list(Genesis.__struct_fields__)
    named = [name for row in founder for name in names_in(row["field of a founder"])]
    assert named == list(Founder.__struct_fields__)
    (proof,) = tables(section(FORMATS, "Proof files"))
    assert [name for row in proof for name in names_in(row["field"])] == list(InclusionProof.__struct_fields__)


def test_the_formats_list_every_table_of_the_state_with_its_record() -> None:
    numbered, records = tables(section(FORMATS, "State"))[1:]
    listed = [(number(row["number"]), row["table"].strip("`"), row["record"]) for row in numbered]
    assert listed == [(each.value, each.name, state.KINDS[each].__name__) for each in state.Table]
    by_name = {row["record"]: names_in(row["fields"]) for row in records}
    assert by_name == {kind.__name__: list(kind.__struct_fields__) for kind in state.KINDS.values()}


def test_the_formats_list_every_kind_of_transfer() -> None:
    (rows,) = tables(section(FORMATS, "Transfers"))
    assert [(number(row["number"]), row["kind"].strip("`")) for row in rows] == pairs(transfers.Kind)


def pairs(kinds: type[Enum]) -> list[tuple[int, str]]:
    return [(each.value, each.name) for each in kinds]


def first_texts(called: str) -> set[str]:
    """The literal first arguments of every call of a function, over the whole source."""
    found = set()
    for path in python_files():
        for node in syntax(path):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name == called and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
    return found


def test_the_formats_list_every_hash_tag_and_every_purpose_of_a_signature() -> None:
    tags, purposes = tables(section(FORMATS, "Hashes and signatures"))
    hashed = first_texts("tagged_hash") | first_texts("hasher")
    assert {row["tag"].strip("`") for row in tags} == hashed
    named = {
        node.value.value
        for path in python_files()
        for node in syntax(path)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id.endswith("PURPOSE")
    }
    assert {row["purpose"].strip("`") for row in purposes} == named


RULE_MODULES = ["membership", "validators", "negotiation", "delivery", "settling", "closing", "money", "context"]
RULE_MODULES += ["metering", "flows", "elections", "attendance", "accusing", "committees"]


def test_the_formats_name_every_refusal_of_a_transaction_with_its_field() -> None:
    """Each `Refused(code, field, ...)` of the ledger's rules stands in a table of refusals."""
    listed = set()
    for rows in tables(read(FORMATS)):
        for row in rows:
            fields = re.split(r", | if .*", row.get("field", ""))
            listed |= {(code, field) for code in names_in(row.get("code", "")) for field in fields}
    prose = set(re.findall(r"`(\w+)`, (?:both )?field `(\w+)`", section(FORMATS, "Transactions")))
    missing = []
    for module in RULE_MODULES:
        path = SOURCE / "ledger" / f"{module}.py"
        for node in syntax(path):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                given = [str(each.value) for each in node.args[:2] if isinstance(each, ast.Constant)]
                if len(given) == 2 and tuple(given) not in listed | prose:
                    missing.append(f"{module}.py:{node.lineno}: {given[0]} on {given[1]}")
    assert missing == []


def test_the_formats_list_every_frame_between_nodes() -> None:
    (rows,) = tables(section(FORMATS, "Frames between nodes"))
    said = [(kind.__struct_config__.tag, kind.__name__, list(kind.__struct_fields__)) for kind in frames.Said.__args__]
    assert [(number(row["number"]), row["frame"].strip("`"), names_in(row["fields"])) for row in rows] == said
    assert f"version {frames.VERSION}" in rows[0]["meaning"]
    assert f"{frames.MESSAGES_MAX:,} at most" in rows[2]["fields"]


def test_the_formats_list_the_files_by_which_a_node_joins() -> None:
    (rows,) = tables(section(FORMATS, "Invitations, requests, admissions"))
    kinds = (invitations.Invitation, invitations.Request, invitations.Admission)
    listed = [(row["file"].strip("`"), names_in(row["fields"])) for row in rows]
    assert listed == [(kind.__name__, list(kind.__struct_fields__)) for kind in kinds]


# Communities


def test_the_communities_page_lists_every_file_of_both_folders() -> None:
    shared, own = tables(section(COMMUNITIES, "Files"))
    names = [community_folder.KEY, community_folder.AUTHORITY, community_folder.REGISTER, community_folder.REVOKED]
    assert [row["file"].strip("`") for row in shared] == [*names, community_folder.PEERS, community_folder.GENESIS]
    folder = node_folder
    names = [folder.LEDGER_KEY, folder.PENDING_KEY, folder.REQUEST, folder.TLS, folder.AUTHORITY, folder.REVOKED]
    assert [row["file"].strip("`") for row in own] == [*names, folder.GENESIS, folder.PEERS, CONFIG]
    assert tuple(row["file"].strip("`") for row in own if row["secret"] == "yes") == folder.SECRETS


def test_the_communities_page_states_every_bound_and_every_reason_of_the_transport() -> None:
    (bounds,) = tables(section(COMMUNITIES, "Bounds"))
    stated = [(row["bound"].strip("`"), row["default"]) for row in bounds]
    assert stated == [(each.name, f"{each.default:,}") for each in fields(transport.Bounds)]
    (reasons,) = tables(section(COMMUNITIES, "Who is turned away"))
    assert tuple(row["reason"].strip("`") for row in reasons) == transport.REASONS


# Rules, commands, links


def test_every_rule_that_the_source_cites_stands_in_the_rules() -> None:
    text = read(RULES)
    stated = set(re.findall(r"^(?:#+|\|) ([ABL]-\d+)\b", text, re.MULTILINE))
    cited = {each for path in python_files() for each in re.findall(r"\b[ABL]-\d+\b", path.read_text(encoding="utf-8"))}
    assert cited - stated == set()


def test_every_rule_that_is_implemented_names_a_module_that_exists() -> None:
    for rule in re.findall(r"^### ([ABL]-\d+)$", read(RULES), re.MULTILINE):
        modules = re.findall(r"`([a-z_]+\.[a-z_]+)`", section(RULES, rule))
        there = [each for each in modules if (SOURCE / f"{each.replace('.', '/')}.py").exists()]
        assert there, f"{rule} names no module"


def test_every_command_stands_in_the_readme_and_every_command_shown_exists() -> None:
    from wattquorum.cli import app as commands

    known = set(commands.COMMANDS)
    shown = {each for page in PAGES for each in re.findall(r"wattquorum ([a-z]+)\b(?! as)", code_of(read(page)))}
    assert shown - known == set()
    assert known - set(re.findall(r"`wattquorum ([a-z]+)", read(README))) == set()


def test_help_breaks_where_the_screen_ends_in_every_command() -> None:
    from wattquorum.cli import app as commands

    found = [typer.main.get_command(commands.app)]
    told = []
    while found:
        command: Any = found.pop()
        told.append(command.help or "")
        found += getattr(command, "commands", {}).values()
    assert len(told) > len(commands.COMMANDS)
    assert [each for each in told if re.search(r"[^\n]\n[^\n]", each)] == []


def code_of(text: str) -> str:
    """What stands in code: blocks and spans."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


def slug(heading: str) -> str:
    """The anchor that a heading gets on the pages where Markdown is read."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_no_link_inside_the_documentation_is_broken(page: str) -> None:
    broken = []
    text = re.sub(r"```.*?```", "", read(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (ROOT / page).parent / path if path else ROOT / page
        if not place.exists():
            broken.append(target)
        elif anchor:
            headings = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            if anchor not in [slug(each) for each in headings]:
                broken.append(target)
    assert broken == []


def test_the_glossary_has_every_word_that_stands_on_a_bill() -> None:
    section = (
        (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").partition("## On a bill")[2].partition("\n## ")[0]
    )
    words = re.findall(r"^\| ([a-z -]+) \| (?!who pays whom)", section, re.MULTILINE)
    assert sorted(words) == sorted(words_of(kind.name.lower()) for kind in transfers.Kind)
