"""JSONL: one JSON object a line. Well-formed lines go through orjson; whatever it does not take is looked at again, line by line."""

import json
from collections.abc import Iterator
from typing import BinaryIO

import orjson

from fmcycle.source.row import BOM, Record
from fmcycle.source.stream import LIMIT, blocks


def records(stream: BinaryIO, offset: int = 0, end: int | None = None, line: int = 1) -> Iterator[list[Record]]:
    """The lines between two offsets of a file; `line` is the number of the first, `place` is where a line begins."""
    for start, block in blocks(stream, offset, end):
        if block is None:
            yield [(start, line, f"a line longer than {LIMIT >> 20} MiB")]
            line += 1
            continue
        yield parse(block, start, line)
        line += block.count(b"\n")


def parse(block: bytes, place: int, line: int) -> list[Record]:
    """The records of whole lines."""
    found: list[Record] = []
    if place == 0 and block.startswith(BOM):
        block, place = block[len(BOM) :], len(BOM)
    hidden = b"\\u0022" in block  # a quote that `quotes` would count and the line's bytes don't show
    for number, raw in enumerate(block.split(b"\n"), line):
        try:
            row = orjson.loads(raw)
            fair = type(row) is dict and raw.count(b'"') == quotes(row) and not (hidden and b"\\u0022" in raw)
        except (ValueError, RecursionError):
            fair = False
        if fair:
            found.append((place, number, row))
        else:
            found += careful(raw, place, number)
        place += len(raw) + 1
    return found


def quotes(value) -> int:
    """The quotes that `value` has as JSON: more stand in the line where a key is there twice, and a parser takes the last of them."""
    total = 0
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if kind is str:
            total += 2 + item.count('"')
        elif kind is dict or kind is list:
            total += quotes(item)
        elif kind is float and not -(2.0**53) < item < 2.0**53:
            return -(1 << 60)  # maybe a whole number that orjson rounds: the other parser keeps it
    return total + 2 * len(value) if type(value) is dict else total


def careful(raw: bytes, place: int, line: int) -> list[Record]:
    """A line that may hold a problem: nothing when it is blank, several records where lone carriage returns end lines."""
    found: list[Record] = []
    for part in raw.split(b"\r"):
        if part.strip():
            found.append((place, line, parse_one(part)))
        place += len(part) + 1
    return found


def parse_one(raw: bytes) -> dict | str:
    """The object in `raw`, or why there is none. NaN and Infinity are read as missing, control characters in strings as they stand."""
    try:
        row = json.loads(raw.decode(), strict=False, parse_constant=lambda _: None, object_pairs_hook=unique)
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at byte {error.start}"
    except KeyError as error:
        return f"the key {error.args[0]!r} twice"
    except RecursionError:
        return "nested too deep"
    except ValueError:
        return "not valid JSON: half-written?"
    return row if isinstance(row, dict) else "not a JSON object"


def unique(pairs: list[tuple]) -> dict:
    """A dict of `pairs`. Raises KeyError with the name of a key that is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise KeyError(next(name for name in names if names.count(name) > 1))
    return found
