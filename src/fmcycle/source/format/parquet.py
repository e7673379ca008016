"""Read Parquet, some rows of a row group at a time."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from fmcycle.source.format import features
from fmcycle.source.format.stream import FREE, LIMIT, RATIO, Damaged
from fmcycle.source.row import Record
from fmcycle.source.shape import Map, Plan, plan
from fmcycle.source.suggestion import no_row

BATCH = 8192  # rows that are converted together
STEP = 16  # rows that are decoded together; few, as one long text of a dictionary can stand for all of them
BOMB = f"expands more than {RATIO} times: a decompression bomb?"


def cuts(path: Path, size: int, bytes: int) -> list[tuple[int, int]]:
    """(begin, end) of pieces that are at least `bytes` long and begin with a row group.

    One piece if the offsets of the row groups in the metadata are invalid.
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
    """The metadata of each row group."""
    return [metadata.row_group(number) for number in range(metadata.num_row_groups)]


def start_of(group: pq.RowGroupMetaData) -> int:
    """The offset in bytes at which a row group begins."""
    columns = [group.column(number) for number in range(group.num_columns)]
    return min((column.dictionary_page_offset or column.data_page_offset for column in columns), default=0)


def records(stream: BinaryIO, begin: int = 0, end: int | None = None, chosen: Map = ()) -> Iterator[list[Record] | pl.DataFrame]:
    """The rows of the row groups that begin between two bytes of a file: documents of strings as frames, all others as records.

    `place` is the row's number in the file. Unread columns of documents are present, but without their values.
    The feedback record (with `answer_id`) gives no rows: the training rows made from it are files of their own beside it.
    """
    size = stream.seek(0, io.SEEK_END)
    try:
        file = pq.ParquetFile(stream, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"not readable as Parquet: {(str(error) or 'damaged').splitlines()[0]}") from error
    typed = features.of(file.schema_arrow)
    columns = typed.columns(file.schema_arrow.names)
    if "answer_id" in columns:
        return
    known = plan(tuple(columns), chosen)
    names = [*known.names] if known.table in ("documents", None) else file.schema_arrow.names
    if known.table is None:
        names = file.schema_arrow.names[:1]  # one column is enough to count the refused rows
    groups = groups_of(file.metadata)
    within = list(range(len(groups)))
    if end is not None:
        within = [number for number in within if begin <= start_of(groups[number]) < end]
    place = sum(group.num_rows for group in groups[: within[0]]) if within else 0
    try:
        for number in within:
            for batch in unpacked(file, number, names, size):
                yield rows_of(typed.plain(batch) if known.table else batch, place, known, columns)
                place += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"not readable as Parquet after row {place}: {(str(error) or 'damaged').splitlines()[0]}") from error


def rows_of(batch: pa.RecordBatch, place: int, known: Plan, columns: list[str]) -> list[Record] | pl.DataFrame:
    """A batch as a frame if it is documents of strings, else as records; `columns` are all columns of the file."""
    if known.table is None:
        return [(place + row, place + row + 1, no_row(columns)) for row in range(batch.num_rows)]
    if known.table == "documents" and plain(batch):
        return framed(batch, place, known.unread)
    return listed(batch, place, known.unread if known.table == "documents" else ())


def unpacked(file: pq.ParquetFile, number: int, names: list[str], size: int) -> Iterator[pa.RecordBatch]:
    """The rows of a row group, about 32 MB or 8192 rows together. Raises Damaged if they have far more bytes than the group.

    The size that a group declares is that of its decompressed pages; a dictionary's value that a million rows share shows only in the
    decoded rows. `size`: of the file, in bytes.
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
    """True if all columns are strings in valid UTF-8."""
    return all(map(is_text, batch.schema.types)) and valid(batch)


def is_text(kind: pa.DataType) -> bool:
    """True for a column of strings, or of nulls only."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)


def framed(batch: pa.RecordBatch, place: int, unread: tuple[str, ...]) -> pl.DataFrame:
    """A batch of documents as a frame with `place` and `line`, and an empty column for each unread one."""
    frame = pl.DataFrame(pl.from_arrow(batch)).cast({pl.Null: pl.String})
    number = pl.int_range(place, place + batch.num_rows, dtype=pl.UInt64, eager=True)
    nothing = (pl.lit(None, pl.String).alias(name) for name in unread)
    return frame.with_columns(*nothing).with_columns(place=number, line=number.cast(pl.Int64) + 1)


def listed(batch: pa.RecordBatch, place: int, unread: tuple[str, ...]) -> list[Record]:
    """A batch as records, with null for each unread column; the strings of a column that is not all UTF-8 become bytes."""
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
    """True if every string is valid UTF-8."""
    try:
        data.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
