"""Pixel by pixel: the levels that the model was trained on, in the order that the format writes them."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from fmcycle.errors import InputError
from fmcycle.processor.image import levels


def test_a_picture_reads_back_as_the_levels_that_were_drawn(engine):
    one = engine("pixel_decoder")
    content = one.generate_image("", n=2, seed=1)[1]
    drawn = one._write(2, 48, torch.Generator().manual_seed(1))[1]
    assert levels({"media": content}, one.processor, count=4)["input_ids"] == [4, *drawn.tolist()]
    assert Image.open(io.BytesIO(content)).size == (4, 4) and len(np.unique(drawn)) > 1


def test_a_seed_repeats_and_another_differs(engine):
    draw = engine("pixel_decoder").generate_image
    assert draw("", seed=1) == draw(" ", seed=1) != draw("", seed=2)


def test_what_it_does_not_have_is_refused(engine):
    for asked in ({"prompt": "cat"}, {"prompt": "", "steps": 3}, {"prompt": "", "guidance": 2.0}):
        with pytest.raises(InputError):
            engine("pixel_decoder").generate_image(**asked)
