"""Every optimizer in conf/optimizer holds each trained weight once, and its step moves them toward a lower loss."""

from pathlib import Path

import pytest
import torch
import yaml

from fmcycle.config import example
from fmcycle.config.build import build

FILES = sorted((Path(__file__).parents[2] / "conf/optimizer").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_trained_weight_is_held_once_and_steps_lower_the_loss(file):
    node = yaml.safe_load(file.read_text())
    torch.manual_seed(0)
    model = example.of("optimizer", node["_target_"])["model"]
    frozen = model.model.layers[0].mlp.up_proj.weight.requires_grad_(False)
    kept = frozen.clone()
    optimizer = build(node)(model)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    assert all(group["lr"] > 0 for group in optimizer.param_groups)
    ids = example.tokens()["input_ids"]
    losses = []
    for _ in range(4):
        loss = model(input_ids=ids, labels=ids).loss
        losses.append(float(loss))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] and torch.equal(frozen, kept)
