"""Token shards: written once, read memory-mapped, and every token knows its document."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from fmcycle.error import InputError
from fmcycle.number import PositiveInt

INDEX = {"id": pl.String, "start": pl.Int64, "length": pl.Int64}


def write(folder: Path, documents: Iterable[tuple[str, list[int]]], *, vocab_size: int, max_tokens: PositiveInt = 2**27) -> int:
    """Write (id, token ids) pairs as `shard-00000.npy` + `.parquet` files of at most `max_tokens` tokens; return the tokens written.

    A document is never cut by a shard's end, so one longer than `max_tokens` has a shard to itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dtype = np.uint16 if vocab_size <= 2**16 else np.uint32
    total = 0
    for number, part in enumerate(_parts(documents, max_tokens)):
        lengths = np.array([len(ids) for _, ids in part], dtype=np.int64)
        tokens = np.concatenate([np.asarray(ids, dtype=dtype) for _, ids in part]) if part else np.zeros(0, dtype)
        np.save(folder / f"shard-{number:05d}.npy", tokens)
        index = {"id": [name for name, _ in part], "start": np.cumsum(lengths) - lengths, "length": lengths}
        pl.DataFrame(index, schema=INDEX).write_parquet(folder / f"shard-{number:05d}.parquet")
        total += len(tokens)
    return total


def _parts(documents, max_tokens: int) -> Iterator[list]:
    """Lists of documents, each of at most `max_tokens` tokens together; one empty list where there are no documents."""
    part: list = []
    size = 0
    for name, ids in documents:
        if part and size + len(ids) > max_tokens:
            yield part
            part, size = [], 0
        part.append((name, ids))
        size += len(ids)
    yield part


class Tokens:
    """The shards of one split as one long row of tokens, none of it in memory until it is read."""

    def __init__(self, folder: str | Path):
        files = sorted(Path(folder).glob("shard-*.npy"))
        if not files:
            raise InputError(f"{folder}: no shard-*.npy; run `fmcycle tokens` or name another with inputs.tokens=PATH")
        self.shards = [_open(file) for file in files]
        self.starts = np.cumsum([0, *(len(shard) for shard in self.shards)])
        self.index = [pl.read_parquet(file.with_suffix(".parquet")) for file in files]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def window(self, start: int, length: int) -> np.ndarray:
        """Tokens start .. start + length, int64; it may cross shards. Raises IndexError past the end."""
        if start < 0 or start + length > len(self):
            raise IndexError(f"window {start}..{start + length} of {len(self)} tokens")
        return np.concatenate([shard[low:high] for shard, low, high in self._cut(start, length)]).astype(np.int64)

    def documents(self, start: int, length: int) -> list[str]:
        """Ids of the documents that window(start, length) has a token of, in order."""
        names = []
        for number, (_, low, high) in zip(self._numbers(start, length), self._cut(start, length), strict=True):
            index = self.index[number]
            begin, size = index["start"].to_numpy(), index["length"].to_numpy()
            names += index.filter((begin < high) & (begin + size > low))["id"].to_list()
        return names

    def _numbers(self, start: int, length: int) -> range:
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        last = int(np.searchsorted(self.starts, start + length, side="left")) - 1
        return range(first, last + 1)

    def _cut(self, start: int, length: int) -> list[tuple[np.ndarray, int, int]]:
        """(shard, low, high) of each shard that the window touches."""
        return [
            (self.shards[n], int(max(start - self.starts[n], 0)), int(min(start + length - self.starts[n], len(self.shards[n]))))
            for n in self._numbers(start, length)
        ]


def _open(file: Path) -> np.ndarray:
    try:
        shard = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(
            f"{file}: not a token shard ({error}); run `dvc checkout --force {file.parent}` or make the tokens again"
        ) from error
    if shard.ndim != 1 or shard.dtype not in (np.uint16, np.uint32):
        raise InputError(f"{file}: a token shard is 1-D uint16 or uint32, this is {shard.ndim}-D {shard.dtype}; make the tokens again")
    return shard
