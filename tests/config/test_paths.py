"""Every path that a person gives is looked at before anything is made: all wrong ones at once, each with the nearest that is there."""

import json
from pathlib import Path

import polars as pl
import pytest

from fmcycle.config import compose, groups, paths, selection
from fmcycle.config.signature import Parameter, read
from fmcycle.errors import ConfigError
from fmcycle.ranges import ExistingPath
from fmcycle.runner import inputs

STAGES = groups.stages()


@pytest.fixture
def there(project):
    """A project in which some of the pipeline's files stand."""
    for name in ("artifacts/curate/instructions.parquet", "artifacts/curate/documents.parquet", "artifacts/pretrain/model/config.json"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("here")
    Path("feedback").mkdir()
    Path("erased.jsonl").touch()
    return project


def wrong(*overrides: str) -> list[str]:
    return inputs.wrong_paths(compose.compose(list(overrides)))


@pytest.mark.parametrize("stage", STAGES)
def test_each_input_of_each_stage_is_looked_at(stage, there):
    names = list(compose.compose([f"stage={stage}"]).inputs)
    found = wrong(f"stage={stage}", *(f"inputs.{name}=nowhere/{name}" for name in names))
    for name in names:
        assert [line for line in found if line.startswith(f"inputs.{name}: nowhere/{name} is not there; ")], (name, found)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("artifacts/curate/instuctions.parquet", "artifacts/curate/instructions.parquet"),
        ("artefacts/curate/instructions.parquet", "artifacts/curate/instructions.parquet"),
        ("artifacts/curated/instruction.parquet", "artifacts/curate/instructions.parquet"),
        ("rows.parquet", "artifacts/curate/instructions.parquet"),  # nothing is near: the one that the pipeline has
    ],
)
def test_the_nearest_that_is_there_is_named(given, near, there):
    assert wrong("stage=finetune", f"inputs.instructions={given}") == [f"inputs.instructions: {given} is not there; did you mean {near}?"]


def test_what_the_pipeline_would_make_is_named_with_its_command(there):
    (line,) = wrong("stage=evaluate", "inputs.model=artifacts/align/model")
    assert line == "inputs.model: artifacts/align/model is not there; run `dvc repro align` or `dvc pull align`, or name another"


def test_all_of_them_come_at_once_with_keys_of_every_section(there):
    found = wrong(
        "stage=pretrain",
        "model=pretrained",
        "model.path=models/nothing",
        "model.base=models/none",
        "inputs.documents=artifacts/curate/document.parquet",
        "data.tokens=tokens",
    )
    assert [line.split(":")[0] for line in found] == ["inputs.documents", "model.path", "model.base", "data.tokens"]
    assert found[0].endswith("did you mean artifacts/curate/documents.parquet?")
    (curated,) = wrong("stage=curate", "inputs.data=artifacts", "+curation.privacy.secret=key", "curation=web")
    assert curated == "curation.privacy.secret: key is not there; name one that exists"
    (learned,) = wrong(
        "stage=curate",
        "inputs.data=artifacts",
        "curation=[learned]",
        "curation.learned.good=[artifacts]",
        "curation.learned.bad=[{path: b}]",
    )
    assert learned.startswith("curation.learned.bad.0.path: b is not there")
    nothing = wrong("stage=curate", "inputs.data=artifacts", "curation=[learned]")
    assert nothing == [f"curation.learned.{name}: is empty: give curation.learned.{name}=[PATH]" for name in ("good", "bad")]
    (source,) = wrong("stage=collect", "source=[local]", "source.local.path=texts")
    assert source.startswith("source.local.path: texts is not there")


@pytest.mark.parametrize(
    ("stage", "overrides", "words"),
    [
        ("tokens", ["inputs.documents=null"], "inputs.documents: name the folder or file that tokens needs, inputs.documents=PATH"),
        ("processor", ["inputs.documents=null"], "inputs.documents or inputs.examples: name the folder or file that processor needs"),
        ("evaluate_on", [], "inputs.model: name the folder or file that evaluate_on needs, inputs.model=PATH"),
        ("evaluate", ["inputs.prompts=null"], "evaluation.safety.prompts: reads inputs.prompts, which is null: give inputs.prompts=PATH"),
        ("finetune", ["evaluation=[bits_per_byte]"], "evaluation.bits_per_byte.documents: reads inputs.documents, which is null"),
        ("collect", ["source=[local]"], "source.local.path: reads inputs.local, which is null: give inputs.local=PATH"),
    ],
)
def test_a_null_that_is_needed_is_told_before_anything_starts(stage, overrides, words, there):
    assert [line for line in wrong(f"stage={stage}", *overrides) if line.startswith(words)]


