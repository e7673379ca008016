"""What data is: what its rows must have, and what they may have besides. Whoever reads rows asks by these names and by no other."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl


class Dataset(Protocol):
    """What an option of conf/data builds."""

    def __call__(self, split: str, processor: Any) -> "Rows":
        """The rows of "train", "validation" or "test". Raises InputError, with the row or the setting, if they can't be read."""
        ...


class Rows(Protocol):
    """The rows of one split: all that a reader may rely on."""

    @property
    def lengths(self) -> np.ndarray | None:
        """Tokens of each row (1 for a row without token ids): (len,) of whole numbers; None if all rows are padded to one `length`."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any:
        """Row `index`, the same whenever it is read: token ids (T,), or {column: list of ids, number, array, or a dict of such}."""
        ...

    def collate(self, rows: list) -> dict:
        """{column: tensor (B, ...), or a dict of such} of B rows, as an objective reads it."""
        ...


@runtime_checkable
class Even(Protocol):
    """Rows with a length in common; rows without `lengths` must have it."""

    @property
    def length(self) -> int:
        """Tokens of each row once it is collated, padding with them; of rows with `lengths`: at most."""
        ...


@runtime_checkable
class Dense(Protocol):
    """Rows that hold several documents or conversations each."""

    @property
    def row_tokens(self) -> float:
        """Tokens of a row in the mean, without padding; above 0."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """Rows that say themselves which of them a step reads, as a mixture does."""

    def step(self, seed: int, step: int, global_batch: int) -> np.ndarray:
        """Rows (global_batch,) of optimizer step `step`: a function of these three numbers and of nothing that came before."""
        ...


@runtime_checkable
class Reported(Protocol):
    """Rows that have something to say when a run begins."""

    def report(self, budget: Any) -> str:
        """What a run of `budget` (max_steps, global_batch, seed) reads, in one line."""
        ...


@runtime_checkable
class Annotated(Protocol):
    """Rows that take columns which a model computes once."""

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
    """Rows that know the documents which they were cut from."""

    def documents(self, index: int) -> list[str]:
        """Ids of the documents that row `index` has a token of, in their order."""
        ...


@runtime_checkable
class Tabled(Protocol):
    """Rows of a table, each made of its line when it is read."""

    @property
    def frame(self) -> pl.DataFrame:
        """The lines, one a row: (len, columns)."""
        ...


@runtime_checkable
class Selected(Protocol):
    """Rows that leave out what does not fit."""

    @property
    def longer(self) -> int:
        """How many rows were left out as longer than data.max_length."""
        ...


MAY_HAVE = (Even, Dense, Ordered, Reported, Annotated, Classed, Traced, Tabled, Selected)
