"""processor, tokens, pretrain, finetune and align, one after the other, on a tiny input."""

import json
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.stage import processor, tokens, train
from fmcycle.training import recipe

TINY = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 128}
MODEL = {"_target_": "transformers.LlamaForCausalLM", "vocab_size": 400, "tie_word_embeddings": True, **TINY}
CHAT = "fmcycle.processor.chat"
LORA = {"_target_": "peft.get_peft_model", "_partial_": True}
LORA["peft_config"] = {"_target_": "peft.LoraConfig", "r": 4, "target_modules": "all-linear"}


def config(folder: Path, stage: str, inputs: dict, **parts) -> SimpleNamespace:
    (folder / f"runs/{stage}").mkdir(parents=True, exist_ok=True)
    common = {
        "model": MODEL,
        "optimizer": {"_target_": "fmcycle.optimizer.adamw.adamw", "_partial_": True, "lr": 0.003},
        "budget": {"_target_": "fmcycle.training.budget.Budget", "max_steps": 6, "global_batch": 4},
        "trainer": {"_target_": "fmcycle.training.trainer.TrainerConfig", "threads": 1, "checkpoint_every": 3, "sample_every": 3},
        "logger": {},
        "evaluation": {},
    }
    paths = {name: str(path) for name, path in inputs.items()}
    return SimpleNamespace(**common | {"inputs": paths, "out": str(folder / stage), "runs": str(folder / f"runs/{stage}")} | parts)


def lifecycle(folder: Path, material: Path) -> dict:
    node = {"_target_": "fmcycle.processor.bpe.bpe", "_partial_": True, "vocab_size": 400}
    documents = material / "documents.parquet"
    processor.run(SimpleNamespace(inputs={"documents": documents}, out=str(folder / "processor"), processor=node))
    tokens.run(
        SimpleNamespace(inputs={"documents": documents, "processor": folder / "processor"}, out=str(folder / "tokens"), max_tokens=2**27)
    )
    windows = {"_target_": "fmcycle.data.window.Windows", "tokens": str(folder / "tokens"), "max_length": 32}
    full = {"_target_": "fmcycle.strategy.full.full", "_partial_": True}
    inputs = {"tokens": folder / "tokens", "processor": folder / "processor"}
    next_token = {"_target_": "fmcycle.objective.next_token.NextToken"}
    found = {"pretrain": train.run(config(folder, "pretrain", inputs, objective=next_token, strategy=full, data=windows))}
    table = {"_target_": "fmcycle.data.table.Table", "path": str(material / "instructions.parquet"), "max_length": 128}
    table["format"] = {"_target_": f"{CHAT}.instruction", "_partial_": True}
    inputs = {"model": folder / "pretrain/model", "instructions": material / "instructions.parquet"}
    sft = {"_target_": "fmcycle.objective.sft.SFT"}
    found["finetune"] = train.run(config(folder, "finetune", inputs, objective=sft, strategy=LORA, data=table))
    table = table | {"path": str(material / "preferences.parquet"), "format": {"_target_": f"{CHAT}.preference", "_partial_": True}}
    inputs = {"model": folder / "finetune/model", "preferences": material / "preferences.parquet"}
    dpo = {"_target_": "fmcycle.objective.dpo.DPO"}
    found["align"] = train.run(config(folder, "align", inputs, objective=dpo, strategy=LORA, data=table))
    return found


def test_the_five_stages_run_and_the_same_inputs_give_the_same_bytes(tmp_path, material, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = lifecycle(tmp_path / "first", material), lifecycle(tmp_path / "second", material)
    assert first == second
    assert first["align"]["validation_loss"] < 0.7
    for stage in ("processor", "tokens", "pretrain/model", "finetune/model", "finetune/adapter", "align/model"):
        assert artifact.verify(tmp_path / "first" / stage) == artifact.verify(tmp_path / "second" / stage), stage
    curve = json.loads((tmp_path / "first/pretrain/curve.json").read_text())
    assert curve["step"] == [1, 2, 3, 4, 5, 6] and curve["validation_step"] == [6]
    assert not list((tmp_path / "first/runs/pretrain").glob("step-*"))
    with pytest.raises(InputError, match=r"you asked for model\.hidden_size=64"):
        inputs = {"model": tmp_path / "first/pretrain/model", "instructions": material / "instructions.parquet"}
        table = {"_target_": "fmcycle.data.table.Table", "path": inputs["instructions"], "max_length": 128}
        table["format"] = {"_target_": f"{CHAT}.instruction", "_partial_": True}
        objective = {"_target_": "fmcycle.objective.sft.SFT"}
        train.run(config(tmp_path, "wrong", inputs, objective=objective, strategy=LORA, data=table, model=MODEL | {"hidden_size": 64}))


def test_documents_without_a_train_split_are_refused(tmp_path, material):
    processor_node = {"_target_": "fmcycle.processor.bpe.bpe", "_partial_": True, "vocab_size": 400}
    pl.read_parquet(material / "documents.parquet").filter(pl.col("split") != "train").write_parquet(tmp_path / "documents.parquet")
    inputs = {"documents": tmp_path / "documents.parquet", "processor": material / "processor"}
    with pytest.raises(InputError, match="no text"):
        processor.run(SimpleNamespace(inputs=inputs, out=str(tmp_path / "processor"), processor=processor_node))
    with pytest.raises(InputError, match="no document has split `train`"):
        tokens.run(SimpleNamespace(inputs=inputs, out=str(tmp_path / "tokens"), max_tokens=100))
    assert not (tmp_path / "tokens").exists()


def test_tokens_of_another_tokenizer_are_refused(tmp_path, material):
    node, documents = {"_target_": "fmcycle.processor.bpe.bpe", "_partial_": True, "vocab_size": 300}, material / "documents.parquet"
    processor.run(SimpleNamespace(inputs={"documents": documents}, out=str(tmp_path / "other"), processor=node))
    inputs = {"documents": documents, "processor": tmp_path / "other"}
    tokens.run(SimpleNamespace(inputs=inputs, out=str(tmp_path / "tokens"), max_tokens=2**27))
    given = {"tokens": str(tmp_path / "tokens"), "processor": str(tmp_path / "other"), "documents": None}
    assert recipe.of_one_tokenizer(given) == given["processor"]
    with pytest.raises(InputError, match=r"inputs\.tokens: .* was encoded by another tokenizer .*fmcycle tokens inputs\.processor="):
        recipe.of_one_tokenizer(given | {"model": str(material / "model")})
