"""`wattquorum wal`: what a node's write-ahead log holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_of
from wattquorum.consensus.raft.records import Appended, Ballot, Base, decode_record
from wattquorum.foundation.identities import CHAIN_ID_BYTES
from wattquorum.foundation.refusals import Refused
from wattquorum.node.wal import Segment, Tail, segments, walk

commands = typer.Typer(help="Look into a node's write-ahead log.", no_args_is_help=True)
SHORT: Final = 8  # digits of an address
HEAD_CHAIN: Final = slice(8, 8 + CHAIN_ID_BYTES)


class Row(NamedTuple):
    """A record, or what stands behind the last."""

    file: str
    byte: int
    bytes: int
    position: int
    kind: str
    content: str


@commands.callback()
def _only() -> None:
    """Look into a node's write-ahead log."""


@commands.command("inspect")
def inspect(
    folder: Annotated[Path, typer.Argument(help="The folder `wal` of a node.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in a line for each record.")] = False,
) -> None:
    """Show every record of a node's log: where it stands, and what the node must not forget.

    Nothing is changed, so that it can be used beside a node that runs; what that one writes meanwhile may look like a
    torn tail. Exit status 1 when the log is damaged, with the first byte that is.
    """
    if not folder.is_dir():
        raise Refused("file_unreadable", "folder", folder, "Name the folder `wal` of a node.")
    console = Console(highlight=False, soft_wrap=True)
    if as_json:
        for row in _rows(folder):
            sys.stdout.write(json.dumps(row._asdict()) + "\n")
        return
    table = Table("file", "byte", "bytes", "position", "what", "content", box=None)
    for row in _rows(folder):
        table.add_row(
            row.file, *(f"{number:,}" for number in (row.byte, row.bytes, row.position)), row.kind, row.content
        )
    console.print(table)


def _rows(folder: Path) -> Iterator[Row]:
    there = segments(folder)
    if not there:
        return
    with (folder / there[0].name).open("rb") as file:
        chain_id = file.read(8 + CHAIN_ID_BYTES)[HEAD_CHAIN]
    origins = [number for number, segment in enumerate(there) if segment.origin]
    for number, segment in enumerate(there[: origins[-1]] if origins else ()):
        following = there[number + 1].first - 1
        yield Row(
            segment.name, 0, (folder / segment.name).stat().st_size, segment.first, "superseded", f"to {following}"
        )
    for found in walk(folder, chain_id, there[origins[-1] if origins else 0 :]):
        yield _tail(found, folder) if isinstance(found, Tail) else _record(found[0].segment, found[0].start, found[1])


def _record(segment: Segment, start: int, record: Durable) -> Row:
    kind, content = _content(record)
    return Row(segment.name, start, len(record.data), record.position, kind, content)


def _tail(tail: Tail, folder: Path) -> Row:
    size = (folder / tail.segment.name).stat().st_size - tail.offset
    kind = "torn tail" if tail.reason else "room"
    return Row(tail.segment.name, tail.offset, size, tail.position, kind, tail.reason)


def _content(record: Durable) -> tuple[str, str]:
    try:
        found = decode_record(record.data)
    except Refused as refused:
        return "unknown", f"it is no record of this engine ({refused.code})"
    match found:
        case Ballot():
            return "ballot", _ballot(found)
        case Appended():
            return "entries", _entries(found.first, found.entries)
        case Base():
            above = _entries(found.index + 1, found.entries) if found.entries else "no entry above it"
            configuration = _configuration(found.configuration)
            state = f"state of {len(found.state):,} bytes after entry {found.index} of term {found.term}"
            return "base", f"{state}; {_ballot(found.ballot)}; {configuration}; {above}"


def _ballot(ballot: Ballot) -> str:
    return f"term {ballot.term}, " + (f"voted for {ballot.vote.hex()[:SHORT]}" if ballot.vote else "no vote")


def _entries(first: int, entries: tuple[Entry, ...]) -> str:
    last = first + len(entries) - 1
    terms = sorted({entry.term for entry in entries})
    text = (
        f"{first} to {last}, term {' '.join(map(str, terms))}, {sum(len(entry.payload) for entry in entries):,} bytes"
    )
    changes = [
        f"{first + number}: {_configuration(configuration_of(entry))}"
        for number, entry in enumerate(entries)
        if entry.kind is Kind.CONFIGURATION
    ]
    return "; ".join([text, *changes])


def _configuration(configuration: Configuration) -> str:
    joint = "" if configuration.old is None else "joint "
    return f"{joint}configuration {configuration.version} of {len(configuration.new)} voters"
