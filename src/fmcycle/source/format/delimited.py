"""Read CSV and TSV: rows whose columns fit a table, others rendered as text in "column: value" lines."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from fmcycle.source.format.stream import LIMIT, Damaged, blocks
from fmcycle.source.row import Record
from fmcycle.source.shape import Map, plan

BATCH = 4 << 20  # bytes of fields
HEADER = 100  # lines of a header
KEPT = {"id", "source", "licence", "group", "time", "origin", "label", "domain", "split"}  # columns that are kept beside a rendered text


def records(stream: BinaryIO, name: str, chosen: Map = (), *, render: bool = True) -> Iterator[list[Record]]:
    """The rows below the header; rows whose columns fit no table are rendered as text.

    `place` is the row's number, `line` the line on which it ends. A row with more or fewer fields than the header is refused.
    Invalid UTF-8 costs only its own row. A first line `sep=;`, as Excel writes it, names the separator.
    """
    csv.field_size_limit(LIMIT)
    lines = text_lines(stream)
    skipped = 0
    while (first := next(lines, "")).startswith("# ") or first.isspace():  # a comment or a blank line above the header
        skipped += 1
    told = re.fullmatch(r'("?)sep=(.)\1\r?\n?', first, re.I | re.S)
    if told:
        first, skipped = next(lines, ""), skipped + 1
    above = [first]  # the lines of the header: a name in quotes may have several
    while "".join(above).count('"') % 2 and len(above) < HEADER and (more := next(lines, "")):
        above.append(more)
    shown = first if "".join(above).count('"') % 2 else "".join(above)
    reader = csv.reader(itertools.chain(above, lines), delimiter=told[2] if told else delimiter(shown, name))
    header = [column.strip() for column in next(reader, [])]
    if len({*header}) < len(header):
        raise Damaged("a header that names a column twice")
    found: list[Record] = []
    size = 0
    place = 0
    try:
        for place, fields in enumerate(reader):
            if fields:
                found.append((place, reader.line_num + skipped, row_of(header, fields, render, chosen)))
                size += sum(map(len, fields))
            if size > BATCH:
                yield found
                found, size = [], 0
    except csv.Error as error:
        found.append((place + 1, reader.line_num + skipped, f"not readable as CSV from here on ({error})"))
    yield found


def text_lines(stream: BinaryIO) -> Iterator[str]:
    """Lines with their ends; a byte that is not UTF-8 becomes half of a surrogate pair, by which `row_of` refuses the row."""
    for start, block in blocks(stream):
        if block is None:
            raise Damaged(f"a line longer than {LIMIT >> 20} MiB")
        if start == 0 and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise Damaged("UTF-16, as Excel's Unicode text: save it as CSV UTF-8")
        text = block.decode("utf-8", "surrogateescape")
        yield from io.StringIO(text.removeprefix("\ufeff") if start == 0 else text, newline="")


def delimiter(header: str, name: str) -> str:
    """The separator: a tab in .tsv and .tab, else the candidate that the header has most often outside of quotes."""
    bare = re.sub(r'"(?:[^"]|"")*"', "", header)
    return "\t" if PurePosixPath(name).suffix.lower() in (".tsv", ".tab") else max(",;\t|", key=bare.count)


def row_of(header: list[str], fields: list[str], render: bool, chosen: Map) -> dict | str:
    """A row by its columns, or rendered as text if they fit no table; a string is the reason why it is refused."""
    if len(fields) != len(header):
        return f"{len(fields)} fields, the header has {len(header)}"
    row = dict(zip(header, fields, strict=True))
    if any("\udc80" <= character <= "\udcff" for value in fields if not value.isascii() for character in value):
        return "invalid UTF-8"
    known = plan(tuple(header), chosen)
    if not render or known.table:
        return row
    beside = {name: row[column] for column, name in known.names.items() if name in KEPT}
    text = "\n".join(f"{name}: {value.rstrip()}" for name, value in row.items() if value.strip())
    return {**beside, "text": text, "type": "table"}
