"""Models of pictures, each by its experiment: a few steps through the real stages, saved, loaded again with the same outputs, and asked.

The proofs run each at its stated size and hold it against its bar.
"""

import io
import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
import yaml
from PIL import Image

from fmcycle import artifact
from fmcycle.build import build
from fmcycle.door.compose import compose
from fmcycle.engine.classifier import Classifier
from fmcycle.engine.diffusion import Diffusion
from fmcycle.engine.embedding import Embedding
from fmcycle.engine.pixel import Pixel
from fmcycle.stage.perform import perform

ROOT = Path(__file__).parents[1]
FEW = ["budget.max_steps=2", "budget.global_batch=8", "budget.validate_every=0", "trainer.threads=1"]
DRAWN = ["evaluation.drawn.each=1", "evaluation.drawn.steps=2"]
FAMILIES = {  # experiment: what makes it short, and one request of its kind
    "vit_digits": (["evaluation.accuracy.baseline=0"], lambda folder, png: len(Classifier(folder).classify([png])[0]) == 10),
    "mae_digits": (["evaluation.probe.shots=3"], lambda folder, png: Embedding(folder).embed([png])[0].shape == (1, 96)),
    "ddpm_digits": (DRAWN, lambda folder, png: side(Diffusion(folder).generate_image("7", steps=2)[0]) == 8),
    "dit_digits": (DRAWN, lambda folder, png: side(Diffusion(folder).generate_image("seven", steps=2)[0]) == 8),
    "image_gpt_digits": (["evaluation.bits_per_dimension.limit=4"], lambda folder, png: side(Pixel(folder).generate_image("")[0]) == 8),
}
BARS = {
    "vit_digits": lambda found: found["accuracy"] > 0.8,
    "mae_digits": lambda found: found["probe_accuracy@5"] > found["baseline/pixels_accuracy@5"],
    "ddpm_digits": lambda found: found["drawn_accuracy"] >= 0.8,
    "dit_digits": lambda found: found["drawn_accuracy"] >= 0.8,
    "image_gpt_digits": lambda found: found["bits_per_dimension/high"] < found["baseline/histogram_bits_per_dimension/low"],
}


def side(png: bytes) -> int:
    return Image.open(io.BytesIO(png)).width


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A project in which the digits are collected and curated once, by whichever experiment comes first."""
    made = tmp_path_factory.mktemp("pictures")
    shutil.copytree(ROOT / "conf", made / "conf")
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, made / name)
    (made / "feedback").mkdir()
    (made / "erased.jsonl").touch()
    return made


def loss(model, config: dict) -> float:
    """What the objective says of four held-out rows, its chance drawn from one seed."""
    processor = artifact.load_processor(Path(config["out"]) / "model")
    rows = build(config["data"])("test", processor)
    torch.manual_seed(0)
    with torch.no_grad():
        return float(build(config["objective"])(model, rows.collate([rows[place] for place in range(4)]))["loss"])


@pytest.mark.parametrize("experiment", FAMILIES)
def test_a_few_steps_are_saved_loaded_and_asked(experiment, folder, monkeypatch):
    monkeypatch.chdir(folder)
    saved, save = [], artifact.save_model
    monkeypatch.setattr(artifact, "save_model", lambda model, *rest: saved.append(model) or save(model, *rest))
    short, request = FAMILIES[experiment]
    out = perform(compose([f"experiment={experiment}", *FEW, *short]))
    config = yaml.safe_load((out.parent / "config.yaml").read_text())
    found, processor = artifact.load_model(out / "model")
    assert loss(found, config) == loss(saved[-1].eval(), config)
    metrics = json.loads((out / "metrics.json").read_text())
    for node in config["evaluation"].values():
        again = build(node)(found, processor)
        assert again and again == {name: metrics[name] for name in again}
    assert request(str(out / "model"), pl.read_parquet(config["inputs"]["examples"])["media"][0])


@pytest.mark.prove
@pytest.mark.parametrize("experiment", BARS)
def test_an_experiment_reaches_what_its_head_says(experiment, folder, monkeypatch, fmcycle):
    monkeypatch.chdir(folder)
    done = fmcycle(f"experiment={experiment}", module="train", env={"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"})
    assert done.returncode == 0, done.stderr
    found = json.loads((Path(done.stdout.split()[-1]) / "metrics.json").read_text())
    assert BARS[experiment](found), found
