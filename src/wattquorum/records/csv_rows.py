"""Lines of a CSV file as columns of text, each with the line number that an editor shows.

It stands apart from what the columns mean. Nothing is guessed from values: every field stays text until it is parsed
exactly. The separator is `;` when the first line has one, else `,`; whole fields may be quoted but may not hold line
breaks, so that a row is a line; empty lines are passed over; bytes are UTF-8, with or without a byte order mark.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from wattquorum.records.file_faults import FileFault, file_fault

QUOTED: Final = r'"[^"]*"'
FIELD: Final = r'(?:"(?:[^"]|"")*"|[^"{0}]*)'


@dataclass(frozen=True, slots=True)
class CsvRows:
    """The readable rows of a CSV file.

    `frame` has the column `row` and one column of text for each name of the header (of names that are repeated, the
    first stays); `header` holds the names as they stand, `malformed` one row_malformed for each line that does not fit
    the header.
    """

    frame: pl.DataFrame
    header: tuple[str, ...]
    header_row: int
    separator: str
    malformed: tuple[FileFault, ...]


def csv_rows(data: bytes) -> CsvRows:
    """Cuts the bytes of a CSV file into rows of text. Raises ValueError with a reason when that cannot be done."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    if "\0" in text:
        raise ValueError("it holds zero bytes")
    lines = pl.Series("line", text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), dtype=pl.String)
    numbered = pl.DataFrame({"line": lines}).with_row_index("row", offset=1)
    filled = numbered.filter(pl.col("line").str.strip_chars() != "")
    if filled.is_empty():
        raise ValueError("it is empty")
    header_line, header_row = filled["line"][0], int(filled["row"][0])
    separator = ";" if ";" in header_line else ","
    field = FIELD.format(separator)
    well_formed = f"^{field}(?:{separator}{field})*$"
    if re.search(well_formed, header_line) is None:
        raise ValueError("the quotes in its first line do not hold whole names")
    body = filled.slice(1)
    header = tuple((name or "").strip() for name in _fields(header_line + "\n", separator).row(0))

    bare = pl.col("line").str.replace_all(QUOTED, "")
    fields = bare.str.count_matches(separator, literal=True) + 1
    fits = (fields == len(header)) & pl.col("line").str.contains(well_formed)
    bad = body.filter(~fits).select("row", "line")
    remedy = f"Give {len(header)} fields as in the header, quotes around whole fields."
    malformed = tuple(file_fault("row_malformed", "row", line, remedy, row) for row, line in bad.iter_rows())
    good = body.filter(fits)
    names = list(dict.fromkeys(header))
    if good.is_empty():
        frame = pl.DataFrame(schema={"row": pl.Int64, **dict.fromkeys(names, pl.String)})
        return CsvRows(frame, header, header_row, separator, malformed)
    cells = _fields("\n".join(good["line"].to_list()) + "\n", separator)
    columns = [cells.to_series(header.index(name)).fill_null("").str.strip_chars().alias(name) for name in names]
    row = good["row"].cast(pl.Int64)
    return CsvRows(pl.DataFrame([row, *columns]), header, header_row, separator, malformed)


def _fields(text: str, separator: str) -> pl.DataFrame:
    """Every field of well-formed lines as text; columns are numbered, not named."""
    return pl.read_csv(io.StringIO(text), separator=separator, has_header=False, infer_schema=False, quote_char='"')
