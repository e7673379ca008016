"""What the tests of the families share: a project to run experiments in, a short run that is saved and loaded again, a whole run."""

import json
import os
import shutil
from pathlib import Path

import torch
import yaml

from fmcycle.config.build import build
from fmcycle.config.compose import compose
from fmcycle.model import store as model_store
from fmcycle.processor import store
from fmcycle.runner.run import perform

ROOT = Path(__file__).parents[2]
FEW = ["budget.max_steps=2", "budget.global_batch=8", "budget.validate_every=0", "trainer.threads=1"]


def project(folder: Path) -> Path:
    """`folder` with the repository's choices, and nothing collected or made yet."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "feedback").mkdir()
    (folder / "erased.jsonl").touch()
    return folder


def loss(model, config: dict, split: str) -> float:
    """What the objective says of held-out rows, its chance drawn from one seed."""
    rows = build(config["data"])(split, store.load_processor(Path(config["out"]) / "model"))
    torch.manual_seed(0)
    with torch.no_grad():
        return float(build(config["objective"])(model, rows.collate([rows[place] for place in range(min(4, len(rows)))]))["loss"])


def saved_and_loaded(overrides: list[str], monkeypatch, split: str = "test") -> tuple[Path, dict]:
    """(out, config) of a run of `overrides`: the model in its folder computes and measures what the one in memory did."""
    kept, save = [], model_store.save_model
    monkeypatch.setattr(model_store, "save_model", lambda model, *rest: kept.append(model) or save(model, *rest))
    out = perform(compose(overrides))
    config = yaml.safe_load((out.parent / "config.yaml").read_text())
    found, processor = model_store.load_model(out / "model")
    assert loss(found, config, split) == loss(kept[-1].eval(), config, split)
    metrics = json.loads((out / "metrics.json").read_text())
    for node in config.get("evaluation", {}).values():
        again = build(node)(found, processor)
        assert again and again == {name: metrics[name] for name in again}
    return out, config


def train(fmcycle, *overrides: str) -> dict:
    """The metrics of `python train.py OVERRIDES`, run to its end."""
    done = fmcycle(*overrides, module="train", env={"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"})
    assert done.returncode == 0, done.stderr
    return json.loads((Path(done.stdout.split()[-1]) / "metrics.json").read_text())
