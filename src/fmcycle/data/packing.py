"""Packs whole documents into windows: documents that fit stay uncut, little is padded, no document attends to another."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.data.token_shards import Tokens, vocabulary_of
from fmcycle.errors import InputError
from fmcycle.ranges import ExistingPath, PositiveInt


def best_fit(lengths: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pack pieces of `lengths` (each <= size) into rows of `size` by best-fit decreasing.

    Returns (pieces in the order of the rows, index of each row's first piece, and the end). It fills all rows with the same space left
    at once, so apart from sorting its time does not depend on the number of pieces. Source: Ding et al. (2024),
    Fewer Truncations Improve Language Modeling, section 3.
    """
    order = np.argsort(-lengths, kind="stable")
    row_of = np.empty(len(lengths), dtype=np.int64)
    spaces: dict[int, np.ndarray] = {}  # space left -> rows
    rows = begin = 0
    for length, count in zip(*_runs(lengths[order]), strict=True):
        waiting = order[begin : begin + count]
        begin += count
        for space in sorted(space for space in spaces if space >= length):
            if not len(waiting):
                break
            each = space // length  # pieces of this length a row takes: afterwards it is the tightest fit for the next
            chosen, spaces[space] = np.split(spaces[space], [-(-len(waiting) // each)])
            waiting = _fill(spaces, row_of, waiting, chosen, space, length)
        if len(waiting):
            new = np.arange(rows, rows - (-len(waiting) // (size // length)))
            rows += len(new)
            _fill(spaces, row_of, waiting, new, size, length)
        spaces = {space: left for space, left in spaces.items() if len(left)}
    order = np.lexsort((np.arange(len(lengths)), row_of))
    return order, np.searchsorted(row_of[order], np.arange(rows + 1))


def _runs(ordered: np.ndarray) -> tuple[list[int], list[int]]:
    """Return (distinct values, their counts) of a descending array."""
    values, counts = np.unique(ordered, return_counts=True)
    return values[::-1].tolist(), counts[::-1].tolist()


def _fill(spaces: dict, row_of: np.ndarray, waiting: np.ndarray, rows: np.ndarray, space: int, length: int) -> np.ndarray:
    """Put the waiting pieces into `rows` one row after the other; return the pieces left over."""
    each = space // length
    placed = min(len(waiting), len(rows) * each)
    row_of[waiting[:placed]] = np.repeat(rows, each)[:placed]
    full, rest = divmod(placed, each)
    for part, taken in ((rows[:full], each), (rows[full : full + 1], rest)):
        if len(part) and taken:
            left = space - taken * length
            spaces[left] = np.concatenate([spaces.get(left, part[:0]), part])
    return waiting[placed:]


def in_windows(starts: np.ndarray, lengths: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (starts, lengths) of the documents; longer ones are cut into pieces of at most `size`."""
    pieces = np.maximum(-(-lengths // size), 1)
    number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begins = np.repeat(starts, pieces) + number * size
    return begins, np.minimum(np.repeat(starts + lengths, pieces) - begins, size)


@dataclass
class Packed:
    """`tokens`: folder of shards with train/ and validation/; a row holds documents of together at most `max_length` tokens.

    Longer documents are cut into windows. `where`: {column of `documents`, a Parquet file with their ids: values to keep}.
    The packing is computed once and cached in .cache/packing.
    """

    tokens: ExistingPath
    max_length: PositiveInt = 256
    documents: ExistingPath | None = None
    where: dict | None = None

    def __call__(self, split: str, processor) -> "Rows":
        name = f"{self.tokens}/{split}"
        kept = self._kept()
        tokens = Tokens(Path(self.tokens) / split, vocabulary_of(processor))
        rows = Rows(tokens, self.max_length, kept, 0 if processor is None else processor.pad_token_id)
        if not len(rows):
            raise InputError(f"{name}: data.where {self.where} keeps no document; name a value that the column has, or collect more")
        return rows

    def _kept(self) -> pl.Series | None:
        """Return the ids of the documents that `where` keeps; None: all."""
        if not self.where:
            return None
        if self.documents is None:
            raise InputError("data.where: needs the Parquet file with its columns; set data.documents=${inputs.documents}")
        frame = pl.scan_parquet(self.documents)
        names = frame.collect_schema().names()
        for column, values in self.where.items():
            if column not in names:
                raise InputError(f"data.where.{column}: {self.documents} has no such column; it has {', '.join(names)}")
            frame = frame.filter(pl.col(column).is_in(values))
        return frame.select("id").collect()["id"]


class Packing:
    """The packed rows of one shard in one memory-mapped array: rows, tokens, each row's first piece, the pieces' starts and lengths."""

    def __init__(self, file: Path):
        flat = np.load(file, mmap_mode="r")
        self.rows, self.tokens = int(flat[0]), int(flat[1])
        self.begins = flat[2 : self.rows + 3]
        self.starts, self.lengths = np.split(flat[self.rows + 3 :], 2)

    def row(self, index: int) -> list[tuple[int, int]]:
        """Return (start in the shard, length) of each document of row `index`."""
        low, high = self.begins[index : index + 2]
        return list(zip(self.starts[low:high].tolist(), self.lengths[low:high].tolist(), strict=True))


def packing(tokens: Tokens, number: int, size: int, kept: pl.Series | None) -> Packing:
    """Return the packing of shard `number`; compute it if the cache lacks it."""
    key = {"shard": tokens.stamp(number), "size": size, "kept": kept is not None and artifact.digest_of(sorted(kept.to_list()))}
    file = Path(".cache/packing") / f"{artifact.digest_of(key)[:32]}.npy"
    if not file.is_file():
        index = tokens.index(number)
        index = index if kept is None else index.filter(pl.col("id").is_in(kept.implode()))
        starts, lengths = in_windows(index["start"].to_numpy(), index["length"].to_numpy(), size)
        order, begins = best_fit(lengths, size)
        flat = np.concatenate([[len(begins) - 1, lengths.sum()], begins, starts[order], lengths[order]]).astype(np.int64)
        content = io.BytesIO()
        np.save(content, flat)
        atomic.write_bytes(file, content.getvalue())
    return Packing(file)


class Rows:
    """Packed documents of one split: {"input_ids", "labels", "position_ids"}, at most `length` tokens a row."""

    lengths = None  # all rows are padded to `length`

    def __init__(self, tokens: Tokens, length: int, kept: pl.Series | None, pad: int):
        self.tokens, self.length, self.pad = tokens, length, pad
        self.parts = [packing(tokens, number, length, kept) for number in range(len(tokens.shards))]
        self.firsts = np.cumsum([0, *(part.rows for part in self.parts)])
        self.row_tokens = sum(part.tokens for part in self.parts) / max(len(self), 1)  # mean, without padding

    def __len__(self) -> int:
        return int(self.firsts[-1])

    def pieces(self, index: int) -> list[tuple[int, int]]:
        """Return (start in `tokens`, length) of each document of row `index`."""
        number = int(np.searchsorted(self.firsts, index, side="right")) - 1
        return [(int(self.tokens.starts[number]) + start, size) for start, size in self.parts[number].row(index - int(self.firsts[number]))]

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return joined([(ids, ids) for ids in (self.tokens.window(start, size) for start, size in self.pieces(index))])

    def documents(self, index: int) -> list[str]:
        """Return the ids of the documents that row `index` has tokens of."""
        return [name for start, size in self.pieces(index) for name in self.tokens.documents(start, size)]

    def collate(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """Return {"input_ids", "labels", "position_ids"}: (B, T) each."""
        return padded(rows, self.length, self.pad)


def joined(documents: list[tuple]) -> dict[str, np.ndarray]:
    """Return one row of (ids, labels) pairs: positions restart at 0 with each, and a first token is no target."""
    labels = [np.asarray(labels, dtype=np.int64).copy() for _, labels in documents]
    for part in labels:
        part[:1] = -100
    return {
        "input_ids": np.concatenate([np.asarray(ids, dtype=np.int64) for ids, _ in documents]),
        "labels": np.concatenate(labels),
        "position_ids": np.concatenate([np.arange(len(part)) for part in labels]),
    }


def padded(rows: list[dict], length: int, pad: int) -> dict[str, torch.Tensor]:
    """Return rows of `joined` padded to (B, length); the padding is a document of its own without targets."""
    batch = {
        "input_ids": np.full((len(rows), length), pad),
        "labels": np.full((len(rows), length), -100),
        "position_ids": np.empty((len(rows), length), dtype=np.int64),
    }
    for number, row in enumerate(rows):
        size = len(row["input_ids"])
        for name, values in row.items():
            batch[name][number, :size] = values
        batch["position_ids"][number, size:] = np.arange(length - size)
    return {name: torch.from_numpy(values) for name, values in batch.items()}
