"""Read JSONL, one JSON object a line: blocks with orjson; the lines of a block that orjson refuses one by one with json."""

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from fmcycle.source.format.stream import LIMIT, Damaged, blocks
from fmcycle.source.readable import BOM, UTF16
from fmcycle.source.row import Printable, Record

DEEP = "nested too deep"


def cuts(path: Path, size: int, bytes: int) -> list[tuple[int, int, int]]:
    """(begin, end, number of the first line) of pieces that end at a line's end. Reads the file once, to count its lines."""
    found, begin, first, line, position = [], 0, 1, 1, 0
    with open(path, "rb", buffering=0) as stream:
        while piece := stream.read(min(4 << 20, bytes, size - position)):
            position += len(piece)
            line += piece.count(b"\n")
            cut = piece.rfind(b"\n") + 1
            if cut and position - len(piece) + cut - begin >= bytes:
                end = position - len(piece) + cut
                found.append((begin, end, first))
                begin, first = end, line
    if begin < size or not found:
        found.append((begin, size, first))
    return found


def is_array(stream: BinaryIO) -> bool:
    """True if a file begins with a JSON array of several lines: JSON under a name of JSON Lines."""
    head = stream.peek(1 << 16) if isinstance(stream, io.BufferedReader) else stream.read(1 << 16)  # type: ignore[attr-defined]
    if not isinstance(stream, io.BufferedReader):
        stream.seek(0)
    first = head.removeprefix(BOM).lstrip().partition(b"\n")[0].strip()
    return first.startswith(b"[") and fair([b'{"row":%b}' % first], b'{"row":%b}' % first) is None


def records(stream: BinaryIO, offset: int = 0, end: int | None = None, line: int = 1) -> Iterator[list[Record]]:
    """The lines between two offsets of a file; `line` is the number of the first, `place` the offset of each."""
    for start, block in blocks(stream, offset, end):
        if start == 0 and block is not None and block.startswith(UTF16):
            raise Damaged("UTF-16: save it as UTF-8")
        if block is None:
            yield [(start, line, f"a line longer than {LIMIT >> 20} MiB")]
            line += 1
            continue
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        yield parse(lines, block, start, line)
        line += len(lines)


def parse(lines: list[bytes], block: bytes, place: int, line: int) -> list[Record]:
    """The records of the lines of a block."""
    if place == 0 and block.startswith(BOM):
        lines[0], place = lines[0].removeprefix(BOM), len(BOM)
    places = list(itertools.accumulate((len(raw) + 1 for raw in lines), initial=place))
    rows = fair(lines, block)
    if rows is not None:
        kind = list if b"\\u00" in block else Printable  # JSON has no control characters but escaped ones
        return kind(zip(places, range(line, line + len(rows)), rows, strict=False))
    found: list[Record] = []
    for number, raw in enumerate(lines):
        alone = fair([raw], raw)
        found += [(places[number], line + number, alone[0])] if alone else careful(raw, places[number], line + number)
    return found


def fair(lines: list[bytes], block: bytes) -> list[dict] | None:
    """The objects in the `lines` of `block`; None if one is not an object, has a key twice, or holds a value that orjson changes."""
    try:
        rows = list(map(orjson.loads, lines))
        # orjson drops a duplicate key with its quotes, so that fewer are counted; quotes written as \u0022 would disturb the count
        lost = (b"\\u00" in block and b"\\u0022" in block) or block.count(b'"') != orjson.dumps(rows).count(b'"')
    except (ValueError, TypeError):  # dumps: nested deeper than 254
        return None
    if lost or {*map(type, rows)} - {dict} or float in {type(row.get("id")) for row in rows} | {type(row.get("group")) for row in rows}:
        return None  # the float may be an integer too long for orjson; json keeps every digit
    return rows


def careful(raw: bytes, place: int, line: int) -> list[Record]:
    """The records of a line that orjson refused: none if it is blank, several if lone carriage returns end lines."""
    found: list[Record] = []
    for part in raw.split(b"\r"):
        if part.strip():
            found.append((place, line, parse_one(part.rstrip().removesuffix(b",") if part.rstrip().endswith(b"},") else part)))
        place += len(part) + 1
    return found


def parse_one(raw: bytes) -> dict | str:
    """The object in `raw`, or the reason why there is none. NaN and Infinity become null; control characters in strings are kept."""
    try:
        row = json.loads(raw.decode(), strict=False, parse_constant=lambda _: None, object_pairs_hook=unique)
        if too_deep(row):
            return DEEP
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at byte {error.start}"
    except KeyError as error:
        return f"the key {error.args[0]!r} twice"
    except RecursionError:
        return DEEP
    except ValueError:
        return "not valid JSON: half-written?"
    return row if isinstance(row, dict) else "not a JSON object"


def too_deep(row) -> bool:
    """True if `row` is nested deeper than orjson takes; the limit of json itself depends on the depth of the caller."""
    try:
        orjson.dumps(row)
    except TypeError as error:
        return "ecursion" in str(error)
    return False


def unique(pairs: list[tuple]) -> dict:
    """A dict of `pairs`. Raises KeyError with the name of a duplicate key."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise KeyError(next(name for name in names if names.count(name) > 1))
    return found
