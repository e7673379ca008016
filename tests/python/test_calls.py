"""`import fmcycle`: docs/python.md runs as written, and the functions take and refuse what the command line does."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fmcycle
from fmcycle.config import compose
from fmcycle.errors import ConfigError, InputError
from fmcycle.python import result


def test_the_blocks_of_the_page_run_as_written(project, root):
    kinds = (str, bytes, dict, list, set, int, float, re.Pattern, Path, subprocess.Popen)
    said = {f"{kind.__name__}.{name}": inspect.getdoc(getattr(kind, name)) or "" for kind in kinds for name in dir(kind)}
    (project / "texts").mkdir()
    rows = []
    for name, text in said.items():
        if len(text) > 40:
            (project / f"texts/{name}.txt").write_text(text)
            rows.append(json.dumps({"instruction": f"What does {name} do?", "output": text.splitlines()[0]}) + "\n")
    (project / "questions.jsonl").write_text("".join(rows[::2]))
    (project / "new.jsonl").write_text("".join(rows[1:40:2]))
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", (root / "docs/python.md").read_text(), re.M | re.S))
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *_, figures, first, answer, again, lr, refused = done.stdout.splitlines()
    loss, rouge = map(float, figures.split())
    assert loss > 0 and 0 <= rouge <= 1 and set(eval(first)) >= {"prompt", "expected", "answer"} and answer.strip() and again.strip()
    assert [lr, refused] == re.findall(r"print\(.*\)  # (.*)", code)


def test_compose_is_what_the_command_line_composes(project):
    (project / "local.yaml").write_text("trainer.workers: 1\n")
    found = fmcycle.compose("align", "objective.beta=0.3")
    assert found.section == compose.compose(["stage=align", "objective.beta=0.3"]).section
    assert found.machine["trainer"]["workers"] == 1
    assert fmcycle.compose("finetune", "model=smollm2_135m").section["model"] != fmcycle.compose("finetune").section["model"]


def test_keywords_are_overrides_too_and_the_stage_may_be_a_word(project):
    words = fmcycle.compose("stage=align", "strategy=full", "optimizer.lr=0.01", "inputs.model='my model'", "evaluation=[]")
    keys = {"strategy": "full", "optimizer": {"lr": 0.01}, "inputs": {"model": Path("my model")}, "evaluation": []}
    for found in (fmcycle.compose("align", **keys), fmcycle.compose(stage="align", **keys)):
        assert (found.section, found.inputs) == (words.section, words.inputs)
    assert fmcycle.compose().stage == "finetune" and fmcycle.compose("experiment=vit_digits").stage == "pretrain"


def test_train_runs_stages_that_train(project):
    with pytest.raises(ConfigError, match=r"stage=curate: trains no model; `fmcycle\.run` runs any stage"):
        fmcycle.train("curate", "inputs.data=texts")


def test_a_result_is_a_picture_in_a_notebook_and_lines_elsewhere(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"rouge_l": 0.25, "rouge_l/low": 0.2, "rouge_l/high": 0.3, "rouge_l/n": 9, "a<b": 3}))
    (tmp_path / "curve.json").write_text(
        json.dumps({"step": [1, 2, 3], "loss": [3.0, 2.0, None], "validation_step": [], "validation_loss": []})
    )
    (tmp_path / "report.html").write_text("")
    found = result.Result.of(tmp_path)
    assert repr(found).splitlines()[1].split() == ["rouge_l", "0.250", "[0.200,", "0.300]"] and found.page == tmp_path / "report.html"
    html = found._repr_html_()
    assert "0.250 [0.200, 0.300]" in html and "<svg" in html and "a&lt;b" in html and str(found.page) in html and "<script" not in html
    (tmp_path / "none").mkdir()
    empty = result.Result.of(tmp_path / "none")
    assert (empty.metrics, empty.curve, empty.answers, empty.page) == ({}, {}, [], None) and "<svg" not in empty._repr_html_()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["finetune", "strategy=lorra"], "did you mean lora"),
        (["finetun"], "did you mean finetune"),
        (["finetune", "--cfg", "job"], "--cfg: is for the command line"),
        (["finetune", "plan=true"], "plan=true: is for the command line"),
    ],
)
def test_what_the_command_line_refuses_is_refused_with_its_words(words, said, project):
    for function in (fmcycle.compose, fmcycle.run, fmcycle.train):
        with pytest.raises(ConfigError, match=said):
            function(*words)
    assert not (project / "runs").exists()


def test_a_model_answers_and_another_kind_or_a_damaged_folder_is_refused(project, material):
    assert fmcycle.ask(material / "model", "What does str do?", max_tokens=8).strip()
    for name, config, said in (
        ("damaged", None, "config.json"),
        ("images", {"architectures": ["ViTForImageClassification"]}, "not a language model"),
    ):
        shutil.copytree(material / "model", name)
        (project / name / "config.json").write_text(json.dumps(config))
        if config:
            (project / name / "manifest.json").unlink()
        with pytest.raises(InputError, match=said):
            fmcycle.ask(name, "?")
    with pytest.raises(InputError, match="nothing"):
        fmcycle.ask("nothing", "?")


def test_a_loaded_model_answers_as_its_folder_does(project, material):
    model, processor = loaded = fmcycle.load(material / "model")
    turns = [{"role": "user", "content": "What does str do?"}]
    assert not model.training and len(processor) == 512
    said = {fmcycle.ask(which, asked, max_tokens=8) for which in (loaded, material / "model") for asked in (turns, turns[0]["content"])}
    assert len(said) == 1
