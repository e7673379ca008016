"""measure: a model that does not chat is measured on data that a person names, and what was measured can be packaged."""

import json

import families
import numpy as np
import polars as pl
import pytest

from fmcycle.config.compose import compose
from fmcycle.errors import InputError
from fmcycle.processor import media
from fmcycle.runner.run import perform

NAMES = ("cat", "dog", "owl")


@pytest.fixture
def examples(project):
    rng = np.random.default_rng(0)
    rows = [
        {"id": f"r{n}", "text": "", "media": media.as_png(rng.uniform(-1, 1, (3, 16, 16))), "label": NAMES[n % 3]}
        | {"split": ("train", "test")[n // 3 % 2], "licence": "CC0-1.0", "source": "own", "group": f"g{n}"}
        for n in range(24)
    ]
    pl.DataFrame(rows).write_parquet(project / "examples.parquet")
    families.save("image_classifier", project / "model")
    return project


def test_a_classifier_is_measured_on_named_rows_and_packaged_with_those_figures(examples):
    given = ["inputs.model=model", "inputs.examples=examples.parquet", "data.classes=label", "evaluation.accuracy.each=true"]
    out = perform(compose(["stage=evaluate_on", *given]))
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["accuracy/n"] == 12 and metrics["owl/accuracy/n"] == 4 and "baseline/regression_accuracy" in metrics
    page = (out / "report.html").read_text()
    assert "Against the baselines" in page and ">nearest neighbour</span>" in page and "toxicity" not in page
    packed = perform(
        compose(["stage=package", "engine=classifier", "gate=none", "inputs.model=model", f"inputs.metrics={out}/metrics.json"])
    )
    assert json.loads((packed / "gate.json").read_text())["passed"]


def test_no_model_is_said_before_any_work(project):
    with pytest.raises(InputError, match=r"inputs\.model: name the folder"):
        perform(compose(["stage=evaluate_on"]))
