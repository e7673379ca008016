"""Every method in conf/compress writes a model folder that loads, answers almost as the original does, and is the same each time."""

from pathlib import Path

import pytest
import torch
import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.config import example
from fmcycle.config.build import build
from fmcycle.model import store as model_store

FILES = sorted((Path(__file__).parents[2] / "conf/compress").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_folder_is_a_model_that_answers_as_before(file, tmp_path):
    node = yaml.safe_load(file.read_text())
    torch.manual_seed(0)
    sample = example.of("compress", node["_target_"])
    source, folder = tmp_path / "source", tmp_path / "model"
    model_store.save_model(sample["model"].eval(), sample["processor"], source)
    before = artifact.verify(source)
    assert build(node)(source, folder) is None
    assert artifact.verify(source) == before, "the original stays as it is"
    model, processor = model_store.load_model(folder)
    text = example.TEXTS[0][1]
    assert processor(text)["input_ids"] == sample["processor"](text)["input_ids"]
    assert model_store.describe(folder)["template"] == model_store.describe(source)["template"]
    ids = torch.arange(4, 20)[None]
    with torch.no_grad():
        wanted, found = (each(input_ids=ids).logits.log_softmax(-1) for each in (sample["model"], model))
    assert (wanted.exp() * (wanted - found)).sum(-1).max() < 0.01  # nats
    build(node)(source, tmp_path / "again")
    assert artifact.verify(tmp_path / "again") == artifact.verify(folder)
