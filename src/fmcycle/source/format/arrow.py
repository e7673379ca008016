"""Read Arrow files, as `save_to_disk` of datasets writes them, a batch at a time."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import polars as pl
import pyarrow as pa

from fmcycle.source.format import features, parquet
from fmcycle.source.format.stream import Damaged
from fmcycle.source.row import Record
from fmcycle.source.shape import Map, plan


def records(stream: BinaryIO, chosen: Map = ()) -> Iterator[list[Record] | pl.DataFrame]:
    """The rows of a file in Arrow's stream or file format, in the form of `parquet.records`. Raises Damaged if it is neither."""
    place = 0
    try:
        head = stream.read(6)
        stream.seek(0)
        if head == b"ARROW1":
            file = pa.ipc.open_file(io.BytesIO(stream.read()))
            batches: Iterator[pa.RecordBatch] = (file.get_batch(number) for number in range(file.num_record_batches))
        else:
            batches = iter(pa.ipc.open_stream(stream))
        for raw in batches:
            batch = features.of(raw.schema).plain(raw)
            known = plan(tuple(batch.schema.names), chosen)
            wanted = [*known.names] if known.table == "documents" else batch.schema.names
            yield parquet.rows_of(batch.select(wanted), place, known, batch.schema.names)
            place += raw.num_rows
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"not readable as Arrow after row {place}: {(str(error) or 'damaged').splitlines()[0]}") from error
