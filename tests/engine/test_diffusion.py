"""Pictures by diffusion: a seed repeats, a class is asked for by its name, and the picture is what the pipeline samples."""

import io

import families
import numpy as np
import pytest
import torch
from PIL import Image

from fmcycle.engine.diffusion import Diffusion
from fmcycle.errors import InputError


def test_a_class_is_drawn_as_the_pipeline_draws_it(engine):
    one = engine("diffusion")
    found = np.asarray(Image.open(io.BytesIO(one.generate_image(" Dog ", seed=5, steps=3, guidance=1.5)[0])), float)
    wanted = one.model.sample(1, {"labels": torch.tensor([1])}, steps=3, guidance=1.5, generator=torch.Generator().manual_seed(5))[0, 0]
    assert one.size == "8x8" and np.abs(found / 127.5 - 1 - wanted.numpy()).max() < 1 / 127


def test_a_seed_repeats_and_another_differs(engine):
    draw = engine("diffusion").generate_image
    assert draw("cat", n=2, seed=1, steps=2) == draw("cat", n=2, seed=1, steps=2) != draw("cat", n=2, seed=2, steps=2)


def test_what_it_does_not_know_is_refused_with_what_it_knows(engine):
    with pytest.raises(InputError, match="cat, dog, owl"):
        engine("diffusion").generate_image("horse")


def test_a_text_conditions_and_a_long_one_is_refused(tmp_path):
    one = Diffusion(str(families.save("text_diffusion", tmp_path / "model")), steps=2)
    assert one.generate_image("the bucket", seed=1) != one.generate_image("the owner", seed=1)
    with pytest.raises(InputError, match="this model reads 512"):
        one.generate_image("bucket " * 600)
