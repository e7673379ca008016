"""init_from=RUN: a changed run goes on from the weights of one that stopped, and says what it takes; another kind of run is refused."""

import json
import os
import re
import shutil
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.cli import main
from fmcycle.cli.runs import find
from fmcycle.config.compose import compose
from fmcycle.errors import ConfigError, InputError
from fmcycle.runner import begin_from
from fmcycle.tracking import run_record
from fmcycle.training.start import Start, start_of

SMALL = ["evaluation=[]", "data.max_length=128", "budget.global_batch=4", "budget.validate_every=0", "budget.warmup=0", "trainer.threads=1"]
FULL = ["finetune", "model=base", "inputs.instructions=rows.parquet", "strategy=full", "trainer.checkpoint_every=2", *SMALL]
LORA = [*(text for text in FULL if text != "strategy=full"), "strategy.peft_config.r=4"]


def stopped(arguments: list[str], step: int = 4) -> Path:
    """The folder of a run that got SIGTERM once it had a checkpoint of `step`."""
    known, name, done = set(Path("runs").glob("*/*/run.json")), f"step-{step:08d}/manifest.json", threading.Event()

    def stop():
        while not any((file.parent / name).exists() for file in {*Path("runs").glob("*/*/run.json")} - known) and not done.is_set():
            time.sleep(0.05)
        if not done.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    code = main.main([*arguments, "budget.max_steps=5000"])
    done.set()
    thread.join()
    assert code == 75
    (file,) = set(Path("runs").glob("*/*/run.json")) - known
    return file.parent


@pytest.fixture(scope="module")
def place(tmp_path_factory, material, root, signatures):
    """A project with a run of every weight and a run of an adapter, both stopped."""
    folder = tmp_path_factory.mktemp("stopped")
    (folder / ".cache").mkdir()
    shutil.copy(signatures, folder / ".cache/signatures.json")
    shutil.copytree(root / "conf", folder / "conf")
    shutil.copytree(material / "model", folder / "base")
    shutil.copy(material / "instructions.parquet", folder / "rows.parquet")
    before = Path.cwd()
    os.chdir(folder)
    try:
        return folder, stopped(FULL), stopped(LORA)
    finally:
        os.chdir(before)


@pytest.fixture
def runs(place, monkeypatch) -> tuple[Path, Path]:
    monkeypatch.chdir(place[0])
    return place[1:]


def newest(folder: Path) -> Path:
    return max(folder.glob("step-*"))


def trained(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for name, value in load_file(folder / "tensors.safetensors").items() if name.startswith("/state_dict/")}


def run_of(out: str) -> dict:
    (entry,) = [entry for entry in find() if entry.get("out") == out]
    return entry


def test_no_steps_write_the_weights_of_the_other_run_bit_for_bit(runs, capsys):
    assert main.main([*FULL, f"init_from={runs[0]}", "budget.max_steps=0", "out=written"]) == 0
    found = load_file("written/model/model.safetensors")
    there = {name.removeprefix("/state_dict/model."): value for name, value in trained(newest(runs[0])).items()}
    assert {name for name in there if not torch.equal(there[name], found[name])} == set() and there.keys() <= found.keys()


