import shutil
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from fmcycle.data import token_shards
from fmcycle.data.packing import Packed, best_fit, in_windows
from fmcycle.data.table import Table
from fmcycle.errors import InputError
from fmcycle.processor import store as processor_store
from fmcycle.processor.chat import instruction


def by_hand(lengths: np.ndarray, size: int) -> list[int]:
    """Best-fit-decreasing piece by piece: what each row has left, sorted."""
    left: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [(space, row) for row, space in enumerate(left) if space >= length]
        if not fitting:
            left.append(size)
            fitting = [(size, len(left) - 1)]
        left[min(fitting)[1]] -= length
    return sorted(left)


@pytest.mark.parametrize(("pieces", "size"), [(0, 8), (1, 8), (50, 32), (300, 64), (500, 16), (200, 1)])
def test_it_is_best_fit_decreasing(pieces, size):
    lengths = np.random.default_rng(pieces).integers(1, size + 1, pieces)
    order, begins = best_fit(lengths, size)
    assert sorted(order) == list(range(pieces))
    used = [int(lengths[order[low:high]].sum()) for low, high in pairwise(begins)]
    assert sorted(size - each for each in used) == by_hand(lengths, size)


def test_a_million_documents_take_seconds_and_waste_next_to_nothing():
    import time

    lengths = np.random.default_rng(0).lognormal(5, 1, 1_000_000).astype(np.int64) + 1
    clock = time.process_time()
    _, sizes = in_windows(np.cumsum(lengths) - lengths, lengths, 2048)
    _, begins = best_fit(sizes, 2048)
    assert time.process_time() - clock < 5
    assert lengths.sum() / ((len(begins) - 1) * 2048) > 0.999


def parts(row: dict, column: str = "input_ids") -> list[tuple]:
    """A packed row's documents."""
    return [tuple(part) for part in np.split(row[column], np.flatnonzero(row["position_ids"] == 0)[1:])]


def store(folder, lengths=(4, 30, 7, 1, 12, 12, 25, 3), **kwargs):
    """Documents of these lengths, every token with a number of its own."""
    ends = np.cumsum(lengths)
    named = [(f"{'ab'[n % 2]}/{n}", list(range(end - length, end))) for n, (end, length) in enumerate(zip(ends, lengths, strict=True))]
    token_shards.write(folder / "train", named, **{"vocab_size": 200, "max_tokens": 50} | kwargs)
    frame = pl.DataFrame({"id": [name for name, _ in named], "source": [name[0] for name, _ in named]})
    frame.write_parquet(folder / "documents.parquet")
    return named


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_token_of_every_document_comes_once_an_epoch(here):
    named = store(here)
    rows = Packed(str(here), max_length=16)("train", None)
    read = [rows[index] for index in range(len(rows))]
    assert sorted(np.concatenate([row["input_ids"] for row in read])) == list(range(sum(len(ids) for _, ids in named)))
    for index, row in enumerate(read):
        begins = np.flatnonzero(row["position_ids"] == 0)
        assert (row["labels"][begins] == -100).all() and (np.delete(row["labels"], begins) != -100).all()
        for part in parts(row):
            assert (np.diff(part) == 1).all()  # whole, or a window of one
            owner = next(name for name, ids in named if part[0] in ids)
            assert owner in rows.documents(index) and set(part) <= set(dict(named)[owner])


def test_whole_documents_stay_whole(here):
    named = store(here, lengths=(4, 7, 1, 12, 12, 3))
    rows = Packed(str(here), max_length=16)("train", None)
    found = [part for index in range(len(rows)) for part in parts(rows[index])]
    assert sorted(found) == sorted(tuple(ids) for _, ids in named)


def test_the_right_end_of_a_row_is_a_document_that_teaches_nothing(here):
    store(here, lengths=(10, 5))
    rows = Packed(str(here), max_length=16)("train", None)
    batch = rows.collate([rows[0]])
    assert batch["position_ids"][0].tolist() == [*range(10), *range(5), 0]
    assert batch["labels"][0, -1] == -100 and batch["input_ids"].shape == (1, 16)
    assert rows.row_tokens == 15


def test_the_packing_is_kept_and_follows_its_shards(here):
    store(here)
    first = Packed(str(here), max_length=16)("train", None)
    kept = {file: file.stat().st_mtime_ns for file in (here / ".cache/packing").iterdir()}
    again = Packed(str(here), max_length=16)("train", None)
    assert kept == {file: file.stat().st_mtime_ns for file in (here / ".cache/packing").iterdir()}
    assert all((first[i]["input_ids"] == again[i]["input_ids"]).all() for i in range(len(first)))
    shutil.rmtree(here / "train")
    store(here, lengths=(5, 5, 5))
    assert len(Packed(str(here), max_length=16)("train", None)) == 1


def test_where_keeps_the_documents_that_it_names(here):
    named = store(here)
    documents = str(here / "documents.parquet")
    rows = Packed(str(here), max_length=16, documents=documents, where={"source": ["a"]})("train", None)
    expected = sorted(token for name, ids in named if name[0] == "a" for token in ids)
    assert sorted(np.concatenate([rows[index]["input_ids"] for index in range(len(rows))])) == expected
    with pytest.raises(InputError, match=r"data\.where\.sorce: .* has no such column; it has id, source"):
        Packed(str(here), documents=documents, where={"sorce": ["a"]})("train", None)
    with pytest.raises(InputError, match="keeps no document"):
        Packed(str(here), documents=documents, where={"source": ["c"]})("train", None)
    with pytest.raises(InputError, match=r"set data\.documents="):
        Packed(str(here), where={"source": ["a"]})("train", None)


def test_conversations_share_rows_and_each_comes_once(material):
    processor = processor_store.load_processor(material / "processor")
    plain = Table(str(material / "instructions.parquet"), instruction, max_length=128)("train", processor)
    rows = Table(str(material / "instructions.parquet"), instruction, max_length=128, packed=True)("train", processor)
    assert len(rows) < len(plain) / 1.5 and rows.row_tokens > 0.85 * 128
    found = []
    for index in range(len(rows)):
        found += zip(parts(rows[index]), parts(rows[index], "labels"), strict=True)
    assert sorted(found) == sorted((tuple(row["input_ids"]), (-100, *row["labels"][1:])) for row in plain.rows)


def test_pairs_are_not_packed(material):
    from fmcycle.processor.chat import preference

    processor = processor_store.load_processor(material / "processor")
    with pytest.raises(InputError, match=r"data\.packed=false"):
        Table(str(material / "preferences.parquet"), preference, packed=True)("train", processor)
