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
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_of
from wattquorum.consensus.raft.records import Appended, Ballot, Base, decode_record
from wattquorum.foundation.refusals import Refused
from wattquorum.node.wal_files import Segment, Survey, survey

commands = typer.Typer(help="Look into a node's write-ahead log.", no_args_is_help=True)
SHORT: Final = 8  # digits of an address


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
    torn tail. Exit status 1 when the log is damaged, with the first byte that is, after every record that is whole.
    """
    if not folder.is_dir():
        raise Refused("file_unreadable", "folder", folder, "Name the folder `wal` of a node.")
    found = survey(folder)
    if as_json:
        for row in _rows(found):
            sys.stdout.write(json.dumps(row._asdict()) + "\n")
    else:
        table = Table("file", "byte", "bytes", "position", "what", "content", box=None)
        for row in _rows(found):
            numbers = (f"{number:,}" for number in (row.byte, row.bytes, row.position))
            table.add_row(row.file, *numbers, row.kind, row.content)
        Console(highlight=False, soft_wrap=True).print(table)
    if found.damage is not None:
        sys.stdout.flush()
        raise found.damage


def _rows(found: Survey) -> Iterator[Row]:
    for segment in found.segments:
        if segment.first < found.begins:
            yield Row(segment.name, 0, len(segment.data), segment.first, "superseded", f"to {segment.last}")
            continue
        for frame in segment.frames:
            data = segment.data[frame.data_start : frame.end]
            yield Row(segment.name, frame.start, len(data), frame.height, *_content(data))
        if segment.is_damaged or segment is found.segments[-1]:
            yield _rest(segment)


def _rest(segment: Segment) -> Row:
    """What stands behind the last whole record."""
    kind = "damaged" if segment.is_damaged else "torn tail" if segment.fault is not None else "room"
    reason = segment.fault.reason if segment.fault is not None else ""
    return Row(segment.name, segment.end, len(segment.data) - segment.end, segment.last + 1, kind, reason)


def _content(data: bytes) -> tuple[str, str]:
    try:
        found = decode_record(data)
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
