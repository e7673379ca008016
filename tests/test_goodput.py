"""benchmarks/goodput.py: the simulated cluster behaves as the papers say."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[1] / "benchmarks/goodput.py"
spec = importlib.util.spec_from_file_location("goodput", FILE)
goodput = importlib.util.module_from_spec(spec)
spec.loader.exec_module(goodput)


def simulated(interval: float, checkpoint=30.0, restart=120.0, mtbf=40000.0) -> float:
    return goodput.simulate(interval, checkpoint, restart, mtbf, 200_000, np.random.default_rng(0))


def test_the_simulation_is_the_closed_form():
    for interval in (300.0, 1500.0, 9000.0, 50000.0):
        assert simulated(interval) == pytest.approx(goodput.expected(interval, 30.0, 120.0, 40000.0), rel=3e-3)


def test_the_best_simulated_interval_is_near_the_square_root():
    best = goodput.young(30.0, 40000.0)
    tried = best * np.geomspace(1 / 8, 8, 25)
    found = tried[np.argmax([simulated(interval) for interval in tried])]
    assert best / 1.5 < found < best * 1.5
    assert goodput.daly(30.0, 40000.0) == pytest.approx(best, rel=0.05)


def test_goodput_falls_with_the_nodes_and_rises_with_faster_checkpoints(capsys):
    goodput.main(["--nodes", "16", "256", "4096", "--runs", "4", "--days", "300"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    best = [row["goodput"] for row in rows if row["best"]]
    assert len(best) == 3 and best[0] > best[1] > best[2]
    goodput.main(["--nodes", "4096", "--runs", "4", "--days", "300", "--checkpoint-seconds", "6"])
    faster = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert max(row["goodput"] for row in faster) > best[2]
