"""Parquet, some rows of a row group at a time."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from fmcycle.source.format.stream import FREE, LIMIT, RATIO, Damaged
from fmcycle.source.row import Record
from fmcycle.source.shape import Map, Plan, no_row, plan

BATCH = 8192  # rows that are looked at together
STEP = 16  # rows that are unpacked together: a dictionary of one long text can stand for all of them
BOMB = f"expands more than {RATIO} times: a decompression bomb?"


def cuts(path: Path, size: int, bytes: int) -> list[tuple[int, int]]:
    """(begin, end) of pieces that are at least `bytes` long and begin with a row group.

    One piece where the file says nothing sound of where its groups begin.
    """
    try:
        with pq.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
            starts = list(map(start_of, groups_of(file.metadata)))
    except (pa.ArrowException, OSError, ValueError):
        return [(0, size)]
    if starts != sorted(starts) or not all(0 < start < size for start in starts):
        return [(0, size)]
    borders = [0]
    for start in starts[1:]:
        if start - borders[-1] >= bytes:
            borders.append(start)
    return list(zip(borders, [*borders[1:], size], strict=True))


def groups_of(metadata: pq.FileMetaData) -> list[pq.RowGroupMetaData]:
    """What a file says of its row groups."""
    return [metadata.row_group(number) for number in range(metadata.num_row_groups)]


def start_of(group: pq.RowGroupMetaData) -> int:
    """The byte that a row group begins with."""
    columns = [group.column(number) for number in range(group.num_columns)]
    return min((column.dictionary_page_offset or column.data_page_offset for column in columns), default=0)


def records(stream: BinaryIO, begin: int = 0, end: int | None = None, chosen: Map = ()) -> Iterator[list[Record] | pl.DataFrame]:
    """The rows of the row groups that begin between two bytes of a file: documents as columns where these are strings, others one by one.

    `place` is the row's number in the file. Of documents, columns that no table has stand for themselves without their values.
    The rows of the feedback record are none: its lessons stand beside it.
    """
    size = stream.seek(0, io.SEEK_END)
    try:
        file = pq.ParquetFile(stream, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"not readable as Parquet: {(str(error) or 'damaged').splitlines()[0]}") from error
    columns = file.schema_arrow.names
    if "answer_id" in columns:
        return
    known = plan(tuple(columns), chosen)
    names = [*known.names] if known.table in ("documents", None) else columns
    if known.table is None:
        names = columns[:1]  # to tell how many rows are none of ours
    groups = groups_of(file.metadata)
    within = list(range(len(groups)))
    if end is not None:
        within = [number for number in within if begin <= start_of(groups[number]) < end]
    place = sum(group.num_rows for group in groups[: within[0]]) if within else 0
    try:
        for number in within:
            for batch in unpacked(file, number, names, size):
                yield rows_of(batch, place, known, columns)
                place += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"not readable as Parquet after row {place}: {(str(error) or 'damaged').splitlines()[0]}") from error


def rows_of(batch: pa.RecordBatch, place: int, known: Plan, columns: list[str]) -> list[Record] | pl.DataFrame:
    """A batch as columns where it is documents and all strings, else row by row; `columns` are all of the file."""
    if known.table is None:
        return [(place + row, place + row + 1, no_row(columns)) for row in range(batch.num_rows)]
    if known.table == "documents" and plain(batch):
        return framed(batch, place, known.unread)
    return listed(batch, place, known.unread if known.table == "documents" else ())


def unpacked(file: pq.ParquetFile, number: int, names: list[str], size: int) -> Iterator[pa.RecordBatch]:
    """The rows of a row group, about 32 MB or 8192 rows together. Raises Damaged where they are far more bytes than the group has.

    What a group says of its size is what its pages unpack to: a value that stands there once and is meant a million times is seen only
    in the rows. `size`: of the file, in bytes.
    """
    group = file.metadata.row_group(number)
    chunks = [group.column(place) for place in range(group.num_columns)]
    packed = min(size, sum(chunk.total_compressed_size for chunk in chunks))
    if any(chunk.total_uncompressed_size > max(FREE, RATIO * chunk.total_compressed_size) for chunk in chunks):
        raise Damaged(BOMB)
    held: list[pa.RecordBatch] = []
    rows = bytes = total = 0
    for batch in file.iter_batches(batch_size=STEP, row_groups=[number], columns=names, use_threads=False):
        held.append(batch)
        rows, bytes, total = rows + batch.num_rows, bytes + batch.nbytes, total + batch.nbytes
        if total > max(FREE, RATIO * packed):
            break
        if rows >= BATCH or bytes >= LIMIT:
            yield pa.concat_batches(held)
            held, rows, bytes = [], 0, 0
    if held:
        yield pa.concat_batches(held)
    if total > max(FREE, RATIO * packed):
        raise Damaged(BOMB)


def plain(batch: pa.RecordBatch) -> bool:
    """Are these strings all over, in valid UTF-8?"""
    return all(map(is_text, batch.schema.types)) and valid(batch)


def is_text(kind: pa.DataType) -> bool:
    """A string, or a column of nothing but nulls."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)


def framed(batch: pa.RecordBatch, place: int, unread: tuple[str, ...]) -> pl.DataFrame:
    """A batch of documents as a frame with `place` and `line`, and the names of what was not read."""
    frame = pl.DataFrame(pl.from_arrow(batch)).cast({pl.Null: pl.String})
    number = pl.int_range(place, place + batch.num_rows, dtype=pl.UInt64, eager=True)
    nothing = (pl.lit(None, pl.String).alias(name) for name in unread)
    return frame.with_columns(*nothing).with_columns(place=number, line=number.cast(pl.Int64) + 1)


def listed(batch: pa.RecordBatch, place: int, unread: tuple[str, ...]) -> list[Record]:
    """A batch as records, with the names of what was not read; a string that is no UTF-8 is bytes."""
    arrays = [
        array.cast(pa.binary() if pa.types.is_string(array.type) else pa.large_binary())
        if is_text(array.type) and not pa.types.is_null(array.type) and not valid(array)
        else array
        for array in batch.columns
    ]
    rows = pa.RecordBatch.from_arrays(arrays, names=batch.schema.names).to_pylist()
    more = dict.fromkeys(unread)
    return [(place + number, place + number + 1, row | more) for number, row in enumerate(rows)]


def valid(data: pa.RecordBatch | pa.Array) -> bool:
    """Is every string in it UTF-8?"""
    try:
        data.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