@pytest.mark.parametrize("kind", [0, 1], ids=["full", "lora"])
def test_a_changed_rate_begins_there_and_says_so(runs, kind, capsys):
    arguments, before = (FULL, LORA)[kind], runs[kind]
    line = [*arguments, "optimizer.lr=1e-12", "budget.max_steps=2", "trainer.keep=3", f"out=out/slow{kind}"]
    assert main.main([*line, f"init_from={before.name[:9]}"]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert f"begins from {newest(before)}: takes its weights and its optimizer's state; steps, schedule" in said
    entry = run_of(f"out/slow{kind}")
    assert entry["inputs"]["init_from"] == {"path": str(newest(before)), "digest": artifact.digest(newest(before))}
    assert entry["section"]["init_from"] == "<init_from>" and entry["differs"]["init_from"] in (before.name[:9], f"'{before.name[:9]}'")
    if kind == 0:
        written = load_file("out/slow0/model/model.safetensors")
        for name, value in trained(newest(before)).items():
            torch.testing.assert_close(written[name.removeprefix("/state_dict/model.")], value, atol=1e-9, rtol=0)
    assert main.main(["lineage", f"out/slow{kind}"]) == 0
    shown = capsys.readouterr().out
    assert f"init_from: {newest(before)}" in shown and shown.count("rows.parquet") == 2  # those of the other run too


def test_other_shapes_and_other_weights_are_refused_with_the_first_name(runs):
    from transformers import AutoConfig, LlamaForCausalLM

    start, config = Start(newest(runs[0])), AutoConfig.from_pretrained("base")
    start.check(LlamaForCausalLM(config))
    config.intermediate_size += 8
    with pytest.raises(InputError, match=r"model\.layers\.0\.mlp\.gate_proj\.weight has the shape .* choose the sizes of that run"):
        start.check(LlamaForCausalLM(config))
    with pytest.raises(InputError, match=r"this run trains 2; bias is only in one"):
        start.check(torch.nn.Linear(2, 2))


def test_the_digest_of_the_checkpoint_is_identity(runs):
    def identity(*more):
        return compose([text if text != "finetune" else "stage=finetune" for text in FULL if not text.startswith("model=")] + list(more))

    assert "init_from" not in identity().section
    one, other = (identity(f"init_from={path}").section for path in (runs[0], newest(runs[0])))
    assert one == other and one["init_from"] == "<init_from>"  # where it lies is not part of it


def test_another_objective_leaves_the_optimizer_behind(runs, tmp_path):
    section = run_record.read(runs[0])["section"]
    cfg = SimpleNamespace(**section | {"init_from": str(newest(runs[0])), "trainer": {}})
    assert not start_of(cfg).anew
    cfg.objective = {"_target_": "fmcycle.objective.next_token.NextToken"}
    assert start_of(cfg).anew == "that run had another objective"
    cfg.trainer = {"strategy": "fsdp"}
    assert start_of(cfg).anew == "it is sharded"


REFUSED = {
    "another_rank": ([*LORA[:-1], "strategy.peft_config.r=8"], "{lora}", [], r"strategy\.peft_config\.r is 8 here and 4 in {lora}"),
    "another_strategy": (
        LORA,
        "{full}",
        [],
        r"strategy\._target_ is peft\.get_peft_model here and fmcycle\.strategy\.full\.full in {full}",
    ),
    "no_such_run": (FULL, "{full}x", [], r"x is no run: .*did you mean {full}\?"),
    "no_such_step": (FULL, "{full}/step-77", [], r"has no checkpoint of step 77; there is step-0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_another_kind_of_run_is_refused_before_any_work(runs, case, capsys):
    arguments, named, more, message = REFUSED[case]
    names = {"full": str(runs[0]), "lora": str(runs[1])}
    assert main.main([*arguments, *more, f"init_from={named.format(**names)}", "out=none"]) == 2
    assert re.search(message.format(**names), error := capsys.readouterr().err), error
    assert not Path("none").exists()


def test_an_adapter_of_another_base_is_refused(runs, capsys):
    shutil.copytree("base", "other", dirs_exist_ok=True)
    weights = load_file("other/model.safetensors")
    first = sorted(weights)[0]
    save_file(weights | {first: weights[first] + 0.01}, "other/model.safetensors", metadata={"format": "pt"})
    (Path("other") / artifact.MANIFEST).unlink(missing_ok=True)
    line = [text if text != "model=base" else "model=other" for text in LORA]
    assert main.main([*line, f"init_from={runs[1]}", "out=none"]) == 2
    assert "trained a part of the weights" in (error := capsys.readouterr().err) and "name the same base" in error, error


def test_a_damaged_checkpoint_and_a_run_in_progress_are_refused(runs, tmp_path):
    copy = tmp_path / "runs/finetune" / runs[0].name
    shutil.copytree(runs[0], copy)
    file = newest(copy) / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"the checkpoint is damaged; init_from=.*step-0+\d+ is another checkpoint of that run"):
        begin_from.found(str(copy))
    whole = min(copy.glob("step-*"))
    assert begin_from.found(f"{copy}/step-{int(whole.name[5:])}") == whole
    with atomic.lock(copy), pytest.raises(InputError, match="is running: wait for it"):
        begin_from.found(str(copy))
    for step in copy.glob("step-*"):
        shutil.rmtree(step)
    facts = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(facts | {"state": "done", "out": "o"}))
    with pytest.raises(InputError, match=r"it ended: begin from its model, inputs\.model=o/model"):
        begin_from.found(str(copy))


def test_the_beginning_of_an_identity_may_look_like_a_number(runs):
    for text in ("12", "5e12", "0123"):
        (line,) = begin_from.problems(compose(["stage=finetune", f"init_from={text}"]))
        assert line.startswith(f"init_from: {text} is no run: give its folder in runs/")


def test_the_pipeline_can_not_begin_from_a_run(project):
    from fmcycle.config.selection import pipeline

    (project / "params.yaml").write_text("overrides:\n  finetune: {init_from: runs/finetune/abc}\n")
    with pytest.raises(ConfigError, match="the pipeline can't begin from a run"):
        pipeline()
