"""The stages from Python: docs/python.md runs as written, and the functions take and refuse what the command line does."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fmcycle.cli import notebook
from fmcycle.config import compose
from fmcycle.errors import ConfigError, InputError


def test_the_blocks_of_the_page_run_as_written(project, root):
    kinds = (str, bytes, dict, list, set, int, float, re.Pattern, Path, subprocess.Popen)
    said = {f"{kind.__name__}.{name}": inspect.getdoc(getattr(kind, name)) or "" for kind in kinds for name in dir(kind)}
    (project / "texts").mkdir()
    rows = []
    for name, text in said.items():
        if len(text) > 40:
            (project / f"texts/{name}.txt").write_text(text)
            rows.append(json.dumps({"instruction": f"What does {name} do?", "output": text.splitlines()[0]}))
    (project / "questions.jsonl").write_text("\n".join(rows))
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", (root / "docs/python.md").read_text(), re.M | re.S))
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *_, figures, answer, lr, refused = done.stdout.splitlines()
    loss, rouge = map(float, figures.split())
    assert loss > 0 and 0 <= rouge <= 1 and answer.strip()
    assert [lr, refused] == re.findall(r"print\(.*\)  # (.*)", code)


def test_compose_is_what_the_command_line_composes(project):
    (project / "local.yaml").write_text("trainer.workers: 1\n")
    found = notebook.compose("align", "objective.beta=0.3")
    assert found.section == compose.compose(["stage=align", "objective.beta=0.3"]).section
    assert found.machine["trainer"]["workers"] == 1
    assert notebook.compose("finetune", "model=smollm2_135m").section["model"] != notebook.compose("finetune").section["model"]


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
    for function in (notebook.compose, notebook.run):
        with pytest.raises(ConfigError, match=said):
            function(*words)
    assert not (project / "runs").exists()


def test_a_model_answers_and_another_kind_or_a_damaged_folder_is_refused(project, material):
    assert notebook.ask(material / "model", "What does str do?", max_tokens=8).strip()
    for name, config, said in (
        ("damaged", None, "config.json"),
        ("images", {"architectures": ["ViTForImageClassification"]}, "not a language model"),
    ):
        shutil.copytree(material / "model", name)
        (project / name / "config.json").write_text(json.dumps(config))
        if config:
            (project / name / "manifest.json").unlink()
        with pytest.raises(InputError, match=said):
            notebook.ask(name, "?")
    with pytest.raises(InputError, match="nothing"):
        notebook.ask("nothing", "?")
