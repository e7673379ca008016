"""Every option of conf/data has the rows that fmcycle.data.protocol promises, over tables of its format's own sample."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from fmcycle.config import example
from fmcycle.config.build import build
from fmcycle.data import protocol, token_shards
from fmcycle.data.order import held_out, rows_of_step
from fmcycle.training.budget import Budget

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "conf/data").glob("*.yaml"))
SOURCES = ("bible", "botocore", "networkx", "sympy")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(option) -> (what conf/data/OPTION.yaml builds, the processor that its sample has)."""
    folder = tmp_path_factory.mktemp("data")
    rows = [{"id": f"d/{n}", "split": ("train", "validation", "test")[n % 3], "source": SOURCES[n // 3 % 4]} for n in range(72)]
    for split in ("train", "validation"):
        own = [(row["id"], np.arange(40 + place) % 200) for place, row in enumerate(rows) if row["split"] == split]
        token_shards.write(folder / "tokens" / split, own, vocab_size=256)

    def make(file: Path):
        node = yaml.safe_load(file.read_text())
        formats = re.findall(r"'format': {'_target_': '([\w.]+)'", str(node))  # of the option, or of a part of a mixture
        sample = example.of("processor", formats[0]) if formats else {"processor": None, "row": {}}
        table = str(folder / f"{file.stem}.parquet")
        pl.DataFrame([sample["row"] | row | {"label": ("cat", "dog")[n // 3 % 2]} for n, row in enumerate(rows)]).write_parquet(table)
        inputs = {name: str(folder / "tokens") if "tokens" in name else table for name in re.findall(r"\$\{inputs\.(\w+)\}", str(node))}
        whole = OmegaConf.to_container(OmegaConf.create({"inputs": inputs, "data": node}), resolve=True)
        return build(whole["data"]), sample["processor"]

    found: dict = {}
    return lambda file: found.setdefault(file, make(file))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def rows(request, made) -> protocol.Rows:
    data, processor = made(request.param)
    return data("train", processor)


def test_rows_have_what_they_must(rows):
    assert len(rows) > 0
    if rows.lengths is None:
        assert isinstance(rows, protocol.Even) and rows.length > 0
    else:
        assert rows.lengths.shape == (len(rows),) and rows.lengths.dtype.kind in "iu" and rows.lengths.min() > 0
    first = rows[0]
    assert _same(first, rows[0]), "a row is the same whenever it is read"
    batch = rows.collate([first, rows[len(rows) - 1]])
    assert batch and all(column.shape[0] == 2 for column in _leaves(batch))
    tokens = [column for column in _leaves(batch) if column.dtype == torch.int64 and column.ndim == 2]
    most = rows.length if rows.lengths is None else max(int(rows.lengths[0]), int(rows.lengths[-1]))
    assert not tokens or max(column.shape[1] for column in tokens) == most


def test_what_rows_may_have_is_what_the_protocol_says(rows):
    budget = Budget(max_steps=3, global_batch=4)
    if isinstance(rows, protocol.Even) and rows.lengths is not None:
        assert rows.lengths.max() <= rows.length
    if isinstance(rows, protocol.Dense):
        assert isinstance(rows, protocol.Even) and 0 < rows.row_tokens <= rows.length
    if isinstance(rows, protocol.Ordered):
        assert np.array_equal(rows.step(0, 2, 4), rows.step(0, 2, 4)) and rows.step(0, 2, 4).dtype.kind in "iu"
    if isinstance(rows, protocol.Reported):
        assert "\n" not in rows.report(budget)
    if isinstance(rows, protocol.Annotated):
        rows.annotations["mark"] = np.arange(len(rows), dtype=np.float32)
        assert rows[1]["mark"] == 1.0 and rows.collate([rows[1], rows[2]])["mark"].tolist() == [1.0, 2.0]
        del rows.annotations["mark"]
    if isinstance(rows, protocol.Classed):
        assert rows.classes == sorted(rows.classes) and (not rows.classes or 0 <= rows[0]["labels"] < len(rows.classes))
    if isinstance(rows, protocol.Traced):
        assert rows.documents(0) and all(name.startswith("d/") for name in rows.documents(0))
    if isinstance(rows, protocol.Selected):
        assert min(rows.left_out.values()) >= 0
    if isinstance(rows, protocol.Tabled):
        assert rows.frame.height == len(rows)


def test_steps_and_validations_read_rows_that_are_there(rows):
    for indices in (rows_of_step(rows, 0, 5, 4), held_out(rows, 3)):
        assert indices.dtype.kind in "iu" and indices.min() >= 0 and indices.max() < len(rows)
    assert len(rows_of_step(rows, 0, 5, 4)) == 4 and len(held_out(rows, 3)) == min(3, len(rows))


def test_each_part_that_rows_may_have_is_that_of_some_option(made):
    found = {kind for file in FILES for kind in protocol.MAY_HAVE if isinstance(made(file)[0]("train", made(file)[1]), kind)}
    assert found == set(protocol.MAY_HAVE)


def test_readers_ask_for_rows_by_the_protocol():
    """No reader looks at rows for a name that may not be there; an evaluation may not import the protocol, and uses its names."""
    for file in [file for room in ("data", "stage", "training", "cost") for file in (ROOT / "src/fmcycle" / room).glob("*.py")]:
        assert not re.search(r"(has|get)attr\((self\.)?(rows|train|validation|data)\b", file.read_text()), file


def _leaves(batch: dict) -> list:
    return [leaf for value in batch.values() for leaf in (_leaves(value) if isinstance(value, dict) else [value])]


def _same(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return np.array_equal(one, other)
