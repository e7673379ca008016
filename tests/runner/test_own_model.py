"""A model of one's own in an empty folder outside the repository: every stage starts at it, and no default corpus is made."""

import json
import shutil
from pathlib import Path

import gguf_file
import pytest
import torch
import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.cli.command_line import expand
from fmcycle.config.compose import compose
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.runner.own_model import at_weights
from fmcycle.runner.run import perform
from fmcycle.serving import deploy

TRAINED = ["data.max_length=64", "budget.max_steps=1", "budget.global_batch=2", "trainer.sample_every=0", "evaluation=[]"]


@pytest.fixture
def empty(tmp_path, monkeypatch, material, signatures):
    """A folder with a model of a person, without a manifest, and with rows in JSON lines."""
    (tmp_path / ".cache").mkdir(exist_ok=True)
    shutil.copy(signatures, tmp_path / ".cache/signatures.json")
    shutil.copytree(material / "model", tmp_path / "mine", ignore=shutil.ignore_patterns(artifact.MANIFEST))
    (tmp_path / "mine/README.md").write_text("---\nlicense: mit\n---\nA card.\n")
    asked = [{"question": f"Where is jar {number}?", "answer": f"On shelf {number * 3}."} for number in range(60)]
    (tmp_path / "my.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    pairs = [{"prompt": row["question"], "chosen": row["answer"], "rejected": "Who knows."} for row in asked]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(folder: Path) -> set[str]:
    return {each.name for each in (folder / "runs").glob("*") if each.is_dir()}


def go(*words: str) -> Path:
    return perform(compose(expand(list(words))[1]))


def test_five_steps_of_fine_tuning_make_nothing_but_the_rows(empty, fmcycle):
    words = [*TRAINED[:1], "budget.max_steps=5", *TRAINED[2:4], "evaluation.instruction.per_task=2"]
    done = fmcycle("finetune", "model=mine", "inputs.instructions=my.jsonl", *words, cwd=empty)
    assert done.returncode == 0, done.stderr
    assert made(empty) == {"curate", "finetune"} and "Loading weights" not in done.stderr
    (out,) = empty.glob("runs/finetune/*/out")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["steps"] == 5 and {"rouge_l", "reference/rouge_l"} <= {*metrics}
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (out / "model" / name).read_bytes() == (empty / "mine" / name).read_bytes()


def test_a_model_that_nobody_trained_here_is_evaluated_packaged_and_deployed(empty, capfd):
    out = go("stage=evaluate", "model=mine", "inputs.instructions=my.jsonl", "evaluation.instruction.per_task=2", "sample.each=1")
    told = capfd.readouterr().out
    assert "evaluate: no inputs.documents, no inputs.preferences, no inputs.prompts: without bits_per_byte, preference, safety" in told
    assert "rouge_l" in json.loads((out / "metrics.json").read_text())
    bound = go("stage=package", "model=mine", f"inputs.metrics={out}/metrics.json")
    failed = [check["why"] for check in json.loads((bound / "gate.json").read_text())["checks"] if not check["passed"]]
    assert "bits_per_byte/high was not measured" in failed[0]
    package = go("stage=package", "model=mine", "gate=none")
    deploy.gate(package)
    deploy.deploy(package)
    assert made(empty) == {"curate", "evaluate", "package"} and (empty / "deployed.json").is_file()


def test_a_file_and_an_adapter_become_a_folder_once(empty, capfd):
    model, processor = model_store.load_model(empty / "mine")
    gguf_file.write(empty / "tiny.gguf", model, processor, licence="apache-2.0", cut="gpt-2")
    first = go("stage=align", "model=tiny.gguf", "inputs.preferences=pairs.jsonl", *TRAINED)
    told = capfd.readouterr().out
    assert told.count("align needs convert first: ") == 1 and "tiny.gguf -> " in told and "licence apache-2.0" in told
    package = go("stage=package", "model=tiny.gguf", "gate=none")
    assert "needs convert" not in capfd.readouterr().out and made(empty) == {"curate", "convert", "align", "package"}
    found = model_store.load_model(package / "model")[0]
    assert all(torch.equal(found.state_dict()[name], value) for name, value in model.state_dict().items())
    adapter = empty / "adapter"
    shutil.copytree(first / "adapter", adapter)
    config = json.loads((adapter / "adapter_config.json").read_text()) | {"base_model_name_or_path": str(package / "model")}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (adapter / artifact.MANIFEST).unlink()
    merged = go("stage=package", "model=adapter", "gate=none")
    want, have = (model_store.load_model(place / "model")[0] for place in (first, merged))
    ids = torch.arange(20)[None]
    assert torch.allclose(want(input_ids=ids).logits, have(input_ids=ids).logits, atol=1e-4)


def shard(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}))


def tokens(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 300}))
    model = model_store.architecture(folder)(model_store.architecture(folder).config_class(**config | {"vocab_size": 300}))
    model.save_pretrained(folder)


def without_tokenizer(folder):
    for file in folder.glob("*token*"):
        file.unlink()


def code(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "x.X"}}))


