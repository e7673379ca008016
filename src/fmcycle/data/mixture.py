"""Mixture of datasets: each takes its share of a run's tokens."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmcycle.data.order import shuffled
from fmcycle.data.protocol import Annotated, Dense, Even, Selected, Traced
from fmcycle.errors import InputError
from fmcycle.ranges import NonNegativeFloat, PositiveInt


@dataclass
class Mixture:
    """`parts`: {name: {"data": any data, "share": of the tokens, relative to the sum of all}}; rows have at most `max_length` tokens.

    temperature: multiplies each share by the part's tokens to this power; equal shares then become proportional to size at 1 and
    stay equal at 0. A part smaller than its share is repeated in another order; the run prints at its start how often.
    Source: Conneau and Lample, Cross-lingual Language Model Pretraining (2019), section 3.1, which calls the power alpha.
    """

    parts: dict
    max_length: PositiveInt = 256
    temperature: NonNegativeFloat = 0.0

    def __call__(self, split: str, processor) -> "Rows":
        parts = {name: (part["data"](split, processor), part["share"]) for name, part in self._checked().items()}
        tokens = {name: token_mean(rows) * len(rows) for name, (rows, _) in parts.items()}
        largest = max(tokens.values(), default=1)  # powers of tokens / largest do not overflow
        tempered = {name: (rows, share * (tokens[name] / largest) ** self.temperature) for name, (rows, share) in parts.items()}
        return Rows(tempered, self.max_length)

    def _checked(self) -> dict:
        for name, part in self.parts.items():
            share = part.get("share") if isinstance(part, dict) else None
            right = isinstance(part, dict) and set(part) == {"data", "share"}
            if not right or isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < np.inf:
                raise InputError(f"data.parts.{name}: needs `data`, an option of conf/data, and `share`, a number above 0; it has {part}")
        if not self.parts:
            raise InputError("data.parts: empty; add at least one NAME: {data: ..., share: ...}")
        return self.parts


class Rows:
    """Rows of all parts, one part after the other; `step` returns those of an optimizer step."""

    def __init__(self, parts: dict[str, tuple[Any, float]], max_length: int):
        self.names, self.parts = list(parts), [rows for rows, _ in parts.values()]
        self.left_out = {"too_long": 0}
        for rows in self.parts:
            for reason, count in rows.left_out.items() if isinstance(rows, Selected) else ():
                self.left_out[reason] = self.left_out.get(reason, 0) + count
        whole = sum(share for _, share in parts.values())
        self.shares = np.array([share / whole for _, share in parts.values()])
        self.firsts = np.cumsum([0, *(len(rows) for rows in self.parts)])
        self._columns: dict[str, np.ndarray] = {}
        self.length = max_length
        self._lines: tuple[int, list[Line]] | None = None
        self._check(max_length)
        ragged = [rows.lengths for rows in self.parts if rows.lengths is not None]
        self.lengths = np.concatenate([self._tokens_of(rows) for rows in self.parts]) if ragged else None

    def _check(self, max_length: int) -> None:
        kinds = {}
        for name, rows in zip(self.names, self.parts, strict=True):
            longest = rows.length if isinstance(rows, Even) else int(rows.lengths.max())
            if longest > max_length or (rows.lengths is None and longest < max_length):
                raise InputError(f"data.parts.{name}: its rows have {longest} tokens, data.max_length is {max_length}: set both the same")
            kinds[name] = (sorted(rows.collate([rows[0]])), longest if rows.lengths is None else "any")
        first = self.names[0]
        if wrong := [name for name in self.names if kinds[name] != kinds[first]]:
            raise InputError(
                f"data.parts.{wrong[0]}: its rows have {kinds[wrong[0]]} (columns, tokens), those of {first} have {kinds[first]}: "
                "the parts of a mixture need the same columns and the same max_length"
            )

    @staticmethod
    def _tokens_of(rows) -> np.ndarray:
        return np.full(len(rows), rows.length) if rows.lengths is None else rows.lengths

    def __len__(self) -> int:
        return int(self.firsts[-1])

    @property
    def annotations(self) -> dict[str, np.ndarray]:
        """Columns that a model computes; the attribute is absent if a part takes none."""
        if not all(isinstance(rows, Annotated) for rows in self.parts):
            raise AttributeError("a part of the mixture takes no column")
        return self._columns

    def part_of(self, index: int) -> int:
        """Return the number of the part that row `index` belongs to."""
        return int(np.searchsorted(self.firsts, index, side="right")) - 1

    def __getitem__(self, index: int):
        number = self.part_of(index)
        row = self.parts[number][index - int(self.firsts[number])]
        return row | {name: float(column[index]) for name, column in self._columns.items()} if self._columns else row

    def collate(self, rows: list) -> dict:
        """Collate with the first part: all parts have the same columns."""
        return self.parts[0].collate(rows)

    @property
    def documents(self) -> Callable[[int], list[str]]:
        """(row) -> ids of the documents that it has tokens of; the attribute is absent if a part does not know them."""
        if not all(isinstance(rows, Traced) for rows in self.parts):
            raise AttributeError("a part of the mixture does not know its documents")
        return self._documents

    def _documents(self, index: int) -> list[str]:
        number = self.part_of(index)
        return self.parts[number].documents(index - int(self.firsts[number]))

    def step(self, seed: int, step: int, global_batch: int) -> np.ndarray:
        """Return the rows (global_batch,) of optimizer step `step`, a function of the three arguments; no earlier step is computed.

        Each part lays its rows on a line of tokens, stretched by its share; the mixture takes them in the order of their
        midpoints, so that after any row each part is within a row of its share. (Weighted fair queueing, Demers et al., 1989.)
        """
        lines = self._of_seed(seed)
        counts, part, place = self._merged(lines, step * global_batch, global_batch)
        rows = np.empty(global_batch, dtype=np.int64)
        for number in np.unique(part[-global_batch:]):
            here = part[-global_batch:] == number
            rows[here] = self.firsts[number] + lines[number].rows(counts[number] + place[-global_batch:][here])
        return rows

    def _merged(self, lines: list["Line"], first: int, count: int) -> tuple[list[int], np.ndarray, np.ndarray]:
        """Return (rows of each part before some place; for each place from there to first + count: its part, rows of it before)."""
        counts = self._before(lines, first)
        wanted = first - sum(counts) + count
        times = np.concatenate([line.times(before, wanted) for line, before in zip(lines, counts, strict=True)])
        return counts, *np.divmod(np.argsort(times, kind="stable")[:wanted], wanted)

    def _before(self, lines: list["Line"], first: int) -> list[int]:
        """Return the rows of each part before a time at which at most `first` rows, and few less, have been taken."""
        rate = sum(line.rate for line in lines)
        slack = 2 * len(lines)
        while True:
            time = (first - slack) / rate
            counts = [line.count(time) for line in lines]
            if sum(counts) <= first:
                return counts
            slack *= 2

    def _of_seed(self, seed: int) -> list["Line"]:
        if self._lines is None or self._lines[0] != seed:
            named = zip(self.names, self.parts, self.shares, strict=True)
            self._lines = seed, [Line(rows, share, (seed, zlib.crc32(name.encode()))) for name, rows, share in named]
        return self._lines[1]

    def report(self, budget) -> str:
        """Return one line: the share and the epochs of each part in a run of `budget`."""
        lines = self._of_seed(budget.seed)
        counts, part, _ = self._merged(lines, budget.max_steps * budget.global_batch - 1, 1)
        counts = [int(number) for number in counts + np.bincount(part, minlength=len(lines))]
        each = zip(self.names, self.shares, counts, self.parts, strict=True)
        return "mixture: " + ", ".join(f"{name} {share:.1%} of tokens ({n / len(rows):.2f} epochs)" for name, share, n, rows in each)


class Line:
    """The rows of one part, epoch after epoch, on a line of tokens stretched by its share."""

    def __init__(self, rows, share: float, key: tuple[int, int]):
        self.size, self.share, self.key = len(rows), share, key
        self.lengths = rows.lengths
        self.mean = token_mean(rows)
        self.rate = share / self.mean
        self._middles: dict[int, np.ndarray] = {}

    def times(self, first: int, count: int) -> np.ndarray:
        """Return when the mixture takes the rows at positions first .. first + count, in tokens of the whole mixture: ascending."""
        position = np.arange(first, first + count)
        if self.lengths is None:
            return (position + 0.5) * self.mean / self.share
        epoch, place = np.divmod(position, self.size)
        middles = np.concatenate([self._of_epoch(number)[place[epoch == number]] for number in np.unique(epoch)])
        return (epoch * (self.mean * self.size) + middles) / self.share

    def count(self, time: float) -> int:
        """Return how many rows the mixture takes before `time`."""
        guess = max(int(time * self.rate), 0)
        if self.lengths is not None:
            epoch, rest = divmod(max(time * self.share, 0.0), self.mean * self.size)
            guess = int(epoch) * self.size + int(np.searchsorted(self._of_epoch(int(epoch)), rest))
        low = max(guess - 2, 0)
        return low + int((self.times(low, 5) < time).sum())  # the same floats as `times`

    def rows(self, position: np.ndarray) -> np.ndarray:
        """Return the rows of the part at these positions."""
        found = np.empty_like(position)
        for epoch in np.unique(position // self.size):
            here = position // self.size == epoch
            found[here] = shuffled(position[here] % self.size, self.size, (*self.key, int(epoch)))
        return found

    def _of_epoch(self, epoch: int) -> np.ndarray:
        """Return the midpoint of each row of an epoch, in tokens from the epoch's start."""
        if epoch not in self._middles:
            lengths = self.lengths[shuffled(np.arange(self.size), self.size, (*self.key, epoch))]
            self._middles = {number: kept for number, kept in self._middles.items() if abs(number - epoch) < 2}
            self._middles[epoch] = np.cumsum(lengths) - lengths / 2
        return self._middles[epoch]


def token_mean(rows) -> float:
    """Return the mean number of tokens a row."""
    return rows.row_tokens if isinstance(rows, Dense) else rows.length if rows.lengths is None else float(np.mean(rows.lengths))
