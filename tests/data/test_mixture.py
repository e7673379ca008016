import numpy as np
import polars as pl
import pytest

from fmcycle.data import token_shards
from fmcycle.data.mixture import Mixture
from fmcycle.data.order import held_out
from fmcycle.data.packing import Packed
from fmcycle.data.precompute import annotate, needed
from fmcycle.data.stream import Stream
from fmcycle.data.table import Table
from fmcycle.data.window import Windows
from fmcycle.errors import InputError
from fmcycle.processor import store
from fmcycle.processor.chat import instruction, preference
from fmcycle.training.budget import Budget

SHARES = {"large": 0.5, "middle": 0.3, "small": 0.15, "rare": 0.05}


@pytest.fixture
def stores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name, documents in (("large", 900), ("middle", 300), ("small", 60), ("rare", 25)):
        lengths = generator.integers(5, 300, documents)
        token_shards.write(tmp_path / name / "train", [(f"{name}/{n}", [3] * length) for n, length in enumerate(lengths)], vocab_size=50)
    return tmp_path


def mixed(folder, kind, shares=SHARES):
    return Mixture({name: {"data": kind(str(folder / name), max_length=128), "share": share} for name, share in shares.items()}, 128)(
        "train", None
    )


def shares_of(rows, order, tokens=100_000) -> dict[str, float]:
    """The share of each part in the first `tokens` tokens that are read."""
    sizes = np.array([len(row["input_ids"]) if isinstance(row := rows[int(index)], dict) else len(row) for index in order])
    order = order[: int(np.searchsorted(np.cumsum(sizes), tokens)) + 1]
    parts = np.array([rows.part_of(int(index)) for index in order])
    found = np.bincount(parts, weights=sizes[: len(order)], minlength=len(rows.parts))
    assert found.sum() >= tokens
    return dict(zip(rows.names, found / found.sum(), strict=True))


@pytest.mark.parametrize("kind", [Windows, Packed])
def test_shares_of_tokens_are_exact_over_a_hundred_thousand(stores, kind):
    rows = mixed(stores, kind)
    found = shares_of(rows, np.concatenate([rows.step(1, step, 8) for step in range(110)]))
    assert found == pytest.approx(SHARES, abs=0.005)


