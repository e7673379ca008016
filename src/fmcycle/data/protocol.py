"""The contract of data: attributes that rows must have, and optional ones. Readers of rows use these protocols only."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl


class Dataset(Protocol):
    """An option of conf/data, built."""

    def __call__(self, split: str, processor: Any) -> "Rows":
        """Return the rows of "train", "validation" or "test". Raises InputError, naming the row or setting, if they can't be read."""
        ...


class Rows(Protocol):
    """The rows of one split; readers may rely on nothing else."""

    @property
    def lengths(self) -> np.ndarray | None:
        """Tokens of each row (1 for a row without token ids): (len,) of whole numbers; None if all rows are padded to one `length`."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any:
        """Return row `index`, equal at every read: token ids (T,), or {column: list of ids, number, array, or a dict of these}."""
        ...

    def collate(self, rows: list) -> dict:
        """Return the batch {column: tensor (B, ...), or a dict of these} of B rows, as an objective reads it."""
        ...


@runtime_checkable
class Even(Protocol):
    """Rows with a common length; rows without `lengths` must have it."""

    @property
    def length(self) -> int:
        """Tokens of each collated row, padding included; for rows with `lengths`, the most."""
        ...


@runtime_checkable
class Dense(Protocol):
    """Rows that hold several documents or conversations each."""

    @property
    def row_tokens(self) -> float:
        """Mean tokens of a row, without padding; above 0."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """Rows that determine which of them a step reads, as a mixture does."""

    def step(self, seed: int, step: int, global_batch: int) -> np.ndarray:
        """Return the rows (global_batch,) of optimizer step `step`, a pure function of the three arguments."""
        ...


@runtime_checkable
class Reported(Protocol):
    """Rows that print a line when a run begins."""

    def report(self, budget: Any) -> str:
        """Return one line on the rows that a run of `budget` (max_steps, global_batch, seed) reads."""
        ...


@runtime_checkable
class Annotated(Protocol):
    """Rows that accept columns which a model computes once."""

    @property
    def annotations(self) -> dict[str, np.ndarray]:
        """{column: (len,) float32}, NaN for a row that was not computed; __getitem__ adds each to the row as a number."""
        ...


@runtime_checkable
class Classed(Protocol):
    """Rows that may have classes."""

    @property
    def classes(self) -> list[str]:
        """The names behind the numbers in the column `labels`, sorted; [] if rows have no class."""
        ...


@runtime_checkable
class Traced(Protocol):
    """Rows that know their source documents."""

    @property
    def documents(self) -> Callable[[int], list[str]]:
        """(row) -> the ids of the documents that it has tokens of, in their order; a mixture may lack it."""
        ...


@runtime_checkable
class Tabled(Protocol):
    """Rows that are computed from a table's line at every read."""

    @property
    def frame(self) -> pl.DataFrame:
        """The table, one line a row: (len, columns)."""
        ...


@runtime_checkable
class Selected(Protocol):
    """Rows that count those left out."""

    @property
    def left_out(self) -> dict[str, int]:
        """Number of rows left out by reason: {"too_long": longer than data.max_length, ...}; metrics.json has them."""
        ...


MAY_HAVE = (Even, Dense, Ordered, Reported, Annotated, Classed, Traced, Tabled, Selected)
