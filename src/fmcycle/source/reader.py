"""Read any folder as fmcycle's tables, unit by unit; whatever cannot be read goes to the quarantine with its reason."""

import os
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, cast

import polars as pl
import pyarrow as pa
import zstandard

from fmcycle.source import given_split, licence_file, shape
from fmcycle.source.format import arrow, delimited, json_lines, json_values, media, packed, parquet, tarred, whole
from fmcycle.source.format.stream import CHUNK, PACKED, Watched, at_once, unpacked
from fmcycle.source.local import escaped, names_in, record_of, suffix, trouble
from fmcycle.source.row import Origin, Read, Record, take, take_frame
from fmcycle.tables.schema import READ

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
MANY = 1024  # single-document files that become one frame
LINES = {".jsonl", ".ndjson"}
CUT = {".parquet", *LINES}
STREAMS: dict[str, Callable[[BinaryIO, str, shape.Map], Iterable[list[Record] | pl.DataFrame]]] = {
    **dict.fromkeys(
        LINES, lambda stream, name, map: json_values.records(stream) if json_lines.is_array(stream) else json_lines.records(stream)
    ),
    **dict.fromkeys((".csv", ".tsv", ".tab"), delimited.records),
    **dict.fromkeys(whole.SUFFIXES, lambda stream, name, map: [whole.records(stream, name)]),
    ".json": lambda stream, name, map: json_values.records(stream),
    ".parquet": lambda stream, name, map: parquet.records(stream, chosen=map),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), lambda stream, name, map: arrow.records(stream, map)),
}


class Unit(NamedTuple):
    """A part of the input that is read at once.

    A byte range of a JSONL or Parquet file, any other file as a whole, or the images and audio of a folder.
    """

    folder: str
    file: str  # relative path; a media folder's ends with a slash
    number: int  # of the file in the input's order
    begin: int
    end: int
    first_line: int
    size: int  # bytes of the file; with its mtime they detect a file that changed since
    changed: int
    origin: Origin
    names: tuple[str, ...] = ()  # the files of a media folder
    kind: str = ""  # the file's suffix in lower case

    @property
    def row(self) -> int:
        """The number of the file's first row."""
        return self.number << 40


def read(folder: str | Path) -> Read:
    """Read everything under `folder`. A missing id becomes file and line, a missing source the folder, a missing licence "unknown"."""
    found: dict[str, list[pl.DataFrame]] = {name: [pl.DataFrame(schema={**READ[name], "row": pl.UInt64})] for name in READ}
    reading = Read()
    for piece in frames(*units(folder)):
        for name, frame in piece.tables.items():
            found[name].append(frame)
        reading.quarantine += piece.quarantine
        reading.read += piece.read
        reading.shapes += piece.shapes
        reading.unread += piece.unread
    reading.tables = {name: pl.concat(some).sort("row") for name, some in found.items()}
    return reading


def units(folder: str | Path, *, bytes: int = 64 << 20, map: shape.Map = (), split: bool = True) -> list[Unit]:
    """The units of a folder or of one file, in order; they cover every file.

    Uncompressed JSONL and Parquet are cut into units of at least `bytes`; any other file is one unit. map: the user's names of columns
    (source.map); split: keep the split that a row or its file's name declares.
    """
    start = Path(folder)
    folder, inside = (start.parent, [start.name]) if start.is_file() else (start, names_in(start))
    found: list[Unit] = []
    plan = planned(inside)
    card = given_split.of_card(licence_file.card_of(folder))
    places = given_split.places_of([name for name, _ in plan], is_text, card) if split else {}
    root, known = str(folder), dict[Path, dict[str, str]]()
    shared: dict[tuple, Origin] = {}  # of the files of a folder that have one split
    for index, (name, names) in enumerate(plan):
        parent = name.rpartition("/")[0]
        place = places.get(name, "") if split else None
        if (parent, place) not in shared:
            record = record_of(folder / parent, folder, known)
            source = next(iter(Path(parent).parts), folder.resolve().name)
            shared[parent, place] = Origin(source, record["licence"], record["origin"], 0, place, map)
        kind = posixpath.splitext(name)[1].lower()
        size, changed = state(path := f"{root}/{name}")
        for piece in pieces(path, kind, size, bytes) if kind in CUT else ((0, size, 1),):
            found.append(Unit(root, name, index, *piece, size, changed, shared[parent, place], names, kind))
    return found


def is_text(name: str) -> bool:
    """True if a file is one document, by its suffix."""
    return suffix(name) in whole.SUFFIXES


def state(path: str) -> tuple[int, int]:
    """(size in bytes, mtime in ns) of a regular file, else (0, 0): `frames` then gives the reason."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else (0, 0)


def planned(names: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """[(file, ())] for each file that is read alone. The images and audio of a folder are read together with their metadata: (folder, these
    files), in the place of the first of them."""
    claimed = media.claimed_of_all(names)
    plan: dict[str, list[str]] = {}
    for name in names:
        if name in claimed:
            plan.setdefault(f"{name.rpartition('/')[0] or '.'}/", []).append(name)
        else:
            plan[name] = []
    return [(name, tuple(inside)) for name, inside in plan.items()]


def pieces(path: str, kind: str, size: int, bytes: int) -> list[tuple[int, int, int]]:
    """(first byte, end, number of the first line) of the units of a JSONL or Parquet file; a single one if it can't be read."""
    if not size or not os.access(path, os.R_OK):
        return [(0, size, 1)]
    if kind == ".parquet":
        return [(begin, end, 1) for begin, end in parquet.cuts(Path(path), size, bytes)]
    with open(path, "rb") as stream:
        return [(0, size, 1)] if json_lines.is_array(stream) else json_lines.cuts(Path(path), size, bytes)


