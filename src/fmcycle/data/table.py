"""Rows of a Parquet table; a format turns each into token ids, images or audio."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import torch

from fmcycle.data import packing
from fmcycle.data.token_shards import vocabulary_of
from fmcycle.distributed import rank
from fmcycle.errors import InputError, suggest
from fmcycle.processor.components import pad as pad_of
from fmcycle.ranges import ExistingPath, PositiveInt

PADDING = {"labels": -100, "decoder_labels": -100}  # other columns are padded with the padding token


@dataclass
class Table:
    """`path`: a Parquet file with a `split` column; `format`: (row, processor) -> dict of token ids, numbers or arrays; None: left out.

    Rows longer than `max_length` tokens are left out: a cut answer would teach to stop early. `where`: {column: values to keep}.
    `classes`: a column whose sorted values in the train split (in all rows, if there is none) are the classes; their numbers become
    `labels`, and rows of other splits with another class are left out. `packed`: several conversations share a row of at most
    `max_length` tokens, and none attends to another.
    Rows with `media` (bytes of images, audio) are formatted at every read; each is tried once before training begins.
    """

    path: ExistingPath
    format: Callable
    max_length: PositiveInt = 512
    where: dict = field(default_factory=dict)
    packed: bool = False
    classes: str | None = None

    def __call__(self, split: str, processor) -> "Rows | Packed":
        frame, names, left = self.chosen(split)
        number = {name: place for place, name in enumerate(names)}

        def make(row: dict) -> dict | None:
            made = self.format(row, processor)
            return made if made is None or self.classes is None else made | {"labels": number[row[self.classes]]}

        vocabulary, kept, made = vocabulary_of(processor), [], []
        left |= {"too_long": 0, "no_example": 0}
        media = "media" in frame.columns
        for place, row in enumerate(frame.iter_rows(named=True)):
            repair = "; correct data.format or the row"
            try:
                found = make(row)
                wrong = None if found is None else fault(found, vocabulary)
            except InputError as error:  # names its own repair, as a chat template's does
                wrong, repair = str(error), ""
            except ValueError as error:  # unreadable media, or a format for another table
                wrong = str(error)
            if wrong:
                raise InputError(f"{self.path}: row {place} of {split} ({row.get('id', 'no id')}): {wrong}{repair}")
            if found is None:
                left["no_example"] += 1
            elif length(found) > self.max_length:
                left["too_long"] += 1
            else:
                kept.append(place)
                made.append({"tokens": length(found)} if media else found)
        if not kept:
            raise InputError(f"{self.path}: {self.why_none(frame.height, split, left['too_long'])}")
        if any(left.values()) and rank.first():
            print(f"{split}: {len(kept):,} of {len(kept) + sum(left.values()):,} rows, {self.told(left)}", flush=True)
        rows = self.rows(frame[kept], made, make, media, names, processor)
        rows.left_out = {name: count for name, count in left.items() if count or name == "too_long"}
        return rows

    def told(self, left: dict[str, int]) -> str:
        """Return the number of rows that each filter left out, in words."""
        words = {
            "other_where": "not in data.where",
            "other_class": f"of a {self.classes} that train lacks",
            "no_example": "without an example",
            "too_long": f"longer than data.max_length {self.max_length}",
        }
        return ", ".join(f"{left[name]:,} {what}" for name, what in words.items() if left.get(name))

    def why_none(self, rows: int, split: str, longer: int) -> str:
        """Return why a split has no row."""
        if rows:
            return f"none of {rows} rows of {split} is left, {longer} of them are longer than data.max_length {self.max_length}: raise it"
        whole = pl.scan_parquet(self.path).select("split").collect()["split"]
        if not len(whole):
            return "0 rows in the table: collect or curate more"
        if self.where and whole.eq(split).any():
            return f"no row of {split} matches data.where {self.where}: change or drop it"
        return (
            f"no row of {split} among {len(whole)} rows: give {split} a larger share, `fmcycle curate inputs.data=FOLDER split.{split}=0.3`"
            if split != "train"
            else f"no row of train among {len(whole)} rows: all are held out; curate again with smaller shares for the other splits"
        )

    def rows(self, frame: pl.DataFrame, made: list[dict], make: Callable, media: bool, names: list[str], processor) -> "Rows | Packed":
        """Return the kept rows as the loader reads them."""
        pad = pad_of(processor)
        if media:
            return Media(frame, make, np.array([row["tokens"] for row in made]), pad, names)
        if not self.packed:
            return Rows(made, pad, names)
        if any(set(row) != {"input_ids", "labels"} for row in made):
            raise InputError("data.packed: only rows of just input_ids and labels can be packed; set data.packed=false for other columns")
        return Packed(made, self.max_length, pad)

    def chosen(self, split: str) -> tuple[pl.DataFrame, list[str], dict[str, int]]:
        """Return (the rows of a split that `where` and `classes` keep, the names of the classes, the number of rows that each left out)."""
        frame = pl.read_parquet(self.path)
        for column in (*self.where, *([self.classes] if self.classes else [])):
            if column not in frame.columns:
                key = "classes" if column == self.classes else f"where.{column}"
                raise InputError(f"data.{key}: {self.path} has no such column, {column}; it has {', '.join(frame.columns)}")
        whole = frame.filter(pl.col("split") == split).height
        for column, values in self.where.items():
            values = values if isinstance(values, list) else [values]
            known = frame[column].unique().to_list()
            if strange := [value for value in values if value not in known]:
                raise InputError(f"data.where.{column}: no row of {self.path} has {strange[0]}{suggest(str(strange[0]), known)}")
            frame = frame.filter(pl.col(column).is_in(values))
        rows = frame.filter(pl.col("split") == split)
        left = {"other_where": whole - rows.height}
        if self.classes is None:
            return rows, [], left
        train = frame.filter(pl.col("split") == "train")
        names = (train if train.height else frame)[self.classes].drop_nulls().unique().sort().to_list()
        known = rows.filter(pl.col(self.classes).is_in(names))
        return known, names, left | {"other_class": rows.height - known.height}


def length(row: dict) -> int:
    """Return the length of the longest list of token ids in a row; 1 if it has none."""
    return max((length(value) if isinstance(value, dict) else len(value) if isinstance(value, list) else 1) for value in row.values())


def fault(row: dict, vocabulary: int | None) -> str | None:
    """Return what is wrong with a formatted row for a processor of `vocabulary` tokens, or None."""
    lists = {name: value for name, value in row.items() if isinstance(value, list)}
    for name, value in lists.items():
        ids = np.asarray(value)
        if ids.ndim != 1 or (ids.dtype.kind not in "iu" and len(ids)):
            return f"{name} is not a list of whole numbers ({ids.dtype}, {ids.ndim} dimensions)"
        real = ids[ids != PADDING[name]] if name in PADDING else ids
        if vocabulary is not None and len(real) and (real.min() < 0 or real.max() >= vocabulary):
            return f"{name} holds {real.min()} .. {real.max()}, the processor has tokens 0 .. {vocabulary - 1}"
    if len({len(value) for name, value in lists.items() if not name.startswith("decoder_")}) > 1:
        return f"its columns differ in length: { ({name: len(value) for name, value in lists.items()}) }"
    if bad := [name for name, value in row.items() if isinstance(value, np.ndarray) and not np.isfinite(value).all()]:
        return f"{bad[0]} holds values that are not finite"
    return next(
        (f"{name}: {wrong}" for name, value in row.items() if isinstance(value, dict) and (wrong := fault(value, vocabulary))), None
    )


class Rows:
    """Formatted rows. `annotations`: {column: a number for each row}; `classes`: the names behind the numbers in `labels`."""

    def __init__(self, rows: list[dict], pad: int, classes: list[str] | None = None):
        self.rows, self.pad, self.classes = rows, pad, classes or []
        self.lengths = np.array([length(row) for row in rows])
        self.annotations: dict[str, np.ndarray] = {}
        self.left_out = {"too_long": 0}

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict:
        return self.rows[index] | {name: float(column[index]) for name, column in self.annotations.items()}

    def collate(self, rows: list[dict]) -> dict:
        """Pad lists on the right to (B, T), stack numbers and arrays of one shape, recurse into dicts."""
        return {name: self._column(name, [row[name] for row in rows]) for name in rows[0]}

    def _column(self, name: str, values: list):
        if isinstance(values[0], dict):
            return self.collate(values)
        if isinstance(values[0], np.ndarray):
            return torch.from_numpy(np.stack(values))
        if not isinstance(values[0], list):
            if np.isnan(values).any():
                raise InputError(f"column {name} is NaN in a row: delete .cache/annotate and run again, or correct data.format")
            return torch.tensor(values)
        longest, padding = max(map(len, values)), PADDING.get(name, self.pad)
        return torch.tensor([value + [padding] * (longest - len(value)) for value in values])


class Media(Rows):
    """Rows that are decoded at every read: decoded images and audio take many times the memory of their bytes."""

    def __init__(self, frame: pl.DataFrame, make: Callable, lengths: np.ndarray, pad: int, classes: list[str]):
        super().__init__([], pad, classes)
        self.frame, self.make, self.lengths = frame, make, lengths

    def __getitem__(self, index: int) -> dict:
        return self.make(self.frame.row(index, named=True)) | {name: float(column[index]) for name, column in self.annotations.items()}


class Packed:
    """Formatted conversations, several to a row of at most `length` tokens."""

    lengths = None  # all rows are padded to `length`

    def __init__(self, rows: list[dict], length: int, pad: int):
        self.rows, self.length, self.pad = rows, length, pad
        self.sizes = np.array([len(row["input_ids"]) for row in rows])
        self.order, self.begins = packing.best_fit(self.sizes, length)
        self.row_tokens = self.sizes.sum() / len(self)
        self.left_out = {"too_long": 0}

    def __len__(self) -> int:
        return len(self.begins) - 1

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        chosen = self.order[self.begins[index] : self.begins[index + 1]]
        return packing.joined([(self.rows[number]["input_ids"], self.rows[number]["labels"]) for number in chosen])

    def collate(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """Return {"input_ids", "labels", "position_ids"}: (B, T) each."""
        return packing.padded(rows, self.length, self.pad)
