"""Every evaluation of conf/evaluation gives whole figures of its sample, the same each time, on another device too."""

import json
import math
import re
from pathlib import Path

import elsewhere
import families
import polars as pl
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from fmcycle.config import example
from fmcycle.config.build import build
from fmcycle.model import store as model_store
from fmcycle.processor import multimodal

CONF = Path(__file__).parents[2] / "conf"
CONTENTS = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((CONF / "evaluation").glob("*.yaml"))}
NODES = [(option, name) for option, content in CONTENTS.items() for name in content]
FURTHER = [  # other families than the sample's: (evaluation, family, option of conf/data, keys of it, medium, None: the sample's)
    ("accuracy", "text_classifier", "text_classes", {}, None),
    ("accuracy", "audio_classifier", "audio", {}, families.WAV),
    ("generated_images", "text_diffusion", "captions", {"classes": "label"}, None),
    ("exact_match", "speech", "transcripts", {}, families.WAV),
    ("probe", "image_classifier", "images", {"classes": "label"}, None),
]


def built(option: str, name: str, sample: dict, folder: Path, table: Path):
    """The evaluation `name` of conf/evaluation/OPTION.yaml over the files of its sample, which are written first."""
    model_store.save_model(sample["model"].eval(), sample["processor"], folder)
    pl.DataFrame(sample["rows"]).write_parquet(table)
    data = yaml.safe_load((CONF / f"data/{sample['option']}.yaml").read_text()) if sample["option"] else {}
    content = dict(CONTENTS[option])
    content[name] = {key: value for key, value in content[name].items() if key not in sample["settings"]}
    inputs = {
        key: str(folder if key in ("model", "reference", "unaligned") else table)
        for key in re.findall(r"inputs\.(\w+)", str((content, data)))
    }
    whole = OmegaConf.create({"inputs": inputs, "data": OmegaConf.merge(data, sample["data"]), "evaluation": content})
    return build(OmegaConf.to_container(whole.evaluation[name], resolve=True), **sample["settings"])


def keeps_the_contract(evaluation, folder: Path, monkeypatch) -> None:
    loaded, load = [], model_store.load_model
    monkeypatch.setattr(model_store, "load_model", lambda *where: loaded.append(where[1:]) or load(*where))
    found = evaluation(*model_store.load_model(folder))
    assert any("/" not in key for key in found) and all(math.isfinite(value) for value in found.values()), found
    for key in [key.removesuffix("/n") for key in found if key.endswith("/n")]:
        assert found[f"{key}/low"] <= found[key] <= found[f"{key}/high"] and found[f"{key}/n"] > 0, key
    has_its_baselines(evaluation, found)
    assert json.dumps(evaluation(*model_store.load_model(folder))) == json.dumps(found)
    for kind in (torch.float32, torch.bfloat16):
        with elsewhere.device() as device:
            there = evaluation(*model_store.load_model(folder, device, kind))
        assert torch.device(loaded[-1][0]).type == "elsewhere" and loaded[-1][1] == kind, "a reference model goes where the model is"
        assert there == pytest.approx(found, abs=2e-4) or (kind == torch.bfloat16 and there.keys() == found.keys())
        assert all(there[key] == found[key] for key in found if key.endswith("/n"))


def has_its_baselines(evaluation, found: dict) -> None:
    """It declares its baselines, and a figure is paired with the strongest of them; or it says in a sentence why it has none."""
    declared, given = (
        evaluation.baselines,
        [key for key in found if key.startswith("baseline/") and not key.endswith(("/low", "/high", "/n"))],
    )
    if isinstance(declared, str):
        assert re.fullmatch(r"none: .{20,}", declared)
        return
    assert given and all(key.startswith(tuple(f"baseline/{name}_" for name in declared)) for key in given), (declared, given)
    over = [key for key in found if re.fullmatch(r"[^/]+_(over|under)_baseline", key)]
    assert over and all(f"{key}/low" in found and re.sub("_(over|under)_baseline$", "", key) in found for key in over)


@pytest.mark.parametrize(("option", "name"), NODES)
def test_figures_are_whole_and_the_same_each_time_and_elsewhere(option, name, tmp_path, monkeypatch):
    torch.manual_seed(0)
    sample = example.of("evaluation", CONTENTS[option][name]["_target_"])
    keeps_the_contract(built(option, name, sample, tmp_path / "model", tmp_path / "rows.parquet"), tmp_path / "model", monkeypatch)


@pytest.mark.parametrize(("option", "family", "data", "changed", "medium"), FURTHER, ids=[family for _, family, *_ in FURTHER])
def test_other_families_too(option, family, data, changed, medium, tmp_path, monkeypatch):
    torch.manual_seed(0)
    sample = example.of("evaluation", CONTENTS[option][option]["_target_"])
    model, processor = getattr(families, family)()
    if family == "text_diffusion":
        processor = multimodal.clip([families.TEXT] * 20, size=8, vocab_size=320)
    sample |= {"model": model, "processor": processor, "rows": [row | {"media": medium or row["media"]} for row in sample["rows"]]}
    sample |= {"option": data, "data": changed}
    keeps_the_contract(built(option, option, sample, tmp_path / "model", tmp_path / "rows.parquet"), tmp_path / "model", monkeypatch)
