"""Models of pictures, each by its experiment: a few steps through the real stages, saved, loaded again with the same outputs, and asked.

The proofs run each at its stated size and hold it against its bar.
"""

import io
from pathlib import Path

import polars as pl
import pytest
from experiments import FEW, project, saved_and_loaded, train
from PIL import Image

from fmcycle.engine.classifier import Classifier
from fmcycle.engine.diffusion import Diffusion
from fmcycle.engine.embedding import Embedding
from fmcycle.engine.pixel import Pixel

DIGITS = ["collection=digits", "inputs.examples=experiment:curate_digits/examples.parquet", "processor.size=16"]  # emoji need a network
TWO = ["processor.vocab_size=320", "data.where.label=['0','1']"]
PROBED = ["evaluation.probe.shots=3", "evaluation.probe.patches=false"]  # few features: regression on all patches is what takes time
DRAWN = ["evaluation.generated_images.each=1", "evaluation.generated_images.steps=2"]
FAMILIES = {  # experiment: what makes it short, and one request of its kind
    "vit_digits": (["evaluation.accuracy.baseline=0"], lambda folder, png: len(Classifier(folder).classify([png])[0]) == 10),
    "mae_digits": (PROBED, lambda folder, png: Embedding(folder).embed([png])[0].shape == (1, 96)),
    "mae_emoji": ([*DIGITS, *PROBED], lambda folder, png: Embedding(folder).embed([png])[0].shape == (1, 96)),
    "ddpm_digits": (DRAWN, lambda folder, png: side(Diffusion(folder).generate_image("7", steps=2)[0]) == 8),
    "dit_digits": (DRAWN, lambda folder, png: side(Diffusion(folder).generate_image("seven", steps=2)[0]) == 8),
    "dit_emoji": ([*DIGITS, *DRAWN, *TWO], lambda folder, png: side(Diffusion(folder).generate_image("one", steps=2)[0]) == 16),
    "image_gpt_digits": (["evaluation.bits_per_dimension.limit=4"], lambda folder, png: side(Pixel(folder).generate_image("")[0]) == 8),
}
BARS = {
    "vit_digits": lambda found: found["accuracy"] > 0.8,
    "mae_digits": lambda found: found["probe_accuracy@5"] > found["baseline/pixels_accuracy@5"],
    "mae_emoji": lambda found: found["probe_gain@5/low"] > 0,
    "ddpm_digits": lambda found: found["drawn_accuracy"] >= 0.8,
    "dit_digits": lambda found: found["drawn_accuracy"] >= 0.8,
    "dit_emoji": lambda found: found["drawn_accuracy/low"] > 1 / 3,  # three kinds
    "image_gpt_digits": lambda found: found["bits_per_dimension/high"] < found["baseline/histogram_bits_per_dimension/low"],
}


def side(png: bytes) -> int:
    return Image.open(io.BytesIO(png)).width


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A project in which the digits are collected and curated once, by whichever experiment comes first."""
    return project(tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("experiment", FAMILIES)
def test_a_few_steps_are_saved_loaded_and_asked(experiment, folder, monkeypatch):
    monkeypatch.chdir(folder)
    short, request = FAMILIES[experiment]
    out, config = saved_and_loaded([f"experiment={experiment}", *FEW, *short], monkeypatch)
    assert request(str(out / "model"), pl.read_parquet(config["inputs"]["examples"])["media"][0])


@pytest.mark.prove
@pytest.mark.parametrize("experiment", BARS)
def test_an_experiment_reaches_what_its_head_says(experiment, folder, monkeypatch, fmcycle):
    monkeypatch.chdir(folder)
    found = train(fmcycle, f"experiment={experiment}")
    assert BARS[experiment](found), found
