"""Every processor in conf/processor that learns from texts alone, and every format in conf/data, on the option's own sample."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml

from fmcycle.config import example, signature
from fmcycle.config.build import build
from fmcycle.config.code_digest import targets
from fmcycle.processor import store

CONF = Path(__file__).parents[2] / "conf"
FILES = [file for file in sorted((CONF / "processor").glob("*.yaml")) if "path" not in yaml.safe_load(file.read_text())]


def formats(node) -> list[dict]:
    """Every node of the room processor in a node of data."""
    if isinstance(node, list):
        return [found for each in node for found in formats(each)]
    if not isinstance(node, dict):
        return []
    own = [node] if str(node.get("_target_")).startswith("fmcycle.processor.") else []
    return own + [found for each in node.values() for found in formats(each)]


FORMATS = [
    pytest.param(node, id=f"{file.stem}: {node['_target_']}")
    for file in sorted((CONF / "data").glob("*.yaml"))
    for node in formats(yaml.safe_load(file.read_text()))
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_processor_is_learnt_from_texts_and_is_the_same_after_it_was_saved(file, tmp_path):
    node = yaml.safe_load(file.read_text())
    texts = example.of("processor", node["_target_"])["texts"]
    made, again = (build(node)(texts) for _ in range(2))
    for name, each in (("one", made), ("other", again)):
        each.save_pretrained(tmp_path / name)
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
    assert type(store.load_processor(tmp_path / "one")) is type(made)


@pytest.mark.parametrize("node", FORMATS)
def test_a_format_makes_plain_columns_of_a_row(node):
    sample = example.of("processor", node["_target_"])
    given = [sample[name] for name in signature.read(node["_target_"]).positional]
    row = build(node)(*given)
    assert row and _plain(row) and _same(row, build(node)(*given)), row
    assert targets(node) == {node["_target_"]} and isinstance(build(node), partial)


def _plain(row: dict) -> bool:
    return all(
        _plain(each) if isinstance(each, dict) else isinstance(each, np.ndarray | int | float) or all(isinstance(id_, int) for id_ in each)
        for each in row.values()
    )


def _same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        _same(each, other[name]) if isinstance(each, dict) else np.array_equal(each, other[name]) for name, each in one.items()
    )