def test_a_null_that_nothing_reads_is_no_fault(there):
    Path("processor").mkdir()
    nothing = ["inputs.processor=processor", "inputs.tokens=null", "inputs.documents=null", "evaluation=[]"]
    assert wrong("stage=pretrain", "budget.max_steps=0", *nothing) == []
    assert "inputs.tokens, which is null" in "".join(wrong("stage=pretrain", *nothing))
    Path("mine").mkdir()
    given = ["inputs.model=mine", "inputs.documents=artifacts/curate/documents.parquet", "evaluation=[bits_per_byte]"]
    assert wrong("stage=evaluate_on", *given) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("stage:pretrian/model", "there is no stage pretrian; did you mean pretrain?"),
        ("stage:pretrain/modle", "pretrain writes no modle; did you mean model?"),
        ("experiment:vit_digit/model", "there is no experiment vit_digit; did you mean vit_digits?"),
        ("experiment:vit_digits/modell", "vit_digits writes no modell; did you mean model?"),
        ("made:finetune/curves.json", "finetune writes no curves.json; did you mean curve.json?"),
    ],
)
def test_references_are_looked_at_too(value, words, there):
    assert wrong("stage=evaluate", f"inputs.model='{value}'") == [f"inputs.model: {words}"]


def test_a_member_of_a_wheel_is_no_path_here(there):
    assert wrong("stage=finetune", "model=smollm2_135m", "processor=smollm2", "inputs.model=artifacts/pretrain/model") == []


def test_what_is_above_is_looked_at_before_anything_starts(there):
    (line,) = wrong("experiment=hear_spoken")
    assert line.startswith("inputs.data: recordings is not there; ") and line.endswith("(for curate, which pretrain needs)")


def test_without_the_default_corpus_the_way_out_is_rows_of_ones_own(project):
    lines = wrong("stage=finetune", "model=smollm2_135m")
    assert lines and all(
        line.endswith("(for collect, which finetune needs; or name rows of your own, inputs.instructions=FILE)") for line in lines
    )


def test_nothing_starts_and_nothing_is_made(there, fmcycle):
    before = sorted(there.rglob("*"))
    typing_error = "inputs.instructions=artifacts/curate/instuctions.parquet"
    done = fmcycle("finetune", typing_error, "inputs.model=nowhere")
    assert done.returncode == 2 and "needs" not in done.stdout
    assert done.stderr.splitlines() == [
        "inputs.model: nowhere is not there; did you mean artifacts/pretrain/model?",
        f"inputs.instructions: {typing_error.split('=')[1]} is not there; did you mean artifacts/curate/instructions.parquet?",
    ]
    swept = fmcycle("processor", "-m", "inputs.documents=artifacts/curate/documents.parquet,artifacts/curate/document.parquet")
    assert swept.returncode == 2 and "did you mean artifacts/curate/documents.parquet?" in swept.stderr
    planned = fmcycle("plan", "pretrain", "inputs.documents=artifacts/curate/document.parquet")
    assert planned.returncode == 2 and "did you mean" in planned.stderr
    assert sorted(there.rglob("*")) == before


def test_a_config_may_be_looked_at_without_its_data(there, fmcycle):
    assert fmcycle("finetune", "inputs.instructions=nowhere", "--cfg", "job").returncode == 0


def test_what_params_yaml_selects_is_looked_at_when_it_is_composed(there):
    (there / "params.yaml").write_text(
        "overrides: {collect: {inputs: {local: texts}}, align: {inputs: {reference: artifacts/finetune/model}}}\n"
        "stages: {pretrain: {model: pretrained}}\n"
    )
    with pytest.raises(ConfigError) as error:
        selection.pipeline()
    assert [line.split(" is not there")[0] for line in error.value.problems] == ["inputs.local: texts", "model.path: models/pretrained"]
    assert error.value.problems[0].endswith("(stage collect)")


def test_paths_are_told_by_their_type(there):
    for target, name in (("fmcycle.data.table.Table", "path"), ("fmcycle.evaluation.domain_shift.DomainShift", "domain")):
        assert read(target).parameters[name] == Parameter(ExistingPath, True, "ExistingPath")


def test_the_command_that_was_refused_runs_when_it_is_right(project, fmcycle):
    rows = [{"id": f"{n}", "text": line, "group": f"{n}", "split": "train"} for n, line in enumerate(json.__doc__.split("\n\n"))]
    pl.DataFrame(rows).write_parquet("documents.parquet")
    assert fmcycle("processor", "inputs.documents=document.parquet", "processor.vocab_size=300").returncode == 2
    assert fmcycle("processor", "inputs.documents=documents.parquet", "processor.vocab_size=300").returncode == 0
    assert paths.nearest("document.parquet") == "documents.parquet"
