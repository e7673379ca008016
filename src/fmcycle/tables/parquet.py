"""Write Parquet files of any size frame by frame; their bytes depend on the rows alone."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

BYTES, ROWS = 32 << 20, 1 << 16  # a row group is full at this size of text and media, or this number of rows


def write(frames: Iterable[pl.DataFrame], path: Path) -> int:
    """Write at least one frame, all with the same columns, in their order; returns the number of rows.

    A row group ends at a fixed size, whatever the frames' sizes; one group and one frame are in memory.
    """
    import pyarrow.parquet as parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    writer, rows = None, 0
    try:
        for group in groups(frames):
            arrow = group.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).replace_schema_metadata(None)
            if writer is None:
                writer = parquet.ParquetWriter(path, arrow.schema, compression="zstd", compression_level=3, store_schema=False)
            writer.write_table(arrow, row_group_size=max(1, group.height))
            rows += group.height
    finally:
        if writer is not None:
            writer.close()
    return rows


def groups(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows, cut into row groups; a single empty frame if there are no rows."""
    held: list[pl.DataFrame] = []
    rows = size = 0
    nothing = None
    for frame in frames:
        nothing = frame.clear()
        large = [pl.col("text").str.len_bytes(), *([pl.col("media").bin.size()] if "media" in frame.columns else [])]
        sizes = frame.select(pl.sum_horizontal(large)).to_series().to_list()
        begin = 0
        for place, own in enumerate(sizes, 1):
            rows, size = rows + 1, size + own
            if size >= BYTES or rows >= ROWS:
                yield pl.concat([*held, frame[begin:place]])
                held, rows, size, begin = [], 0, 0, place
        if begin < frame.height:
            held.append(frame[begin:])
    if held:
        yield pl.concat(held)
    elif nothing is not None:
        yield nothing
