"""An objective declares its columns: the stage computes these and no other, and one that nothing gives is refused before any work."""

import json
import math
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trained

from fmcycle.config import build, columns, compose
from fmcycle.cost import plan
from fmcycle.errors import ConfigError, InputError
from fmcycle.objective.dpo import DPO
from fmcycle.objective.sft import SFT
from fmcycle.stage import train

OWN = '''
from dataclasses import dataclass

import torch

from fmcycle.objective.dpo import DPO, logps
from fmcycle.objective.sft import SFT


class Plain:
    """Reads pairs and declares nothing."""

    def __call__(self, model, batch):
        assert set(batch) == {"chosen", "rejected"} | {"rows"} & set(batch)
        return {"loss": -logps(model, batch["chosen"]).sum(), "count": len(batch["chosen"]["labels"])}


@dataclass
class Own:
    """Has two columns of its own."""

    columns = ("reference", "size")
    reference = staticmethod(lambda model, batch: logps(model, batch["chosen"]))

    @staticmethod
    def size(model, batch):
        return (batch["chosen"]["labels"] != -100).sum(-1)

    def __call__(self, model, batch):
        away = logps(model, batch["chosen"]) - batch["reference"]
        wrong = (batch["size"] - self.size(model, batch)).abs().sum()
        return {"loss": (away**2).sum(), "count": len(away), "away": away.abs().sum(), "wrong": wrong}


class Heir(DPO):
    """Its columns are its base's."""


class Other(DPO):
    """The same column, computed otherwise."""

    @staticmethod
    def reference_chosen(model, batch):
        return torch.zeros(len(batch["chosen"]["labels"]))


class Lacking(SFT):
    columns = ("score",)


class Word(SFT):
    columns = "score"


class Late(SFT):
    """Its columns are known once it is built."""

    @property
    def columns(self):
        return ("score",)


class Unbound(SFT):
    columns = ("score",)

    def score(self, model, batch):
        return torch.zeros(len(batch["labels"]))
'''


@pytest.fixture
def own(project, monkeypatch):
    """A project whose package `declaring` has objectives."""
    (project / "declaring").mkdir()
    (project / "declaring/__init__.py").write_text("")
    (project / "declaring/own.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setattr(build, "user_packages", lambda: ("declaring",))
    return project


def section(material, folder, name: str, **data) -> SimpleNamespace:
    """An alignment of the small model toward the objective `name`."""
    return trained.aligning(material, folder, objective={"_target_": name}, data=data, budget={"validation_rows": 4})


def kept() -> list[np.ndarray]:
    return [np.frombuffer(file.read_bytes(), np.float32) for file in sorted(Path(".cache/annotate").glob("*"))]


def test_nothing_is_computed_for_an_objective_that_declares_nothing(material, own):
    train.run(section(material, own / "plain", "declaring.own.Plain"))
    assert not kept()


def test_the_columns_of_a_users_objective_are_computed_and_read(material, own):
    train.run(section(material, own / "own", "declaring.own.Own"))
    assert len(kept()) == 4  # two columns, for training and for validation
    first = json.loads((own / "own/runs/loss.jsonl").read_text().splitlines()[0])
    assert first["away"] == pytest.approx(0, abs=1e-3) and first["wrong"] == 0  # the policy is the reference yet


def test_an_heir_has_the_columns_of_its_base_and_what_computes_otherwise_is_kept_apart(material, own):
    train.run(section(material, own / "heir", "declaring.own.Heir"))
    first = json.loads((own / "heir/runs/loss.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-4) and len(kept()) == 4
    train.run(section(material, own / "other", "declaring.own.Other"))
    assert len(kept()) == 8 and sum(not values.any() for values in kept()) == 2


def test_rows_that_take_no_column_are_refused(material, own):
    cfg, rows = section(material, own / "packed", "fmcycle.objective.dpo.DPO"), plan.Rows(8)
    recipe = train.recipe_of(cfg, None, {"train": rows, "validation": rows})
    with pytest.raises(InputError, match="data: its rows take no column, and the objective needs reference_chosen"):
        train.annotate(cfg, recipe, columns.declared(DPO()))


def test_an_objective_that_reads_a_column_that_is_not_there_is_refused_in_a_sentence(material, own):
    cfg = section(material, own / "sft", "fmcycle.objective.sft.SFT")
    told = "objective: reads the column input_ids, and the rows of data have chosen, rejected; choose data that has it"
    with pytest.raises(InputError, match=told):
        train.run(cfg)
    assert not list((own / "sft/runs").glob("step-*")) and not kept()


WRONG = {
    "Lacking": "declaring.own.Lacking needs the column score, which nothing computes: give the class a static method score(model, batch)",
    "Unbound": "declaring.own.Unbound needs the column score, which nothing computes: give the class a static method score(model, batch)",
    "Word": "columns of declaring.own.Word must be a tuple of names, such as (\"reference_chosen\",), not 'score'",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_column_that_nothing_can_give_is_refused_before_any_work(own, name):
    (own / "conf/objective/mine.yaml").write_text(f"_target_: declaring.own.{name}\n")
    before, begin = sorted(own.rglob("*")), time.monotonic()
    with pytest.raises(ConfigError) as error:
        compose.compose(["stage=finetune", "objective=mine"])
    assert time.monotonic() - begin < 20 and sorted(own.rglob("*")) == before
    assert any(line.startswith(f"objective: {WRONG[name]}") for line in error.value.problems), error.value.problems
    with pytest.raises(InputError, match=r"objective: .*score"):
        columns.declared(build.build({"_target_": f"declaring.own.{name}"}))


def test_a_candidate_of_a_search_is_looked_at_too(own):
    (own / "conf/objective/mine.yaml").write_text("_target_: declaring.own.Lacking\n")
    with pytest.raises(ConfigError, match=r"candidates\.tune_on\.objective: declaring\.own\.Lacking needs the column score"):
        compose.compose(["stage=select", "objective@candidates.tune_on.objective=mine"])


def test_what_only_the_built_objective_says_is_refused_before_the_data_is_read(material, own):
    (own / "conf/objective/mine.yaml").write_text("_target_: declaring.own.Late\n")
    compose.compose(["stage=finetune", "objective=mine"])
    cfg = section(material, own / "late", "declaring.own.Late", path="not-there.parquet")
    with pytest.raises(InputError, match="objective: Late needs the column score"):
        train.run(cfg)


def test_columns_need_a_model_to_compute_them(project):
    with pytest.raises(ConfigError, match=r"objective: fmcycle\.objective\.dpo\.DPO needs reference_chosen, .* give inputs\.model=FOLDER"):
        compose.compose(["stage=pretrain", "objective=dpo", "data=preferences", "+inputs.preferences=null"])


def test_what_the_source_says_is_what_the_class_says(own):
    for target in (
        "fmcycle.objective.dpo.DPO",
        "declaring.own.Own",
        "declaring.own.Heir",
        "declaring.own.Other",
        "fmcycle.objective.sft.SFT",
    ):
        config = {"objective": {"_target_": target}, "inputs": {"model": None}}
        names = tuple(columns.declared(build.build({"_target_": target})))
        said = columns.problem(config)
        assert (said is None) == (not names) and (not names or f"needs {', '.join(names)}, computed by the model" in said), target
    assert columns.declared(SFT()) == {}
