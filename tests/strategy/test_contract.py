"""Every strategy in conf/strategy takes a model and returns one: the same before the first step, some of its weights trained."""

from pathlib import Path

import pytest
import torch
import yaml

from fmcycle.config import example
from fmcycle.config.build import build
from fmcycle.model.adapter import with_tokens

FILES = sorted((Path(__file__).parents[2] / "conf/strategy").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_model_is_as_it_was_and_something_of_it_moves(file):
    node = yaml.safe_load(file.read_text())
    model = example.of("strategy", node["_target_"])["model"].eval()
    ids = torch.arange(8, 20).view(2, 6)
    before = model(ids).logits
    after = build(with_tokens(node, None))(model).eval()
    assert any(p.requires_grad for p in after.parameters())
    torch.testing.assert_close(after(ids).logits, before)
    after(ids).logits.sum().backward()
    moved = {name for name, p in after.named_parameters() if p.grad is not None}
    assert moved == {name for name, p in after.named_parameters() if p.requires_grad}
