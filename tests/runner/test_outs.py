"""Where a stage may write: nothing of a person's is ever replaced, whatever stage is told to write there."""

import json
import subprocess
from pathlib import Path

import polars as pl
import pytest

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.config import groups
from fmcycle.errors import InputError
from fmcycle.runner import outs
from fmcycle.tracking import run_record

SMALL = ("inputs.documents=documents.parquet", "processor.vocab_size=300")


@pytest.fixture
def documents(project):
    rows = [
        {"id": f"{i}", "text": line * 3, "source": "json", "domain": "code", "licence": "PSF-2.0", "group": f"{i}", "split": "train"}
        for i, line in enumerate(json.__doc__.split("\n\n"))
    ]
    pl.DataFrame(rows).write_parquet(project / "documents.parquet")
    (project / "mine").mkdir()
    (project / "mine/thesis.txt").write_text("years of work")
    for name in ("feedback", "runs"):
        (project / name).mkdir()
    (project / "erased.jsonl").touch()
    return project


@pytest.mark.parametrize("stage", groups.stages())
def test_no_stage_writes_over_a_persons_folder(documents, fmcycle, stage):
    result = fmcycle(stage, "out=mine", *(["inputs.model=runs", "inputs.examples=documents.parquet"] if stage == "evaluate_on" else []))
    assert result.returncode == 2 and "out=mine: holds mine/thesis.txt, which no run of fmcycle wrote there" in result.stderr, result.stderr
    assert (documents / "mine/thesis.txt").read_text() == "years of work" and len(list((documents / "mine").iterdir())) == 1
    assert not list((documents / "runs").glob("*"))


@pytest.mark.parametrize("out", ["mine/thesis.txt", ".", "conf", "documents.parquet", "mine/../mine"])
def test_neither_files_nor_folders_above_are_taken(documents, fmcycle, out):
    before = sorted(documents.rglob("*"))
    result = fmcycle("processor", *SMALL, f"out={out}")
    assert result.returncode == 2 and "out=" in result.stderr, result.stderr
    assert sorted(documents.rglob("*")) == before


def test_an_out_that_is_an_input_or_lies_in_one_is_refused(documents, fmcycle):
    for out in ("mine", "mine/curated"):
        result = fmcycle("curate", "inputs.data=mine", f"out={out}")
        assert result.returncode == 2 and "inputs.data is mine, which writing there would change" in result.stderr, result.stderr
    assert (documents / "mine/thesis.txt").exists() and not (documents / "mine/curated").exists()


def test_what_git_tracks_is_refused(documents):
    (documents / "tracked").mkdir()
    (documents / "tracked/a.txt").write_text("x")
    for command in ("git init -q", "git add tracked"):
        subprocess.run(command.split(), cwd=documents, check=True)
    with pytest.raises(InputError, match=r"git tracks tracked/a.txt"):
        outs.claim(documents / "tracked", "curate")


def test_the_same_command_writes_over_what_it_made_and_not_over_what_was_added(documents, fmcycle):
    assert fmcycle("processor", *SMALL, "out=made").returncode == 0
    assert fmcycle("processor", SMALL[0], "out=made", "processor.vocab_size=310").returncode == 0
    (documents / "made/notes.txt").write_text("mine")
    result = fmcycle("processor", *SMALL, "out=made")
    assert result.returncode == 2 and "holds made/notes.txt" in result.stderr
    assert (documents / "made/notes.txt").read_text() == "mine"


def test_a_run_that_was_stopped_halfway_goes_on_in_its_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    atomic.write_text("half/curve.json", "{}")
    with pytest.raises(InputError):
        outs.claim(outs.Path("half"), "finetune")
    run_record.begin("runs/finetune/0123456789abcdef", {"out": "half"})
    outs.claim(outs.Path("half"), "finetune")
    run_record.note("runs/finetune/0123456789abcdef", state="done")
    with pytest.raises(InputError):
        outs.claim(outs.Path("half"), "finetune")


def test_another_programs_manifest_makes_no_artifact(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content in ('{"name": "web app", "icons": []}', "[]", "{}"):
        atomic.write_text("site/manifest.json", content)
        atomic.write_text("site/page.html", "x")
        with pytest.raises(InputError):
            outs.claim(outs.Path("site"), "curate")
        with pytest.raises(InputError), artifact.create("site") as inside:
            (inside / "x").touch()
        assert (tmp_path / "site/page.html").exists()


def test_compose_writes_over_its_own_file_only(documents, fmcycle):
    result = fmcycle("compose", "out=mine/thesis.txt")
    assert result.returncode == 2 and (documents / "mine/thesis.txt").read_text() == "years of work", result.stderr
    assert fmcycle("compose", "out=../config.yaml").returncode == 2 and not (documents.parent / "config.yaml").exists()
    for _ in range(2):
        assert fmcycle("compose", "out=made.yaml").returncode == 0


def test_a_folder_below_a_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"out=file/a/b: file is a file; choose another out="):
        outs.claim(Path("file/a/b"), "curate")