class Whole(NamedTuple):
    """A file that is one document: the row's number, and the row or the reason why it cannot be read."""

    name: str
    number: int
    origin: Origin
    row: dict | str


def frames(*units: Unit) -> Iterator[Read]:
    """The rows of units, some megabytes at a time; many small files become one frame."""
    held: list[Whole] = []
    size = 0
    for part in (part for unit in units for part in parts(unit)):
        if isinstance(part, Whole):
            held.append(part)
            size += len(part.row["text"]) if isinstance(part.row, dict) else 0
        if held and (len(held) == MANY or size > CHUNK or isinstance(part, Read)):
            yield together(held)
            held, size = [], 0
        if isinstance(part, Read):
            yield part
    if held:
        yield together(held)


def together(held: list[Whole]) -> Read:
    """Join the documents of many files into one frame."""
    records: list[Record] = []
    for name, number, origin, row in held:
        if isinstance(row, dict):
            own = {"id": escaped(name), "source": origin.source, "licence": origin.licence, "origin": origin.origin}
            records.append((number, None, own | row | ({"split": origin.split} if origin.split else {})))
    first = held[0].origin
    read = take(records, escaped(held[0].name), replace(first, row=0))
    bad = [{"file": escaped(part.name), "line": None, "reason": part.row} for part in held if isinstance(part.row, str)]
    return replace(read, quarantine=[*read.quarantine, *bad], read=len(held))


def parts(unit: Unit) -> Iterator[Read | Whole]:
    """The rows of a unit; an error that ends the reading becomes the last entry of the quarantine."""
    if unit.size and unit.kind in whole.SUFFIXES:
        content = at_once(f"{unit.folder}/{unit.file}", unit.size, unit.changed)
        if content is not None:
            yield Whole(unit.file, unit.row, unit.origin, whole.document(content, unit.kind))
            return
    root, origin = Path(unit.folder), replace(unit.origin, row=unit.row)
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
    """Open a file of a media folder. Raises OSError for a link that is not followed."""
    if why := trouble(root / name, root):
        raise OSError(why)
    return (root / name).open("rb")


def of_file(stream: BinaryIO, unit: Unit, origin: Origin) -> Iterator[Read | Whole]:
    """The rows of a unit's file, or of its byte range."""
    kind = unit.kind
    if not unit.size:
        yield refused(unit.file, "empty")
    elif kind in LINES and unit.end - unit.begin < unit.size:
        stream.seek(unit.begin)
        for records in json_lines.records(stream, unit.begin, unit.end, unit.first_line):
            yield take(records, escaped(unit.file), origin)
    elif kind == ".parquet" and unit.end - unit.begin < unit.size:
        for part in parquet.records(stream, unit.begin, unit.end, origin.map):
            yield read_of(part, unit.file, origin)
    elif kind == ".zip":
        yield from of_archive(packed.Packed(stream), unit.file, origin)
    elif tarred.is_tar(unit.file):
        yield from of_archive(tarred.Tarred(stream, unit.file), unit.file, origin)
    else:
        yield from of_stream(stream, unit.file, origin)


def of_stream(stream: BinaryIO, name: str, origin: Origin) -> Iterator[Read | Whole]:
    """The rows of one file by its suffix."""
    path = PurePosixPath(name)
    inner = path.stem if path.suffix.lower() in PACKED else path.name
    kind = PurePosixPath(inner).suffix.lower()
    if kind not in STREAMS:
        yield refused(name, f"{kind or 'no suffix'}: not a supported format; docs/sources.md lists them")
        return
    with ExitStack() as stack:
        for part in STREAMS[kind](stack.enter_context(unpacked(stream, name)), inner, origin.map):
            if kind in whole.SUFFIXES:
                yield Whole(name, origin.row, origin, part[0][2])  # type: ignore[index,arg-type]
            else:
                yield read_of(part, name, origin)


def read_of(part: list[Record] | pl.DataFrame, name: str, origin: Origin) -> Read:
    """Sort a file's records, or its frame of columns, into tables."""
    return take_frame(part, escaped(name), origin) if isinstance(part, pl.DataFrame) else take(part, escaped(name), origin)


def of_archive(archive: packed.Packed | tarred.Tarred, name: str, origin: Origin) -> Iterator[Read | Whole]:
    """The rows of the files in an archive, one after another. Members of `files.zip` are named as if they lay beside it."""
    top = name.removesuffix("files.zip") if PurePosixPath(name).name == "files.zip" else f"{name}/"
    for member, reason in archive.refused:
        yield refused(f"{top}{member}" if member else name, reason)
    base = origin.row
    plan = planned(archive.names)
    places = given_split.places_of([member for member, _ in plan], is_text) if origin.split is not None else {}
    for member, names in plan:
        inside = replace(origin, row=base, split=places.get(member, origin.split))
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
    """A quarantine entry for a file, or for the rest of one, that could not be read."""
    if isinstance(why, BaseException):
        why = (why.strerror if isinstance(why, OSError) else None) or str(why) or type(why).__name__
    return Read(quarantine=[{"file": escaped(name), "line": None, "reason": why.splitlines()[0]}], read=1)
