"""package: a candidate is what was evaluated, and the gate says what failed and by how much."""

import contextlib
import json
import shutil
from functools import partial
from types import SimpleNamespace

import pytest
import yaml

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.config import build
from fmcycle.errors import InputError
from fmcycle.evaluation.instruction import Instruction
from fmcycle.evaluation.preference import Preference
from fmcycle.model import store as model_store
from fmcycle.serving.pipeline import guards_digest, guards_of
from fmcycle.serving.probe import ask
from fmcycle.stage import package

ENGINE = {"_target_": "fmcycle.engine.transformers.Transformers", "_partial_": True}
BOUND = {"_target_": "fmcycle.gate.bound.Bound"}
CALLED = """
class Called:
    tasks, takes, processor, max_tokens, positions = ("completion",), ("text",), None, 8, 64

    def __init__(self, folder):
        self.folder = folder

    def warm_up(self): ...
    def room(self, ids): return 8
    def begin(self, ids): return ids
    def __call__(self, requests): yield 0, 1
"""


@pytest.fixture(autouse=True)
def asked_here(monkeypatch):
    """The question that a candidate is asked, in this process: a child imports torch anew; tests/serving has tests of the child."""
    monkeypatch.setattr(package, "probe", ask)


@pytest.fixture
def model_folder(material):
    """model_folder(path, template=): the tiny model, with its own template or another."""

    def make(path, template=""):
        with artifact.create(path) as inside:
            shutil.copytree(material / "model", inside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(artifact.MANIFEST))
            before = (inside / "chat_template.jinja").read_text()
            (inside / "chat_template.jinja").write_text(before + template)
        return path

    return make


@pytest.fixture
def packaged(model_folder):
    """packaged(folder, gate, metrics, template=): the verdict of a package made there."""
    return partial(_packaged, model_folder)


def _packaged(model_folder, tmp_path, gate, metrics, template="", engine=ENGINE, guardrail=None, evaluated=""):
    model = model_folder(tmp_path / "model", template)
    atomic.write_json(tmp_path / "evaluate/metrics.json", metrics)
    record = {"model": artifact.digest(model)} | ({"guardrail": evaluated} if evaluated else {})
    atomic.write_json(tmp_path / "evaluate/evaluated.json", record)
    cfg = SimpleNamespace(
        inputs={"model": str(model), "metrics": str(tmp_path / "evaluate/metrics.json")},
        out=str(tmp_path / "package"),
        gate=gate,
        engine=engine,
        guardrail=guardrail or {"input": [], "output": []},
    )
    assert package.run(cfg) is None
    return json.loads((tmp_path / "package/gate.json").read_text())


def test_a_pass_puts_the_candidate_together(packaged, tmp_path):
    verdict = packaged(tmp_path, {"loss": {**BOUND, "max": 2.0}}, {"loss": 1.5})
    assert verdict["passed"]
    assert artifact.verify(tmp_path / "package/model") == artifact.digest(tmp_path / "model")


def test_a_refusal_says_by_how_much_and_makes_no_candidate(packaged, tmp_path):
    verdict = packaged(tmp_path, {"acc": {**BOUND, "min": 0.5, "of": "low"}}, {"acc": 0.9, "acc/low": 0.375})
    assert not verdict["passed"]
    assert verdict["checks"][0]["misses_by"] == 0.125
    assert not (tmp_path / "package/model").exists()


def test_the_default_gate_refuses_a_tiny_model_by_its_own_figures(packaged, material, assistant, root, tmp_path):
    """Its answers are nonsense, and its loss and its rates were not measured."""
    metrics = Instruction(str(material / "instructions.parquet"), per_task=8, max_new_tokens=8)(*assistant)
    metrics |= Preference(str(material / "preferences.parquet"))(*assistant)
    gate = yaml.safe_load((root / "conf/gate/default.yaml").read_text())
    verdict = packaged(tmp_path, gate, metrics)
    missed = {check["metric"]: check["why"] for check in verdict["checks"] if not check["passed"]}
    assert not verdict["passed"] and not (tmp_path / "package/model").exists()
    assert all("/low is -" in missed[f"{name}_over_baseline"] for name in ("rouge_l", "exact_match"))
    assert "was not measured" in missed["bits_per_byte"] and "was not measured" in missed["toxicity_rate"]


def test_a_metric_that_was_not_measured_fails_and_names_the_nearest(packaged, tmp_path):
    verdict = packaged(tmp_path, {"los": {**BOUND, "max": 2.0}}, {"loss": 1.5})
    assert not verdict["passed"]
    assert "did you mean loss" in verdict["checks"][0]["why"]


def test_the_tag_follows_content_and_nothing_else(packaged, tmp_path):
    gate = {"loss": {**BOUND, "max": 2.0}}
    tags = []
    for name, template in (("a", ""), ("b", ""), ("c", "{# other #}")):
        packaged(tmp_path / name, gate, {"loss": 1.5}, template)
        tags.append(json.loads((tmp_path / name / "package/package.json").read_text())["tag"])
    assert tags[0] == tags[1] != tags[2]
    assert artifact.digest(tmp_path / "a/package") == artifact.digest(tmp_path / "b/package")


def test_metrics_of_another_model_are_refused(packaged, tmp_path):
    packaged(tmp_path, {}, {"loss": 1.0})
    atomic.write_json(tmp_path / "evaluate/evaluated.json", {"model": "0" * 64})
    inputs = {"model": str(tmp_path / "model"), "metrics": str(tmp_path / "evaluate/metrics.json")}
    cfg = SimpleNamespace(inputs=inputs, out=str(tmp_path / "again"), engine=ENGINE, guardrail={})
    with pytest.raises(InputError, match="dvc repro evaluate"):
        package.run(cfg)
    assert not (tmp_path / "again").exists()


