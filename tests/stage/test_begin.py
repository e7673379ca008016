"""A run that begins with weights that are there: written as they are in no steps, then fine-tuned by the stages that always do."""

import json
from pathlib import Path
from types import SimpleNamespace

import gguf_file
import pytest
import torch

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.stage import processor, train

FULL = {"_target_": "fmcycle.strategy.full.full", "_partial_": True}
LORA = {"_target_": "peft.get_peft_model", "_partial_": True}
LORA["peft_config"] = {"_target_": "peft.LoraConfig", "r": 4, "target_modules": "all-linear"}


def config(folder: Path, stage: str, model: dict, inputs: dict, steps: int, **parts) -> SimpleNamespace:
    (folder / f"runs/{stage}").mkdir(parents=True, exist_ok=True)
    common = {
        "model": model,
        "optimizer": {"_target_": "fmcycle.optimizer.adamw.adamw", "_partial_": True, "lr": 0.003},
        "budget": {"_target_": "fmcycle.training.budget.Budget", "max_steps": steps, "global_batch": 4},
        "trainer": {"_target_": "fmcycle.training.trainer.TrainerConfig", "threads": 1, "sample_every": 0},
        "licence": {"_target_": "fmcycle.licence.policy.Policy", "allow": ["permissive", "unknown"]},
        "logger": {},
        "evaluation": {},
    }
    paths = {name: str(path) for name, path in inputs.items()}
    return SimpleNamespace(**common | {"inputs": paths, "out": str(folder / stage), "runs": str(folder / f"runs/{stage}")} | parts)


@pytest.fixture(scope="module")
def started(material, tmp_path_factory):
    """(folder, node of the model): processor and pretrain made of a GGUF file."""
    folder = tmp_path_factory.mktemp("started")
    file = gguf_file.write(folder / "tiny.gguf", *model_store.load_model(material / "model"), licence="mit", cut="gpt-2")
    node = {"_target_": "fmcycle.processor.pretrained.pretrained", "_partial_": True, "path": str(file)}
    inputs = {"documents": material / "documents.parquet"}
    processor.run(SimpleNamespace(inputs=inputs, out=str(folder / "processor"), processor=node))
    model = {"_target_": "fmcycle.model.pretrained.pretrained", "path": str(file), "architecture": "LlamaForCausalLM", "licence": "MIT"}
    given = {"processor": folder / "processor"}
    bits = {"_target_": "fmcycle.evaluation.bits_per_byte.BitsPerByte", "documents": str(material / "documents.parquet"), "limit": 5}
    metrics = train.run(config(folder, "pretrain", model, given, 0, objective={}, strategy=FULL, data={}, evaluation={"bits": bits}))
    return folder, model, metrics


def test_no_steps_write_the_weights_as_they_are_and_measure_them(started, material):
    folder, _, metrics = started
    assert metrics["steps"] == 0 and "train_loss" not in metrics and 0 < metrics["bits_per_byte"] < 8
    artifact.verify(folder / "pretrain/model")
    assert json.loads((folder / "pretrain/curve.json").read_text())["step"] == []
    (found, spoken), (given, _) = (model_store.load_model(path / "model") for path in (folder / "pretrain", material))
    ids = torch.arange(20)[None]
    assert torch.equal(found(input_ids=ids).logits, given(input_ids=ids).logits)
    assert found.generation_config.eos_token_id == sorted({spoken.eos_token_id, spoken.convert_tokens_to_ids("<|end|>")})


def test_it_is_fine_tuned_with_no_pretraining(started, material, monkeypatch):
    folder, model, _ = started
    monkeypatch.chdir(folder)
    table = {"_target_": "fmcycle.data.table.Table", "path": str(material / "instructions.parquet"), "max_length": 128}
    table["format"] = {"_target_": "fmcycle.processor.chat.instruction", "_partial_": True}
    inputs = {"model": folder / "pretrain/model", "instructions": material / "instructions.parquet"}
    sft = {"_target_": "fmcycle.objective.sft.SFT"}
    train.run(config(folder, "finetune", model, inputs, 6, objective=sft, strategy=LORA, data=table))
    before, after = (model_store.load_model(folder / stage / "model")[0] for stage in ("pretrain", "finetune"))
    ids = torch.arange(20)[None]
    assert not torch.equal(before(input_ids=ids).logits, after(input_ids=ids).logits)
    assert json.loads((folder / "finetune/curve.json").read_text())["step"] == [1, 2, 3, 4, 5, 6]


def test_weights_under_a_licence_that_is_not_allowed_are_refused_before_they_are_read(started):
    folder, model, _ = started
    with pytest.raises(InputError, match=r"model: its weights are under CC-BY-NC-4.0 \(non-commercial\)"):
        wrong = model | {"licence": "CC-BY-NC-4.0"}
        train.run(config(folder, "wrong", wrong, {"processor": folder / "processor"}, 0, objective={}, strategy=FULL, data={}))
    with pytest.raises(InputError, match=r"says that its licence is mit, model.licence is Apache-2.0"):
        wrong = model | {"licence": "Apache-2.0"}
        train.run(config(folder, "wrong", wrong, {"processor": folder / "processor"}, 0, objective={}, strategy=FULL, data={}))
