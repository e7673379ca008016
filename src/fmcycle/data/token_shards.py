"""Token shards: token ids in memory-mapped .npy files, with an index from tokens to documents."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from fmcycle.errors import InputError
from fmcycle.processor.components import tokenizer_of
from fmcycle.ranges import PositiveInt

Ids = Sequence[int] | np.ndarray
INDEX = {"id": pl.String, "start": pl.Int64, "length": pl.Int64}


def write(folder: Path, documents: Iterable[tuple[str, Ids]], *, vocab_size: int, max_tokens: PositiveInt = 2**27) -> int:
    """Write (id, token ids) pairs as `shard-00000.npy` + `.parquet` files of at most `max_tokens` tokens; return the tokens written.

    A document lies in one shard, so one longer than `max_tokens` has a shard to itself.
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
    """Yield lists of documents, each of at most `max_tokens` tokens together; one empty list if there are no documents."""
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
    """The shards of one split as one sequence of tokens; only the window being read is in memory.

    vocabulary: number of the processor's tokens; reading an id beyond it raises InputError.
    """

    def __init__(self, folder: str | Path, vocabulary: int | None = None):
        self.folder, self.vocabulary = Path(folder), vocabulary
        self.files = sorted(self.folder.glob("shard-*.npy"))
        if not self.files:
            raise InputError(f"{folder}: no shard-*.npy; run `fmcycle tokens` or name another with inputs.tokens=PATH")
        self.shards = [_open(file) for file in self.files]
        self.starts = np.cumsum([0, *(len(shard) for shard in self.shards)])
        if not len(self):
            raise InputError(f"{folder}: its shards hold no token; collect more text, or give the split a larger share (curate's split)")
        self._indices: dict[int, pl.DataFrame] = {}

    def __len__(self) -> int:
        return int(self.starts[-1])

    def window(self, start: int, length: int) -> np.ndarray:
        """Return tokens start .. start + length, int64, across shards if need be. Raises IndexError past the end."""
        if start < 0 or start + length > len(self):
            raise IndexError(f"window {start}..{start + length} of {len(self)} tokens")
        numbers = self._numbers(start, length)
        parts = [self._read(number, low, high) for number, (_, low, high) in zip(numbers, self._cut(start, length), strict=True)]
        return np.concatenate(parts).astype(np.int64)

    def _read(self, number: int, low: int, high: int) -> np.ndarray:
        """Read with np.fromfile: pages read through the memory map would stay resident, up to the size of all shards."""
        shard = self.shards[number]
        ids = np.fromfile(self.files[number], shard.dtype, high - low, offset=shard.offset + low * shard.itemsize)
        if len(ids) < high - low:
            raise InputError(f"{self.files[number]}: was truncated meanwhile; run `dvc checkout --force {self.folder}` or make it again")
        if self.vocabulary is not None and len(ids) and ids.max() >= self.vocabulary:
            raise InputError(
                f"{self.files[number]}: token {ids.max()} at {low + int(ids.argmax())}, the processor has {self.vocabulary} tokens: "
                "another one encoded the file; run `fmcycle tokens` with inputs.processor=PATH of this one"
            )
        return ids

    def index(self, number: int) -> pl.DataFrame:
        """Return the documents of shard `number`: id, start, length. Raises InputError if the index does not match the shard."""
        if number not in self._indices:
            file = self.files[number].with_suffix(".parquet")
            if not file.is_file():
                raise InputError(f"{file}: not there; run `dvc checkout --force {self.folder}` or make the tokens again")
            index = pl.read_parquet(file)
            whole = len(self.shards[number])
            ends = index["start"] + index["length"]
            if index["length"].sum() != whole or (len(index) and ends.max() != whole):
                raise InputError(
                    f"{file}: names {index['length'].sum()} tokens, {self.files[number].name} has {whole}: they do not belong together; "
                    f"run `dvc checkout --force {self.folder}` or make the tokens again"
                )
            self._indices = {number: index}  # caches one index: all of them grow with the corpus
        return self._indices[number]

    def stamp(self, number: int) -> list:
        """Return name, size and time of the files of shard `number`, for cache keys."""
        files = (self.files[number], self.files[number].with_suffix(".parquet"))
        return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]

    def documents(self, start: int, length: int) -> list[str]:
        """Return the ids of the documents that window(start, length) has tokens of, in order."""
        names = []
        for number, (_, low, high) in zip(self._numbers(start, length), self._cut(start, length), strict=True):
            index = self.index(number)
            begin, size = index["start"].to_numpy(), index["length"].to_numpy()
            names += index.filter((begin < high) & (begin + size > low))["id"].to_list()
        return names

    def _numbers(self, start: int, length: int) -> range:
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        last = int(np.searchsorted(self.starts, start + length, side="left")) - 1
        return range(first, last + 1)

    def _cut(self, start: int, length: int) -> list[tuple[np.ndarray, int, int]]:
        """Return (shard, low, high) of each shard that the window overlaps."""
        return [
            (self.shards[n], int(max(start - self.starts[n], 0)), int(min(start + length - self.starts[n], len(self.shards[n]))))
            for n in self._numbers(start, length)
        ]


def vocabulary_of(processor) -> int | None:
    """Return the number of tokens of `processor`; None if it is None or has no tokenizer."""
    tokenizer = tokenizer_of(processor)
    return None if tokenizer is None else len(tokenizer)


def _open(file: Path) -> np.memmap:
    try:
        shard = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(
            f"{file}: not a token shard ({error}); run `dvc checkout --force {file.parent}` or make the tokens again"
        ) from error
    if not isinstance(shard, np.memmap) or shard.ndim != 1 or shard.dtype not in (np.uint16, np.uint32):
        raise InputError(f"{file}: a token shard is 1-D uint16 or uint32, this is {shard.ndim}-D {shard.dtype}; make the tokens again")
    return shard