def test_an_engine_that_does_not_serve_the_model_is_refused_with_the_one_that_does(model_folder, tmp_path):
    model = model_folder(tmp_path / "model")
    atomic.write_json(model / "config.json", {"architectures": ["BertForSequenceClassification"]})
    inputs = {"model": str(model), "metrics": str(tmp_path / "metrics.json")}
    cfg = SimpleNamespace(inputs=inputs, out=str(tmp_path / "out"), engine=ENGINE)
    with pytest.raises(InputError, match="BertForSequenceClassification, which engine=transformers does not serve: take engine=classifier"):
        package.run(cfg)
    assert not (tmp_path / "out").exists()


def test_a_model_that_does_not_chat_needs_no_template(tmp_path):
    with artifact.create(tmp_path / "model") as partial:
        (partial / "config.json").write_text('{"architectures": ["BertModel"]}')
        (partial / "tokenizer.json").write_text("{}")
    described = model_store.describe(tmp_path / "model")
    assert described["template"] == "" and len(described["processor"]) == 64


def test_metrics_of_the_run_that_trained_the_model_are_taken_and_others_refused(model_folder, tmp_path):
    model, metrics = model_folder(tmp_path / "run/out/model"), tmp_path / "run/out/metrics.json"
    atomic.write_json(metrics, {"accuracy": 0.9})
    outs = {f"run/out/{name}": digest for name, digest in (("metrics.json", artifact.sha256(metrics)), ("model", artifact.digest(model)))}
    atomic.write_json(tmp_path / "run/out.provenance.json", {"outs": outs})
    cfg = SimpleNamespace(
        inputs={"model": str(model), "metrics": str(metrics)},
        out=str(tmp_path / "package"),
        gate={},
        engine=ENGINE,
        guardrail={},
    )
    package.run(cfg)
    assert artifact.verify(tmp_path / "package/model") == artifact.digest(model)
    atomic.write_json(metrics, {"accuracy": 0.99})
    with pytest.raises(InputError, match=r"other metric.* was measured"):
        package.run(cfg)


GUARDS = {"input": [{"_target_": "fmcycle.guardrail.refuse.Refuse", "patterns": ["dog"]}]}


def test_figures_of_answers_behind_other_guards_are_refused(packaged, tmp_path):
    """Behind the same ones, or where the model was asked for no answer, they are taken."""
    for name, own, evaluated in (("a", GUARDS, guards_digest(GUARDS)), ("b", None, guards_digest({"output": []})), ("c", GUARDS, "")):
        assert packaged(tmp_path / name, {}, {"loss": 1.0}, guardrail=own, evaluated=evaluated)["passed"]
    mixed = guards_of({"one": {"guardrail": GUARDS}, "two": {"guardrail": None}, "three": {}})
    for name, own, evaluated in (("d", GUARDS, guards_digest({})), ("e", None, guards_digest(GUARDS)), ("f", GUARDS, mixed)):
        with pytest.raises(InputError, match=r"guardrail: .* behind other guards than the package's: evaluate .* guardrail=NAME"):
            packaged(tmp_path / name, {}, {"loss": 1.0}, guardrail=own, evaluated=evaluated)


@pytest.mark.parametrize(("evaluation", "taken"), [({"accuracy": {}}, True), ({"instruction": {"guardrail": None}}, False)])
def test_the_run_that_trained_the_model_judged_its_answers_without_guards(model_folder, tmp_path, evaluation, taken):
    model, metrics = model_folder(tmp_path / "run/out/model"), tmp_path / "run/out/metrics.json"
    atomic.write_json(metrics, {"loss": 0.9})
    outs = {f"run/out/{name}": digest for name, digest in (("metrics.json", artifact.sha256(metrics)), ("model", artifact.digest(model)))}
    atomic.write_json(tmp_path / "run/out.provenance.json", {"outs": outs, "section": {"evaluation": evaluation}})
    inputs = {"model": str(model), "metrics": str(metrics)}
    cfg = SimpleNamespace(inputs=inputs, out=str(tmp_path / "package"), gate={}, engine=ENGINE, guardrail=GUARDS)
    with contextlib.nullcontext() if taken else pytest.raises(InputError, match="behind other guards"):
        package.run(cfg)
    assert (tmp_path / "package").exists() == taken
    cfg.guardrail = {"input": [], "output": []}
    package.run(cfg)


def test_a_model_that_gives_no_answer_fails_the_gate_whatever_its_figures(packaged, model_folder, tmp_path, monkeypatch):
    def silent(folder, served):
        raise InputError(f"{folder}: the model can't be served: no answer")

    monkeypatch.setattr(package, "probe", silent)
    verdict = packaged(tmp_path, {"loss": {**BOUND, "max": 2.0}}, {"loss": 1.5})
    assert not verdict["passed"] and verdict["checks"][0]["passed"] and "no answer" in verdict["checks"][1]["why"]
    assert not (tmp_path / "package/model").exists()


def test_an_engine_of_a_user_that_lacks_parts_fails_the_gate_which_names_them(packaged, tmp_path, monkeypatch):
    (tmp_path / "house_engine").mkdir()
    (tmp_path / "house_engine/__init__.py").touch()
    (tmp_path / "house_engine/called.py").write_text(CALLED)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(build, "user_packages", lambda: ("house_engine",))
    verdict = packaged(tmp_path, {}, {"loss": 1.5}, engine={"_target_": "house_engine.called.Called", "_partial_": True})
    why = "Called: an engine that does completion has submit, stream, abort too: see fmcycle.engine.protocol"
    assert not verdict["passed"] and verdict["checks"][-1]["why"] == why
    assert not (tmp_path / "package/model").exists()
