"""What an evaluation needs is known before the first step, and told with what mends it."""

import json
import shutil

import polars as pl
import pytest
import torch

from fmcycle.config.compose import compose
from fmcycle.config.example import SIZES, TOKENS, decoder
from fmcycle.errors import ConfigError, InputError
from fmcycle.evaluation import need
from fmcycle.model import store as model_store
from fmcycle.processor import store
from fmcycle.runner.run import perform

ROOM = "fmcycle.evaluation"
ASKING = {
    "instruction": {"_target_": f"{ROOM}.instruction.Instruction", "instructions": "instructions"},
    "preference": {"_target_": f"{ROOM}.preference.Preference", "preferences": "preferences"},
    "safety": {"_target_": f"{ROOM}.safety.Safety", "prompts": "prompts"},
    "sample": {"_target_": f"{ROOM}.sample.Sample", "instructions": "instructions"},
}
READING = {"bits_per_byte": {"_target_": f"{ROOM}.bits_per_byte.BitsPerByte", "documents": "documents"}}


def nodes(material, kinds, **more):
    place = {name: f"{material}/{name}.parquet" for name in ("instructions", "preferences", "prompts", "documents")}
    return {name: {key: place.get(value, value) for key, value in node.items()} | more for name, node in kinds.items()}


@pytest.fixture(scope="module")
def assistant(material):
    with torch.device("meta"):
        return model_store.load_weights(material / "model"), store.load_processor(material / "model")


def test_a_model_that_fits_its_rows_is_told_nothing(assistant, material, capsys):
    need.check(nodes(material, ASKING | READING), lambda: assistant[0], assistant[1])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ASKING)
def test_a_processor_without_a_template_is_refused_by_every_evaluation_that_asks(assistant, material, name):
    processor = store.load_processor(material / "model")
    processor.chat_template = None
    with pytest.raises(ConfigError, match=rf"^evaluation.{name}: asks the model in conversations, and .*model has no chat template: write"):
        need.check(nodes(material, {name: ASKING[name]}), lambda: assistant[0], processor)


@pytest.mark.parametrize("name", [*ASKING, *READING])
def test_an_encoder_is_refused_by_every_evaluation_that_reads_on(assistant, material, name):
    from transformers import BertConfig, BertForMaskedLM

    encoder = BertForMaskedLM(BertConfig(**SIZES, **TOKENS))
    with pytest.raises(ConfigError, match=rf"evaluation.{name}: a BertForMaskedLM writes no text"):
        need.check(nodes(material, {name: (ASKING | READING)[name]}), lambda: encoder, assistant[1])


@pytest.mark.parametrize("name", ["instruction", "preference", "bits_per_byte"])
def test_a_split_without_rows_is_told(assistant, material, name, capsys):
    need.check(nodes(material, {name: (ASKING | READING)[name]}, split="nobody"), lambda: assistant[0], assistant[1])
    assert f"evaluation.{name}: {material}" in (told := capsys.readouterr().out)
    assert "has no rows of the split nobody, so it gives no figures: raise split.nobody and run `fmcycle curate` again" in told


def test_prompts_that_fill_the_positions_are_counted_and_refused_if_all_do(assistant, material, tmp_path, capsys):
    rows = pl.read_parquet(material / "instructions.parquet").to_dicts()
    chosen = [row for row in rows if row["split"] == "test"]
    for count, row in enumerate(chosen):
        row["messages"][0]["content"] = "jar " * 200 if count < 2 else "A jar?"
    node = {"instruction": ASKING["instruction"] | {"instructions": str(tmp_path / "rows.parquet")}}
    pl.DataFrame(chosen).write_parquet(tmp_path / "rows.parquet")
    need.check(node, lambda: assistant[0], assistant[1])
    assert f"2 of {len(chosen)} prompts fill the model's 128 positions and get no answer" in capsys.readouterr().out
    pl.DataFrame(chosen[:2]).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ConfigError, match=r"2 of 2 prompts fill the model's 128 positions .*: name rows with shorter prompts"):
        need.check(node, lambda: assistant[0], assistant[1])


def test_a_table_that_an_evaluation_reads_as_data_has_rows_of_its_split(assistant, material):
    data = {"_target_": "fmcycle.data.table.Table", "path": f"{material}/documents.parquet"}
    data["format"] = {"_target_": "fmcycle.processor.text.document", "_partial_": True}
    node = {"_target_": f"{ROOM}.accuracy.Accuracy", "data": data, "split": "nobody"}
    with pytest.raises(ConfigError, match=r"evaluation.accuracy: .*documents.parquet has no rows of the split nobody: raise split.nobody"):
        need.check({"accuracy": node}, decoder, assistant[1])


def test_rows_that_are_still_to_be_made_are_passed_over(assistant):
    node = ASKING["instruction"] | {"instructions": "stage:curate/instructions.parquet"}
    need.check({"instruction": node}, lambda: pytest.fail("made"), assistant[1])


@pytest.fixture
def raw(project):
    """A project whose sources may be collected."""
    (project / "feedback").mkdir()
    (project / "erased.jsonl").touch()
    return project


def test_fine_tuning_looks_before_it_trains_and_before_it_makes_what_is_missing(raw, material):
    shutil.copytree(material / "model", raw / "bare", ignore=shutil.ignore_patterns("manifest.json", "chat_template.jinja"))
    config = json.loads((raw / "bare/tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (raw / "bare/tokenizer_config.json").write_text(json.dumps(config))
    small = [
        "model=bare",
        "data.max_length=64",
        "evaluation=[instruction,preference]",
        f"inputs.instructions={material}/instructions.parquet",
    ]
    with pytest.raises(InputError, match=r"evaluation.instruction: asks the model in conversations"):
        perform(compose(["stage=finetune", *small]))  # its preferences would be made by curate
    assert not (raw / "runs").exists()


def test_select_counts_its_halves_before_the_models_that_it_needs_are_made(raw, material):
    rows = pl.read_parquet(material / "instructions.parquet").with_columns(split=pl.lit("train"))
    rows.write_parquet(raw / "rows.parquet")
    with pytest.raises(InputError, match=r"judge.instruction: no rows in the first half of validation; one half can't both choose and"):
        perform(compose(["stage=select", "inputs.instructions=rows.parquet"]))
    assert not (raw / "runs").exists()
