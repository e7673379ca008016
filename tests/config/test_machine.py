"""A stage computes where its trainer says, which changes nothing of what it is but the precision of a budget."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import elsewhere
import numpy as np
import pytest
import torch
import trained
import yaml

from fmcycle.artifact import provenance
from fmcycle.compress import methods
from fmcycle.config.compose import compose
from fmcycle.config.groups import stage_groups, stages
from fmcycle.config.machine import said
from fmcycle.config.selection import pipeline, selection
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.runner import inputs
from fmcycle.runner import run as perform
from fmcycle.runner.record import differs
from fmcycle.stage import compress, evaluate, select, train
from fmcycle.training.trainer import TrainerConfig

WITH = [stage for stage in stages() if "trainer" in stage_groups(stage)]


def without_precision(section: dict) -> dict:
    """A copy in which no budget says in what it is computed."""
    return json.loads(json.dumps(section), object_hook=lambda node: {key: value for key, value in node.items() if key != "precision"})


@pytest.mark.parametrize("stage", WITH)
def test_another_machine_is_the_same_section_but_for_the_precision_of_a_budget(stage):
    cpu, gpu = (compose([f"stage={stage}", f"trainer={name}"]) for name in ("cpu", "gpu"))
    assert gpu.machine["trainer"]["precision"] == "bf16-mixed" and "trainer" not in gpu.section
    assert cpu.section == gpu.tracked == compose([f"stage={stage}"]).section
    assert without_precision(cpu.section) == without_precision(gpu.section)
    budgets = ["budget"] if "budget" in cpu.section else [f"candidates.{name}.budget" for name in cpu.section.get("candidates", {})]
    if not budgets:
        assert cpu.section == gpu.section and provenance.identity(cpu.section, "", {}) == provenance.identity(gpu.section, "", {})
    for key in budgets:
        here, there = cpu.section, gpu.section
        for name in key.split("."):
            here, there = here[name], there[name]
        assert (here["precision"], there["precision"]) == ("32-true", "bf16-mixed")
        pinned = compose([f"stage={stage}", "trainer=gpu", f"{key}.precision=32-true"])
        assert pinned.tracked == pinned.section or len(budgets) > 1


def test_what_differs_of_a_run_names_the_precision():
    assert differs(compose(["stage=finetune", "trainer=gpu"])) == {"budget.precision": "bf16-mixed"}
    assert not differs(compose(["stage=finetune", "trainer.compile=true"]))


def test_evaluate_measure_and_compress_are_among_them():
    assert {"evaluate", "evaluate_on", "compress", "select", "pretrain", "finetune", "align", "continue_pretrain"} == set(WITH)


def test_a_trainer_of_a_user_need_not_name_a_precision(project):
    (project / "conf/trainer/mine.yaml").write_text("_target_: fmcycle.training.trainer.TrainerConfig\naccelerator: auto\n")
    assert compose(["stage=finetune", "trainer=mine"]).section == compose(["stage=finetune"]).section


def test_the_pipeline_is_the_same_on_every_machine(project):
    (project / "artifacts").mkdir()
    (project / "artifacts/config.yaml").write_text(yaml.safe_dump(pipeline()))
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {key: {"cmd": "fmcycle STAGE"} for key in pipeline()}}))
    (project / ".dvc").mkdir()
    own = ["stage=pretrain", *selection("pretrain"), "base=require"]
    for overrides in ([], ["trainer=gpu"], ["trainer.precision=bf16-mixed"], ["trainer=gpu", "trainer.compile=false"]):
        composed = compose([*own, *overrides])
        perform._same_as_pipeline(composed, Path("artifacts/pretrain"))
        assert inputs.in_pipeline(composed)
    chosen = yaml.safe_load((project / "params.yaml").read_text())
    (project / "params.yaml").write_text(yaml.safe_dump(chosen | {"trainer": "gpu"}))
    assert pipeline() == yaml.safe_load((project / "artifacts/config.yaml").read_text())
    assert inputs.in_pipeline(compose(own))
    other = compose([*own, "trainer=gpu", "budget.precision=bf16-true"])
    with pytest.raises(InputError, match="does not hold this pretrain section"):
        perform._same_as_pipeline(other, Path("artifacts/pretrain"))
    assert not inputs.in_pipeline(other)


def test_what_an_input_is_made_on_is_the_machine_of_the_stage_or_of_local_yaml(project):
    below = compose(["stage=evaluate_on", "inputs.model=experiment:vit_digits/model", "trainer=gpu", "trainer.compile=false"])
    made = inputs.upstream("experiment:vit_digits", below)
    assert made.machine["trainer"]["accelerator"] == "gpu" and not made.machine["trainer"]["compile"]
    package = compose(["stage=package", "inputs.model=experiment:vit_digits/model"])  # it has no trainer itself
    assert inputs.upstream("experiment:vit_digits", package).machine["trainer"]["accelerator"] == "cpu"
    (project / "local.yaml").write_text("trainer: gpu\ntrainer.workers: 1\n")
    for reference in ("experiment:vit_digits", "stage:compress"):
        trainer = inputs.upstream(reference, package).machine["trainer"]
        assert (trainer["accelerator"], trainer["workers"]) == ("gpu", 1)


@pytest.mark.parametrize("stage", ["evaluate", "finetune"])
def test_a_gpu_that_is_not_there_is_refused_before_any_work(project, stage, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.mps, "device_count", lambda: 0)
    with pytest.raises(InputError, match="choose trainer=cpu"):
        perform.perform(compose([f"stage={stage}", "trainer=gpu"]))
    assert not (project / "runs").exists()


def test_fp32_on_a_gpu_is_said_with_the_key_that_changes_it(monkeypatch):
    def of(stage, *overrides):
        composed = compose([f"stage={stage}", "trainer.accelerator=auto", *overrides])
        return said(
            TrainerConfig(**{key: value for key, value in composed.machine["trainer"].items() if key != "_target_"}),
            composed.section,
            composed.written,
        )

    assert not of("finetune")
    monkeypatch.setattr(TrainerConfig, "device", SimpleNamespace(type="cuda"))
    for stage in ("finetune", "select", "evaluate", "evaluate_on", "compress"):
        assert "trainer.precision=bf16-mixed changes it" in of(stage), stage
        assert not of(stage, "trainer.precision=bf16-mixed")
    assert "budget.precision=bf16-mixed changes it" in of("finetune", "trainer=gpu", "budget.precision=32-true")
    one = of("select", "trainer=gpu", "candidates.tune_on.budget.precision=32-true")
    assert "candidates.tune_on.budget.precision=bf16-mixed changes it" in one and "part of the result's identity" in one
    assert "+budget.precision=bf16-mixed" in of("finetune", "trainer=gpu", "~budget.precision")


def nodes(material, **fields) -> dict:
    common = {"instructions": str(material / "instructions.parquet"), "per_task": 3, "max_new_tokens": 6}
    bits = {"_target_": "fmcycle.evaluation.bits_per_byte.BitsPerByte", "documents": str(material / "documents.parquet"), "limit": 6}
    return {"instruction": {"_target_": "fmcycle.evaluation.instruction.Instruction", **common, **fields}, "bits": bits}


def everywhere(monkeypatch, run) -> tuple:
    """(what `run(name)` gives here, what it gives elsewhere, the devices that models were put on there)."""
    here, place, put = run("here"), model_store.place, []
    with elsewhere.device() as device, monkeypatch.context() as patch:
        patch.setattr(TrainerConfig, "device", device)
        patch.setattr(
            model_store, "place", lambda model, *where: put.append(where[0] and torch.device(where[0]).type) or place(model, *where)
        )
        return here, run("there"), put


def test_evaluate_and_compress_find_elsewhere_what_they_find_here(material, tmp_path, monkeypatch):
    model, documents = str(material / "model"), str(material / "documents.parquet")

    def measured(name):
        sample = {"_target_": "fmcycle.evaluation.sample.Sample", "instructions": str(material / "instructions.parquet")}
        given = {"inputs": {"model": model}, "out": str(tmp_path / name), "runs": str(tmp_path / f"{name}-runs")}
        return evaluate.run(SimpleNamespace(**given, evaluation=nodes(material, reference=model), sample=sample, contamination=None))

    def halved(source, folder):
        found, processor = model_store.load_model(source)
        model_store.save_model(found.half(), processor, folder)

    def compressed(name):
        fidelity = {"_target_": "fmcycle.evaluation.fidelity.Fidelity", "documents": documents, "reference": model, "limit": 4}
        node = {"_target_": "fmcycle.compress.methods.none", "_partial_": True}
        given = {"inputs": {"model": model}, "out": str(tmp_path / f"half-{name}"), "compress": node, "evaluation": {"fidelity": fidelity}}
        return compress.run(SimpleNamespace(**given))

    monkeypatch.setattr(methods, "none", halved)
    for run, models in ((measured, ["elsewhere"] * 2), (compressed, [None, *["elsewhere"] * 2])):  # each beside its reference
        here, there, put = everywhere(monkeypatch, run)
        assert there == pytest.approx(here, abs=1e-3) and put == models


def aligning(material, folder, **budget) -> SimpleNamespace:
    """A section of align whose model is evaluated."""
    return trained.aligning(material, folder, budget=budget, evaluation=nodes(material))


def test_training_annotates_and_measures_where_the_machine_says(material, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here, there, put = everywhere(monkeypatch, lambda name: train.run(aligning(material, tmp_path / name)))
    assert there == pytest.approx(here, abs=2e-3)
    assert put.count(None) == 1 and len(put) == 6  # the columns and what is measured run elsewhere; the base that is trained does not
    kept = [np.frombuffer(file.read_bytes(), np.float32) for file in sorted(Path(".cache/annotate").iterdir())]
    assert len(kept) == 8  # two columns of train and validation, kept apart for each device
    sizes = sorted(kept, key=lambda values: (len(values), values[0]))
    for one, other in zip(sizes[::2], sizes[1::2], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_the_columns_of_mixed_precision_are_those_of_a_training_step(material, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train.run(aligning(material, tmp_path / "mixed", precision="bf16-mixed"))
    losses = [json.loads(line)["loss"] for line in (tmp_path / "mixed/runs/loss.jsonl").read_text().splitlines()]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)  # the policy is the reference yet
    assert len(list(Path(".cache/annotate").iterdir())) == 4
    train.run(aligning(material, tmp_path / "full"))
    assert len(list(Path(".cache/annotate").iterdir())) == 8


def test_select_judges_where_the_machine_says(material, tmp_path, monkeypatch):
    instruction = nodes(material)["instruction"]

    def run(name):
        candidate = {"inputs": {"model": str(material / "model")}} | {
            key: value
            for key, value in vars(aligning(material, tmp_path / f"unused-{name}")).items()
            if key in ("objective", "strategy", "data", "optimizer", "budget")
        }
        return select.run(
            SimpleNamespace(
                inputs={},
                out=str(tmp_path / name),
                runs=str(tmp_path / f"runs-{name}"),
                processor={},
                model={"_target_": "transformers.LlamaForCausalLM"},
                trainer={"_target_": "fmcycle.training.trainer.TrainerConfig", "threads": 1},
                entrants={"before": str(material / "model")},
                candidates={"again": candidate},
                space={"optimizer": {"lr": {"_target_": "fmcycle.search.space.Range", "low": 1e-4, "high": 1e-3}}},
                judge={"instruction": instruction | {"split": "validation", "half": "first"}},
                confirm={"instruction": instruction | {"split": "validation", "half": "second"}},
                score={"rouge_l": 1.0},
                incumbent="before",
                trials=1,
                seed=0,
                margin=0.0,
            )
        )

    monkeypatch.chdir(tmp_path)
    here, there, put = everywhere(monkeypatch, run)
    assert there == pytest.approx(here, abs=1e-3) and put.count("elsewhere") >= 4  # judged twice, confirmed
    assert [file.name for file in tmp_path.glob("runs-*/entrant-*")] and (
        tmp_path / "runs-there/entrant-before-elsewhere-float32.json"
    ).is_file()
