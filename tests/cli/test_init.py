"""`fmcycle init`: each template composes, refuses to overwrite, and (in `make prove`) runs from its example to a package that answers."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fmcycle.cli import init, main, schemas, verbs
from fmcycle.config import selection
from fmcycle.config.user_yaml import content

TEMPLATES = [*init.TEMPLATES]


def test_the_help_names_every_template():
    action = next(each for each in verbs.parser("init")._actions if each.dest == "template")
    assert action.choices == TEMPLATES == sorted(each.name for each in init.FILES.iterdir() if (each / "params.yaml").is_file())


@pytest.fixture
def empty(tmp_path, monkeypatch, signatures) -> Path:
    """An empty working folder outside the repository, whose cache of signatures is warm."""
    monkeypatch.setenv("FMCYCLE_CACHE", str(signatures.parent))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def without_schemas(monkeypatch):
    """Leaves out the schemas, which tests/config/test_schema.py makes."""
    monkeypatch.setattr(schemas, "write", lambda folder: [])


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_a_project_whose_choices_compose(template, empty, without_schemas, capsys):
    assert main.main(["init", "--template", template, "mine"]) == 0
    assert "cd mine" in capsys.readouterr().out
    project = empty / "mine"
    for name in ("params.yaml", "dvc.yaml", "bentofile.yaml", "serve.py", "train.py", "README.md", ".gitignore", ".dvc/config"):
        assert "{{" not in (project / name).read_text(), name
    assert len(list((project / "data").iterdir())) == 10 + (template == "images") or template in ("assistant", "classifier")
    graph = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    with contextlib.chdir(project):
        sections = selection.pipeline()
        assert {*graph} - {"compose"} <= {*sections}
        for name, stage in graph.items():
            assert name == "compose" or stage["params"] == [{"artifacts/config.yaml": [name, f"code.{name}"]}]
            assert stage["cmd"].startswith(f"${{run}} {name} ")
        assert sections["package"]["gate"] and content(project / "params.yaml")["stages"]["package"]["gate"] == "mine"
    assert init.TEMPLATES[template]["stages"].split(", ") == [name for name in graph if name != "compose"]


def test_a_folder_that_holds_anything_is_refused_and_left_alone(empty, capsys):
    (empty / "mine").mkdir()
    (empty / "mine/notes.txt").write_text("mine")
    assert main.main(["init", "mine"]) == 2 and main.main(["init", "mine/notes.txt"]) == 2
    assert capsys.readouterr().err.count("is there and not empty; name a new folder: `fmcycle init NAME`") == 2
    assert [each.name for each in (empty / "mine").iterdir()] == ["notes.txt"]
    assert main.main(["init", "--template", "assistent", "other"]) == 2
    assert "invalid choice: 'assistent'" in capsys.readouterr().err and not (empty / "other").exists()


def test_the_schemas_and_the_editor_s_settings_are_written(empty):
    assert main.main(["init", "--template", "pretrain", "mine"]) == 0
    named = json.loads((empty / "mine/.vscode/settings.json").read_text())[schemas.KEY]
    assert all((empty / "mine" / file).is_file() for file in named) and named["./schemas/params.json"] == "params.yaml"
    options = json.loads((empty / "mine/schemas/params.json").read_text())["properties"]["stages"]["properties"]["package"]
    assert "mine" in str(options["properties"]["gate"])  # an option of the project's own
    first = (empty / "mine/params.yaml").read_text().splitlines()[0]
    assert (empty / "mine" / first.partition("$schema=")[2]).is_file()


def test_a_workflow_and_a_hook_are_added_to_a_project_that_is_there(project, capsys):
    before = {*project.rglob("*")}
    assert main.main(["init", "--ci", "github", "."]) == 0
    workflow = yaml.safe_load((project / ".github/workflows/fmcycle.yaml").read_text())
    assert {each for each in {*project.rglob("*")} - before if each.is_file()} == {project / ".github/workflows/fmcycle.yaml"}
    assert [step["run"] for step in workflow["jobs"]["check"]["steps"] if "fmcycle" in step.get("run", "")] == ["fmcycle compose"]
    assert main.main(["init", "--ci", "github", "."]) == 2
    assert "fmcycle.yaml: is there already" in capsys.readouterr().err
    assert main.main(["init", "--pre-commit", "."]) == 0
    hook = yaml.safe_load((project / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"][0]
    assert hook["entry"] == "fmcycle compose" and main.main(hook["entry"].split()[1:]) == 0
    (project / "params.yaml").write_text("modle: llama_small\n")
    assert main.main(hook["entry"].split()[1:]) == 2


def test_the_drawings_are_the_same_every_time(tmp_path):
    from fmcycle.cli import drawings

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        drawings.write(tmp_path / name)
    assert len(list((tmp_path / "one").glob("*.png"))) == 10
    assert all(file.read_bytes() == (tmp_path / "two" / file.name).read_bytes() for file in (tmp_path / "one").iterdir())


@pytest.mark.prove
@pytest.mark.parametrize("template", [each for each in TEMPLATES if each != "assistant"])
def test_a_template_runs_from_its_example_to_a_package_that_passed(template, empty, root):
    """`dvc repro` twice, with nothing but the package on the path; the second time only compose runs."""
    bin_folder = empty / "bin"
    bin_folder.mkdir()
    (bin_folder / "fmcycle").write_text(f'#!/bin/sh\nexec {sys.executable} -m fmcycle.cli.main "$@"\n')
    (bin_folder / "fmcycle").chmod(0o755)
    variables = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}

    def ran(*command: str) -> str:
        done = subprocess.run(command, cwd=empty / "mine", env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert main.main(["init", "--template", template, "mine"]) == 0
    repro = [sys.executable, "-m", "dvc", "repro"]
    ran(*repro)
    assert ran(*repro).count("Running stage") == 1
    assert "passed its gate" in ran("fmcycle", "gate")
    ran(sys.executable, "train.py", "stage=pretrain", "selection=params.yaml", "budget.max_steps=2")
    assert list((empty / "mine/runs/pretrain").glob("*/out/metrics.json"))
