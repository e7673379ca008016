"""What an input names: a stage of the pipeline, or an experiment as it stands."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import yaml

from fmcycle.artifact import atomic
from fmcycle.config.compose import compose
from fmcycle.config.groups import stages
from fmcycle.config.selection import pipeline
from fmcycle.errors import Missing
from fmcycle.runner import inputs
from fmcycle.runner.inputs import references, upstream


def test_an_experiment_is_composed_as_it_stands():
    below = compose(["experiment=bert_services", "base=make"])
    assert {"experiment:bert_masked", "experiment:curate_services"} <= set(references(below))
    body = upstream("experiment:bert_masked", below)
    assert body.stage == "pretrain" and body.section["objective"]["_target_"].endswith("MaskedToken")
    assert body.section == compose(["experiment=bert_masked"]).section
    rows = upstream("experiment:curate_services", below)
    assert rows.stage == "curate" and rows.section["split"]["test"] == 0.2


def test_the_machine_and_the_permission_to_make_reach_an_experiment():
    below = compose(["experiment=bert_services", "base=require"])
    assert upstream("experiment:bert_masked", below).base == "require"


def test_a_collection_reaches_the_stages_above():
    below = compose(["experiment=curate_services"])
    above = upstream("stage:collect", below)
    assert set(above.section["collection"]) == {"services"} and above.stage == "collect"


def test_values_that_an_experiment_changes_reach_what_its_inputs_are_made_with():
    below = compose(["experiment=bert_masked", "processor.vocab_size=2048"])
    made = upstream("stage:processor", below)
    assert made.section["processor"]["vocab_size"] == 2048
    tokens = upstream("stage:tokens", below)
    assert upstream("stage:processor", tokens).section["processor"]["vocab_size"] == 2048


def test_paths_are_no_references():
    below = compose(["experiment=t5_answers", "inputs.model=somewhere/model", "inputs.instructions=rows.parquet"])
    assert references(below) == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory, root):
    """A project whose pipeline is up to date: every out of dvc.yaml is a small stand-in, and dvc.lock vouches for it."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(root / "conf", folder / "conf")
    for name in ("params.yaml", "pyproject.toml", "dvc.yaml", "erased.jsonl"):
        shutil.copy(root / name, folder / name)
    for name in ("feedback", "src/fmcycle", "data/feedback"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text(name)
    graph = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    outs = [out for stage in graph.values() for kind in ("outs", "metrics") for out in stage.get(kind, [])]
    outs += [f"artifacts/curate/{name}.parquet" for name in ("documents", "instructions", "preferences", "prompts")]
    for out in [next(iter(out)) if isinstance(out, dict) else out for out in outs]:
        if Path(out).suffix or out == "sources":
            (folder / out).parent.mkdir(parents=True, exist_ok=True)
            (folder / out).write_text(f"stand-in for {out}")
        else:
            (folder / out).mkdir(parents=True, exist_ok=True)
            (folder / out / "file").write_text(f"stand-in for {out}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        atomic.write_text("artifacts/config.yaml", yaml.safe_dump(pipeline()))
        for command in (["init", "-q", "--no-scm"], ["add", "-q", "data"], ["commit", "-q", "-f"]):
            subprocess.run([sys.executable, "-m", "dvc", *command], check=True, stdin=subprocess.DEVNULL)
        assert inputs.stale_stages(["package", "monitor"]) == []
        yield folder


@pytest.fixture
def status(monkeypatch):
    """What `dvc status` said when the project was made, and would say each time: it takes seconds."""
    monkeypatch.setattr(inputs, "stale_stages", lambda names: [])


def refuse(stage, needed_by=None):
    raise AssertionError(f"{stage.stage} would be made for {needed_by}")


def own(value: str) -> str:
    """The path at which the pipeline has what a reference names."""
    kind, _, rest = value.partition(":")
    name, _, part = rest.partition("/")
    return str(inputs.pipeline_folder(name) / part) if kind in ("stage", "made") else value


STAGES = [stage for stage in stages() if stage != "evaluate_on"]  # which reads nothing of the pipeline by itself


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_made_again_that_the_pipeline_vouches_for(stage, finished, status, monkeypatch):
    monkeypatch.chdir(finished)
    usual = {name: own(value) for name, value in compose([f"stage={stage}"]).inputs.items() if value is not None}
    for given in ({}, *({name: path} for name, path in usual.items()), usual):
        for base in ("require", "make") if len(given) != 1 else ("require",):
            composed = compose([f"stage={stage}", f"base={base}", *(f"inputs.{name}={path}" for name, path in given.items())])
            assert inputs.wrong_paths(composed) == []
            settled = inputs.settle_inputs(composed, refuse)
            assert {name: str(path) for name, path in settled.items() if path} == usual, given


@pytest.mark.parametrize("spelled", ["./artifacts/curate/documents.parquet", "{folder}/artifacts/curate/documents.parquet"])
def test_a_path_of_the_pipeline_is_its_own_however_it_is_spelled(spelled, finished, status, monkeypatch):
    monkeypatch.chdir(finished)
    given = f"inputs.documents={spelled.format(folder=finished)}"
    settled = inputs.settle_inputs(compose(["stage=pretrain", "base=require", given]), refuse)
    assert str(settled["tokens"]) == "artifacts/tokens"


def test_what_is_given_reaches_what_is_made_of_it_and_no_model(finished, status, monkeypatch):
    monkeypatch.chdir(finished)
    Path("mine.parquet").write_text("mine")
    made = []

    def note(stage, needed_by=None):
        made.append((stage.stage, stage.inputs.get("documents")))
        return Path("runs") / stage.stage

    settled = inputs.settle_inputs(compose(["stage=pretrain", "inputs.documents=mine.parquet"]), note)
    assert made == [("tokens", "mine.parquet"), ("processor", "mine.parquet")] and str(settled["tokens"]) == "runs/tokens"
    for stage in ("finetune", "evaluate"):
        inputs.settle_inputs(compose([f"stage={stage}", "base=require", "inputs.documents=mine.parquet"]), refuse)


@pytest.mark.parametrize("choice", ["guardrail=default", "guardrail=none", "guardrail=[default,none]", "guardrail.output=[]"])
def test_a_package_reads_figures_of_answers_behind_its_own_guards(project, choice):
    package = compose(["stage=package", choice])
    evaluate = inputs.upstream("stage:evaluate", package)
    nodes = [evaluate.section["evaluation"][name] for name in ("instruction", "safety")]
    assert {str(node["guardrail"]) for node in (*nodes, evaluate.section["sample"])} == {str(package.section["guardrail"])}


def test_what_only_decorates_a_page_is_never_made(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    Path("mine").mkdir(exist_ok=True)
    before = Path("artifacts/finetune/curve.json").read_text()
    Path("artifacts/finetune/curve.json").write_text("changed")
    try:
        settled = inputs.settle_inputs(compose(["stage=evaluate", "base=make", "inputs.model=mine"]), refuse)
        assert settled["finetune_curve"] is None and settled["finetune_metrics"] is None
        assert str(settled["pretrain_curve"]) == "artifacts/pretrain/curve.json"
        assert str(settled["reference"]) == "artifacts/pretrain/model"
        assert "evaluate: finetune, align, select, compress: not made, or not up to date" in capsys.readouterr().out
        with pytest.raises(Missing, match=r"evaluate needs finetune, not up to date.*run `dvc repro compress"):
            inputs.settle_inputs(compose(["stage=evaluate", "base=require"]), refuse)
    finally:
        Path("artifacts/finetune/curve.json").write_text(before)


def test_a_comment_in_a_yaml_makes_nothing_stale(finished, monkeypatch):
    monkeypatch.chdir(finished)
    file = Path("conf/model/gpt_small.yaml")
    before = file.read_text()
    try:
        file.write_text(before + "# a comment\n")
        assert inputs.stale_stages(["pretrain"]) == []
    finally:
        file.write_text(before)


def test_a_stage_that_is_in_no_graph_is_not_the_pipelines(finished, monkeypatch):
    monkeypatch.chdir(finished)
    assert not inputs.in_pipeline(compose(["stage=continue_pretrain"]))
    assert inputs.in_pipeline(compose(["stage=finetune"]))
    assert not inputs.in_pipeline(compose(["stage=finetune", "optimizer.lr=0.1"]))


@pytest.mark.prove
def test_on_a_finished_lifecycle_no_stage_runs_again(tmp_path):
    folder = tiny.make(tmp_path / "project")
    assert tiny.run(folder, "dvc", "repro").returncode == 0

    def fmcycle(*arguments):
        found = tiny.run(folder, sys.executable, "-m", "fmcycle.cli.main", *arguments, env={"PYTHONPATH": str(folder / "src")})
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    for stage, node in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"].items():
        if stage == "compose":
            continue
        given = [word for word in node["cmd"].split() if word.startswith("inputs.")]
        for some in ([], given[:1], given):
            told = fmcycle(stage, "selection=params.yaml", "base=require", *some)
            out = "sources" if stage == "collect" else f"artifacts/{stage}"
            assert f"{out}: made before with the same identity; out=FOLDER makes it again" in told, (stage, some, told)
    assert not (folder / "runs").is_dir() or not list((folder / "runs").glob("*/*/out"))
    told = fmcycle("evaluate", "inputs.model=artifacts/align/model", "base=require", "evaluation=[bits_per_byte]", "out=runs/mine")
    assert "needs" not in told and (folder / "runs/mine/report.html").is_file()
