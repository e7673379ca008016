"""Any folder as our tables, piece by piece; what cannot be read is told, never lost."""

import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import zstandard

from fmcycle.source import delimited, json_lines, json_values, media, packed, parquet, tarred, whole
from fmcycle.source.local import escaped, files, record_of, trouble
from fmcycle.source.row import Origin, Read, Record, take, take_frame
from fmcycle.source.stream import PACKED, Watched, unpacked
from fmcycle.source.table import SCHEMA

BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
    zstandard.ZstdError,
)
DAMAGE = (*BROKEN, pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException)
LINES = {".jsonl", ".ndjson"}
STREAMS: dict[str, Callable[[BinaryIO, str], Iterable[list[Record] | pl.DataFrame]]] = {
    **dict.fromkeys(LINES, lambda stream, name: json_lines.records(stream)),
    **dict.fromkeys((".csv", ".tsv"), delimited.records),
    **dict.fromkeys(whole.SUFFIXES, lambda stream, name: [whole.records(stream, name)]),
    ".json": lambda stream, name: json_values.records(stream),
    ".parquet": lambda stream, name: parquet.records(stream),
}


@dataclass(frozen=True)
class Unit:
    """A piece of the input that is read at once.

    Lines of a JSONL file or row groups of a Parquet file between two bytes, another file whole, or a folder of pictures.
    """

    folder: str
    file: str  # relative; of pictures the folder, with a slash at its end
    index: int  # of the file in the input's order: the upper bits of `row`
    begin: int
    end: int
    first_line: int
    size: int  # of the file, and when it was changed last: another file by now is not read
    changed: int
    source: str
    licence: str
    origin: str
    names: tuple[str, ...] = ()  # the files of a folder of pictures


@dataclass
class Reading:
    """Everything of a folder in memory: tables, what could not be read ({file, line, reason}), and how much both are."""

    tables: dict[str, pl.DataFrame]
    quarantine: list[dict] = field(default_factory=list)
    read: int = 0

    def table(self, name: str) -> pl.DataFrame:
        """The rows of one table in the order of the input, with their ids as they stand there: of two rows maybe the same."""
        return self.tables[name].drop("row")


def read(folder: str | Path) -> Reading:
    """Everything under `folder`. Missing ids are file and line, missing sources the folder, missing licences "unknown"."""
    parts: dict[str, list[pl.DataFrame]] = {name: [pl.DataFrame(schema={**SCHEMA[name], "row": pl.UInt64})] for name in SCHEMA}
    reading = Reading({})
    for unit in units(folder):
        for piece in frames(unit):
            for name, frame in piece.tables.items():
                parts[name].append(frame)
            reading.quarantine += piece.quarantine
            reading.read += piece.read
    reading.tables = {name: pl.concat(frames).sort("row") for name, frames in parts.items()}
    return reading


def units(folder: str | Path, *, bytes: int = 64 << 20) -> list[Unit]:
    """The pieces of a folder, or of one file, in their order. Every file is in one of them.

    Those of plain JSONL and of Parquet are at least `bytes` long; all others are whole files.
    """
    start = Path(folder)
    folder, inside = (start.parent, [start]) if start.is_file() else (start, files(start))
    found: list[Unit] = []
    for index, (name, names) in enumerate(planned([file.relative_to(folder).as_posix() for file in inside])):
        path = folder / name
        parent = path if name.endswith("/") else path.parent
        record = record_of(parent, folder)
        source = next(iter(parent.relative_to(folder).parts), folder.resolve().name)
        size, changed = state(path)
        for begin, end, line in pieces(path, size, bytes):
            unit = Unit(str(folder), name, index, begin, end, line, size, changed, source, record["licence"], record["origin"], names)
            found.append(unit)
    return found


