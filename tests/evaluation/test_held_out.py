"""An evaluation reads the first rows of a split, each of them once, in batches that hold every row once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fmcycle.evaluation.held_out import HeldOut, held_out, texts
from fmcycle.model.inputs import batched


class Rows:
    """Rows {"input_ids", "labels"} of one length that note which of them are read."""

    def __init__(self, size):
        self.size, self.read = size, []

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        self.read.append(index)
        return {"input_ids": [index, index + 1], "labels": index}

    def collate(self, rows):
        return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize(("limit", "read"), [(3, [0, 1, 2]), (9, [0, 1, 2, 3, 4]), (None, [0, 1, 2, 3, 4])])
def test_the_first_rows_are_read_once_up_to_the_limit(limit, read):
    rows = Rows(5)
    held = HeldOut(lambda split, processor: rows, "test", None, limit)
    assert held.column("labels") == held.column("labels") == read == rows.read


def test_the_split_and_the_processor_are_those_that_were_named():
    asked = []
    HeldOut(lambda *given: asked.append(given) or Rows(0), "validation", "processor")
    assert asked == [("validation", "processor")]


def test_batches_hold_every_row_once_and_only_what_the_model_takes():
    model = SimpleNamespace(config=SimpleNamespace(pad_token_id=4), device=torch.device("cpu"))
    found = list(HeldOut(lambda *_: Rows(5), "test", None).batches(model, 2))
    assert [len(batch["input_ids"]) for batch in found] == [2, 2, 1]
    assert torch.cat([batch["input_ids"] for batch in found])[:, 0].tolist() == list(range(5))
    assert all(set(batch) == {"input_ids", "attention_mask"} for batch in found)


@pytest.mark.parametrize("rows", [list(range(7)), np.arange(7), torch.arange(7)])
def test_slices_of_anything_that_has_a_length_put_together_are_the_whole(rows):
    parts = [list(map(int, part)) for part in batched(rows, 3)]
    assert parts == [[0, 1, 2], [3, 4, 5], [6]] and not list(batched(rows[:0], 3))


def test_texts_are_those_of_the_held_out_documents(material):
    path = str(material / "documents.parquet")
    assert texts(path, "test", 3) == [row["text"] for row in held_out(path, "test", 3)] and len(texts(path, "test", 3)) == 3
