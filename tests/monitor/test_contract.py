"""Every monitor in conf/monitor makes one whole finding of its sample, the same each time, and is quiet if nothing changed."""

import json
import math
from pathlib import Path

import polars as pl
import pytest
import yaml

from fmcycle.config import example
from fmcycle.config.build import build

FILES = sorted((Path(__file__).parents[2] / "conf/monitor").glob("*.yaml"))
MONITORS = [pytest.param(node, id=name) for file in FILES for name, node in yaml.safe_load(file.read_text()).items()]
FINDING = {"value": float, "low": float, "high": float, "bound": float, "n": int, "alarm": bool, "what": str}


@pytest.mark.parametrize("node", MONITORS)
def test_a_finding_is_whole_and_the_same_each_time(node):
    sample = example.of("monitor", node["_target_"])
    found = build(node)(sample["reference"], sample["window"])
    assert {name: type(value) for name, value in found.items()} == FINDING
    assert all(math.isfinite(found[name]) for name in ("value", "low", "high", "bound")) and 0 <= found["n"] <= len(sample["window"])
    assert found["low"] <= found["value"] <= found["high"] and json.dumps(found) == json.dumps(build(node)(*sample.values()))


@pytest.mark.parametrize("node", MONITORS)
def test_what_is_as_it_was_alarms_nobody(node):
    before = example.of("monitor", node["_target_"])["reference"]
    window = before.with_columns(refused=pl.lit(False), rating=pl.lit(1), latency=pl.lit(0.1))
    assert not build(node)(before, window)["alarm"]