DAMAGE = {
    "a missing shard": (shard, r"names model-00001-of-00002.safetensors, which is not a file beside it"),
    "a small vocabulary": (tokens, r"the processor has 512 tokens, model.vocab_size is 300: weights and tokenizer are of two models"),
    "no tokenizer": (without_tokenizer, r"mine: its processor can't be read"),
    "code": (code, r"auto_map names code inside"),
    "a pickle": (lambda folder: (folder / "x.bin").write_bytes(b"x"), r"x.bin would run code when loaded"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_refused_at_every_door_before_anything_is_made(empty, damage):
    do, why = DAMAGE[damage]
    do(empty / "mine")
    for words in (
        ["stage=finetune", "model=mine", "inputs.instructions=my.jsonl", *TRAINED],
        ["stage=evaluate", "model=mine", "inputs.instructions=my.jsonl"],
        ["stage=evaluate_on", "inputs.model=mine", "inputs.instructions=my.jsonl", "evaluation=[instruction]"],
        ["stage=package", "model=mine", "gate=none"],
        ["stage=compress", "model=mine"],
        ["stage=convert", "model=mine"],
    ):
        with pytest.raises(InputError, match=why):
            go(*words)
        assert made(empty) <= {"convert"}, words


def test_a_licence_is_read_off_the_card_and_held_against_the_policy_of_training(empty):
    (empty / "mine/README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    rows = ["model=mine", "inputs.instructions=my.jsonl"]
    with pytest.raises(InputError, match=r"model: its weights are under cc-by-nc-4.0 \(non-commercial\)"):
        go("stage=finetune", *rows, *TRAINED)
    with pytest.raises(InputError, match=r"says that its licence is cc-by-nc-4.0, model.licence is MIT"):
        go("stage=finetune", *rows, "model.licence=MIT", *TRAINED)
    assert not made(empty)
    (empty / "mine/README.md").unlink()
    assert go("stage=finetune", *rows, "model.licence=MIT", *TRAINED).is_dir()


def converts(below) -> tuple[list[str], dict]:
    """(the stages that are performed for the weights of a stage, its inputs then)."""
    asked = []

    def note(stage, needed_by):
        asked.append(stage.stage)
        return Path("runs") / stage.stage

    return asked, at_weights(below, note).inputs


def test_an_option_with_weights_starts_at_them_unless_the_pipeline_has_them(empty, monkeypatch, root):
    option = ["model=smollm2_135m", "inputs.instructions=my.jsonl"]
    stages, inputs = converts(compose(expand(["stage=finetune", *option])[1]))
    assert stages == ["convert"] and inputs["model"] == inputs["reference"] == "runs/convert/model"
    stages, inputs = converts(compose(expand(["stage=align", option[0], "inputs.preferences=pairs.jsonl"])[1]))
    assert stages == ["convert"] and inputs["model"] == "runs/convert/model"
    stages, inputs = converts(compose(expand(["stage=align", option[0]])[1]))
    assert stages == [] and inputs["model"] == "stage:finetune/model"
    for name in ("conf", "src"):
        (empty / name).symlink_to(root / name)
    (empty / "params.yaml").write_text(yaml.safe_dump({"model": "smollm2_135m"}))
    shutil.copy(root / "dvc.yaml", empty)
    (empty / ".dvc").mkdir()
    stages, inputs = converts(compose(expand(["stage=finetune", option[0]])[1]))
    assert stages == [] and inputs["model"] == "stage:pretrain/model"


def test_weights_that_are_not_made_yet_are_not_converted(empty):
    with pytest.raises(InputError, match=r"model: its weights are not made yet: name a folder or file that has them, model=PATH"):
        go("stage=convert", "model=llama_tiny")


@pytest.mark.parametrize("name", ["model", "reference"])
def test_an_input_that_is_no_model_is_refused_before_rows_are_curated(empty, name):
    (empty / "nothing").mkdir()
    other = [f"inputs.{each}=mine" for each in ("model", "reference") if each != name]
    with pytest.raises(InputError, match=rf"inputs.{name}: nothing is no model; it holds nothing: a model folder holds config.json"):
        go(
            "stage=evaluate_on",
            *(f"+{text}" if "reference" in text else text for text in other),
            "inputs.instructions=my.jsonl",
            f"{'+' if name == 'reference' else ''}inputs.{name}=nothing",
            "evaluation=[instruction]",
        )
    assert not made(empty)


def test_a_table_that_a_stage_is_held_against_is_no_model(project, material):
    composed = compose(["stage=monitor", f"inputs.reference={material}/instructions.parquet", "inputs.feedback=feedback"])
    assert at_weights(composed, None) is composed


def test_an_experiment_names_a_path_in_its_yaml(project, empty, material):
    lines = ["# @package _global_", "defaults:", "  - override /stage: finetune", "  - override /model: pretrained"]
    lines += ["model: {path: mine}", "inputs: {instructions: my.jsonl}", "data: {max_length: 64}"]
    (project / "conf/experiment/own.yaml").write_text("\n".join(lines))
    stages, inputs = converts(compose(["experiment=own"]))
    assert stages == [] and inputs["model"] == inputs["reference"] == "mine"