@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0])
def test_a_temperature_stands_between_equal_shares_and_those_of_size(stores, temperature):
    sizes = {name: Windows(str(stores / name), max_length=128)("train", None).tokens for name in SHARES}
    parts = {name: {"data": Windows(str(stores / name), max_length=128), "share": 1} for name in SHARES}
    rows = Mixture(parts, 128, temperature)("train", None)
    weights = {name: (len(tokens) // 128) ** temperature for name, tokens in sizes.items()}
    wanted = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    assert dict(zip(rows.names, rows.shares, strict=True)) == pytest.approx(wanted)
    found = shares_of(rows, np.concatenate([rows.step(1, step, 8) for step in range(110)]))
    assert found == pytest.approx(wanted, abs=0.005)


@pytest.mark.parametrize("packed", [False, True])
def test_shares_of_tokens_are_exact_where_rows_differ_in_length(tmp_path, material, packed):
    processor = store.load_processor(material / "processor")
    table = {"path": str(material / "instructions.parquet"), "format": instruction, "max_length": 128, "packed": packed}
    shares = {"method": 0.7, "type": 0.3}
    parts = {name: {"data": Table(where={"task": [name]}, **table), "share": share} for name, share in shares.items()}
    rows = Mixture(parts, 128)("train", processor)
    found = shares_of(rows, np.concatenate([rows.step(0, step, 16) for step in range(250)]))
    assert found == pytest.approx(shares, abs=0.005)


def test_the_order_is_a_function_of_seed_and_step_for_any_cut(stores):
    order = np.concatenate([mixed(stores, Windows).step(2, step, 4) for step in range(48)])
    for batch in (1, 16, 96):
        fresh = mixed(stores, Windows)
        assert (np.concatenate([fresh.step(2, step, batch) for step in range(192 // batch)]) == order).all()
    assert (mixed(stores, Windows).step(2, 47, 4) == order[-4:]).all()  # with nothing before it
    assert (mixed(stores, Windows).step(3, 0, 96) != order[:96]).any()


def test_ranks_and_workers_change_nothing(stores):
    rows = mixed(stores, Packed)

    def read(world, micro):
        streams = [Stream(rows, seed=0, global_batch=8, micro=micro, rank=rank, world=world, start=0) for rank in range(world)]
        return sorted(int(index) for stream in streams for part in stream.micro_batches(5) for index in part)

    assert read(1, 8) == read(2, 2) == read(4, 1) == sorted(rows.step(0, 5, 8))


def test_a_part_that_is_too_small_begins_anew_differently_shuffled(stores):
    rows = mixed(stores, Windows)
    order = np.concatenate([rows.step(0, step, 16) for step in range(200)])
    number = rows.names.index("rare")
    size = len(rows.parts[number])
    own = [int(index) for index in order if rows.part_of(int(index)) == number]
    epochs = [own[begin : begin + size] for begin in range(0, len(own) - size + 1, size)]
    assert len(epochs) > 2 and all(sorted(epoch) == sorted(epochs[0]) for epoch in epochs) and epochs[0] != epochs[1]
    assert len(set(epochs[0])) == size
    said = rows.report(Budget(max_steps=200, global_batch=16))
    assert f"rare 5.0% of tokens ({len(own) / size:.2f} epochs)" in said


def test_a_step_in_the_far_future_costs_no_more(stores):
    import time

    rows = mixed(stores, Packed)
    clock = time.process_time()
    assert len(rows.step(0, 10**9, 64)) == 64
    assert time.process_time() - clock < 0.5


def test_validation_has_the_shares_too(stores):
    rows = mixed(stores, Windows)
    parts = [rows.part_of(int(index)) for index in held_out(rows, 100)]
    assert np.bincount(parts).tolist() == pytest.approx([50, 30, 15, 5], abs=1)


def test_columns_are_computed_for_the_rows_that_a_mixture_needs(tmp_path, material):
    processor = store.load_processor(material / "processor")
    half = pl.read_parquet(material / "preferences.parquet").with_row_index()
    for name, keep in (("even", 0), ("odd", 1)):
        half.filter(pl.col("index") // 2 % 2 == keep).write_parquet(tmp_path / f"{name}.parquet")
    tables = {name: Table(str(tmp_path / f"{name}.parquet"), preference, max_length=128) for name in ("even", "odd")}
    data = Mixture({name: {"data": table, "share": 1} for name, table in tables.items()}, 128)
    rows, budget = data("train", processor), Budget(max_steps=3, global_batch=4)
    indices = needed(rows, budget)
    assert set(indices) == {int(index) for step in range(4) for index in rows.step(0, step, 4)}  # the loader is one step ahead

    class Ones:
        def eval(self):
            return self

        def __call__(self, batch):
            import torch

            return torch.ones(len(batch["chosen"]["input_ids"]))

    def size(model, batch):
        return batch["chosen"]["input_ids"].shape[1] * model(batch)

    annotate(rows, "size", size, Ones, indices=indices, key={}, folder=tmp_path / "kept", batch=1)
    batch = rows.collate([rows[int(indices[0])]])
    assert batch["size"].tolist() == [batch["chosen"]["input_ids"].shape[1]]
    outside = next(index for index in range(len(rows)) if index not in set(indices))
    with pytest.raises(InputError, match="column size is NaN in a row:"):
        rows.collate([rows[outside]])


def test_parts_that_do_not_go_together_are_refused(stores):
    windows, packed = ({"data": kind(str(stores / name), 128), "share": 1} for kind, name in ((Windows, "large"), (Packed, "rare")))
    with pytest.raises(InputError, match=r"data\.parts\.b: its rows have"):
        Mixture({"a": windows, "b": packed}, 128)("train", None)
    with pytest.raises(InputError, match=r"data\.parts\.a: its rows have 128 tokens, data\.max_length is 64"):
        Mixture({"a": windows}, 64)("train", None)
    for part in ({"data": Windows("x"), "share": -1}, {"data": Windows("x")}, {"data": Windows("x"), "share": 1, "weight": 2}, 3):
        with pytest.raises(InputError, match=r"data\.parts\.a: needs `data`"):
            Mixture({"a": part})("train", None)
