"""Erasure: find rows in a folder, list them by source or digest in erased.jsonl, and delete them from the data that collect fetches."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import polars as pl

from fmcycle.artifact import atomic
from fmcycle.errors import InputError
from fmcycle.source import reader
from fmcycle.tables import schema
from fmcycle.tables.text import as_text

Judge = Callable[[pl.DataFrame], pl.Series]  # frame with `source` and `text` -> a boolean for each row: delete it?


@dataclass
class Erased:
    """The entries of erased.jsonl: whole sources by name, single rows by the sha256 of their text."""

    sources: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)

    def __call__(self, rows: pl.DataFrame) -> pl.Series:
        own = pl.Series(
            [digest(text) in self.digests for text in rows["text"]] if self.digests else [False] * rows.height, dtype=pl.Boolean
        )
        return own | rows["source"].is_in(list(self.sources))


def digest(text: str) -> str:
    """The sha256 of a row's text; the text of a conversation is all its turns."""
    return hashlib.sha256(text.encode()).hexdigest()


def listed(file: str | Path | None) -> Erased:
    """The list in `file`, one {"source": name} or {"sha256": digest} a line. Raises InputError for a line that is neither."""
    found = Erased()
    for number, line in enumerate(Path(file).read_text().splitlines() if file else [], 1):
        try:
            entry = json.loads(line)
            found.sources |= {entry["source"]} if "source" in entry else set()
            found.digests |= {entry["sha256"]} if "source" not in entry else set()
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f'{file}: line {number} is neither {{"source": NAME}} nor {{"sha256": DIGEST}}; correct or delete it'
            ) from None
    return found


def matches(folder: Path, judge: Judge) -> Iterator[tuple[list[reader.Unit], dict[str, pl.DataFrame], dict[str, pl.Series]]]:
    """Yield (a file's units, its rows by table, a boolean mask by table) for every file with a row that `judge` selects."""
    for _, group in groupby(reader.units(folder), key=lambda unit: unit.file):
        units = list(group)
        parts: dict[str, list[pl.DataFrame]] = {}
        for read in (read for unit in units for read in reader.frames(unit)):
            for kind, frame in read.tables.items():
                parts.setdefault(kind, []).append(frame)
        tables = {kind: pl.concat(frames) for kind, frames in parts.items()}
        meant = {kind: judge(frame.select("source", text=texts(frame))) for kind, frame in tables.items()}
        if any(each.any() for each in meant.values()):
            yield units, tables, meant


def texts(frame: pl.DataFrame) -> pl.Series:
    """The text of each row of any table."""
    return as_text(frame).fill_null("")


def erase(folder: Path, judge: Judge) -> int:
    """Delete the rows that `judge` selects from the files of `folder`; returns how many they were.

    A file with such a row is replaced by Parquet files of its other rows, which keep their ids and sources; lines of it that
    could not be read as rows are lost.
    """
    total = 0
    for units, tables, meant in list(matches(folder, judge)):
        path = folder / units[0].file
        for name in units[0].names or [units[0].file]:
            (folder / name).unlink()
        for kind, frame in tables.items():
            total += int(meant[kind].sum())
            rest = frame.filter(~meant[kind]).drop("row")
            if rest.height:
                same = path.suffix == ".parquet" and len(tables) == 1
                schema.write_parquet(rest, path if same else path.with_name(f"{path.name}.{kind}.parquet"))
    return total


def add(file: Path, sources: set[str], digests: set[str]) -> int:
    """Append the sources and digests that the list lacks, durably; returns how many lines are new."""
    known = listed(file if file.is_file() else None)
    entries = [{"source": name} for name in sorted(sources - known.sources)]
    entries += [{"sha256": each} for each in sorted(digests - known.digests)]
    before = file.read_text() if file.is_file() else ""
    atomic.write_text(file, before + "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries))
    return len(entries)
