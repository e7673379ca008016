"""Read JSON files other than JSONL, a value at a time: an array of rows, one row, or concatenated rows."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from fmcycle.source.format.json_lines import parse_one
from fmcycle.source.format.stream import CHUNK, LIMIT, Damaged
from fmcycle.source.given_split import place_of
from fmcycle.source.readable import UTF16
from fmcycle.source.row import Record

BATCH = 1024  # rows
LISTS = ("data", "rows", "examples", "instances")  # keys of an object around all rows of a file
BLANK = re.compile(r"[ \t\r\n]*")
SCAN = json.JSONDecoder(strict=False)


def records(stream: BinaryIO) -> Iterator[list[Record]]:
    """The objects of a file; `place` and `line` number them from 0 and from 1. A byte order mark is skipped."""
    found: list[Record] = []
    number = 0
    try:
        for text in values(stream):
            for row in held(parse_one(text.encode("utf-8", "surrogateescape"))):
                found.append((number, number + 1, row))
                number += 1
            if len(found) >= BATCH:
                yield found
                found = []
    except Damaged:
        yield found  # the objects before the damage are kept
        raise
    yield found


def held(row: dict | str) -> Iterable[dict | str]:
    """The rows of an object that only holds lists of them, {"data": [...]} or {"train": [...], "test": [...]}; any other row itself."""
    if (
        not isinstance(row, dict)
        or not row
        or not all(isinstance(part, list) and part and isinstance(part[0], dict) for part in row.values())
    ):
        return [row]
    splits = {name: place_of(name) for name in row}
    if any(name not in LISTS and split is None for name, split in splits.items()):
        return [row]
    beside = {name: {"split": split} if split else {} for name, split in splits.items()}
    return [beside[name] | one if isinstance(one, dict) else "not a JSON object" for name, part in row.items() for one in part]


def values(stream: BinaryIO) -> Iterator[str]:
    """The text of each element of an array, and of each value outside of an array; the last text may be cut short.

    Raises Damaged for a value longer than LIMIT: up to there, an invalid value looks like one whose end has not been read yet.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
    held, at, inside, ended, first = "", 0, False, False, True
    while True:
        at = BLANK.match(held, at).end()  # type: ignore[union-attr]
        sign, stop = held[at : at + 1], None
        if (sign == "[" and not inside) or (sign in (",", "]") and inside):
            at, inside = at + 1, sign != "]"
            continue
        if sign:
            try:
                stop = SCAN.raw_decode(held, at)[1]
            except RecursionError:
                raise Damaged("nested too deep") from None
            except ValueError:
                pass
        if stop is not None and (ended or stop < len(held) or sign == "{"):  # a number may continue in the next chunk
            yield held[at:stop]
            at = stop
        elif ended:
            if sign or inside:
                yield held[at:]
            return
        elif len(held) - at > LIMIT:
            raise Damaged(f"a value longer than {LIMIT >> 20} MiB, or one that is not JSON: the rest of the file is left out")
        else:
            piece = stream.read(CHUNK)
            if first and piece.startswith(UTF16):
                raise Damaged("UTF-16: save it as UTF-8")
            first = False
            held, at, ended = held[at:] + decoder.decode(piece, not piece), 0, not piece