def state(path: Path) -> tuple[int, int]:
    """(size, time of change) of an ordinary file that can be read, else zeros: `frames` tells why."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) and os.access(path, os.R_OK) else (0, 0)


def planned(names: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """What is read as one: (file, ()), or (folder, its pictures and what tells of them) at the place of the first of these."""
    claimed = media.claimed_of_all(names)
    plan: dict[str, list[str]] = {}
    for name in names:
        if name in claimed:
            plan.setdefault(f"{name.rpartition('/')[0] or '.'}/", []).append(name)
        else:
            plan[name] = []
    return [(name, tuple(inside)) for name, inside in plan.items()]


def pieces(path: Path, size: int, bytes: int) -> list[tuple[int, int, int]]:
    """(begin, end, number of the first line) of what is read at once; all but JSONL and Parquet are read as they are."""
    suffix = path.suffix.lower() if size else ""
    if suffix == ".parquet":
        return [(begin, end, 1) for begin, end in parquet.cuts(path, size, bytes)]
    return cuts(path, size, bytes) if suffix in LINES else [(0, size, 1)]


def cuts(path: Path, size: int, bytes: int) -> list[tuple[int, int, int]]:
    """(begin, end, number of the first line) of pieces that end with a line. Reads the file once, to count its lines."""
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


def frames(unit: Unit) -> Iterator[Read]:
    """The rows of a piece, some megabytes at a time; what breaks off the reading is the last entry of the quarantine."""
    root = Path(unit.folder)
    origin = Origin(unit.source, unit.licence, unit.origin, unit.index << 40)
    try:
        if unit.names:
            for name, records in media.records(list(unit.names), lambda name: opened(root, name)):
                yield take(records, escaped(name), origin)
            return
        if why := trouble(root / unit.file, root):
            raise ValueError(why)
        with Watched(root / unit.file, unit.size, unit.changed) as stream:
            yield from of_file(cast(BinaryIO, stream), unit, origin)
    except DAMAGE as error:
        yield refused(unit.file, error)


def opened(root: Path, name: str) -> BinaryIO:
    """A file of a folder of pictures. Raises OSError for a link that is not followed."""
    if why := trouble(root / name, root):
        raise OSError(why)
    return (root / name).open("rb")


def of_file(stream: BinaryIO, unit: Unit, origin: Origin) -> Iterator[Read]:
    """The rows of a file or of lines of it."""
    suffix = PurePosixPath(unit.file).suffix.lower()
    if not unit.size:
        yield refused(unit.file, "empty")
    elif suffix in LINES:
        stream.seek(unit.begin)
        for records in json_lines.records(stream, unit.begin, unit.end, unit.first_line):
            yield take(records, escaped(unit.file), origin)
    elif suffix == ".parquet" and unit.end - unit.begin < unit.size:
        for part in parquet.records(stream, unit.begin, unit.end):
            yield read_of(part, unit.file, origin)
    elif suffix == ".zip":
        yield from of_archive(packed.Packed(stream), unit.file, origin)
    elif tarred.is_tar(unit.file):
        yield from of_archive(tarred.Tarred(stream, unit.file), unit.file, origin)
    else:
        yield from of_stream(stream, unit.file, origin)


def of_stream(stream: BinaryIO, name: str, origin: Origin) -> Iterator[Read]:
    """The rows of one file by its suffix."""
    path = PurePosixPath(name)
    inner = path.stem if path.suffix.lower() in PACKED else path.name
    suffix = PurePosixPath(inner).suffix.lower()
    if suffix not in STREAMS:
        yield refused(name, f"{suffix or 'no suffix'}: not a format that is read; docs/sources.md lists them")
        return
    with ExitStack() as stack:
        for part in STREAMS[suffix](stack.enter_context(unpacked(stream, name)), inner):
            yield read_of(part, name, origin)


def read_of(part: list[Record] | pl.DataFrame, name: str, origin: Origin) -> Read:
    """Records or columns of a file as rows."""
    return take_frame(part, escaped(name), origin) if isinstance(part, pl.DataFrame) else take(part, escaped(name), origin)


def of_archive(archive: packed.Packed | tarred.Tarred, name: str, origin: Origin) -> Iterator[Read]:
    """The rows of the files in an archive, one after another. Those of `files.zip` are named as if they lay beside it."""
    top = name.removesuffix("files.zip") if PurePosixPath(name).name == "files.zip" else f"{name}/"
    for member, reason in archive.refused:
        yield refused(f"{top}{member}" if member else name, reason)
    base = origin.row
    for member, names in planned(archive.names):
        inside = Origin(origin.source, origin.licence, origin.origin, base)
        size = archive.size(names or (member,))
        base += size + 1  # no record's place is beyond its file's bytes
        try:
            if names:
                for claimed, records in media.records(list(names), archive.open):
                    yield take(records, escaped(f"{top}{claimed}"), inside)
            elif size:
                yield from of_stream(archive.open(member), f"{top}{member}", inside)
            else:
                yield refused(f"{top}{member}", "empty")
        except DAMAGE as error:
            yield refused(f"{top}{member}", error)


def refused(name: str, why: str | BaseException) -> Read:
    """One file, or the rest of it, that could not be read."""
    if isinstance(why, BaseException):
        why = (why.strerror if isinstance(why, OSError) else None) or str(why) or type(why).__name__
    return Read(quarantine=[{"file": escaped(name), "line": None, "reason": why.splitlines()[0]}], read=1)
