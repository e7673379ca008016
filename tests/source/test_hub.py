"""A dataset of a hub on this machine, as a source and as an input of a stage."""

import json

import polars as pl
import pytest

from fmcycle.artifact import folder as artifact
from fmcycle.artifact.hub import fetched
from fmcycle.config.compose import compose
from fmcycle.config.selection import pipeline
from fmcycle.errors import ConfigError, InputError
from fmcycle.runner.own_table import curated
from fmcycle.runner.run import perform
from fmcycle.source.hub import hub as source
from fmcycle.source.reader import read

ROWS = [{"question": f"Where is jar {number}?", "answer": f"On shelf {number * 3}."} for number in range(40)]
CARD = "---\nlicense: cc-by-nc-4.0\n---\nRows.\n"
FILES = {"train.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS), "README.md": CARD}


def test_a_source_copies_the_rows_and_names_the_commit(hub, tmp_path):
    sha = hub.add("datasets", "me/rows", FILES)
    with pytest.raises(InputError, match=f"hub:me/rows:9 may move; write source.mine.name=hub:me/rows@{sha}:9"):
        source(tmp_path / "raw/mine", name="hub:me/rows:9")
    source(tmp_path / "raw/mine", name=f"hub:me/rows@{sha}:9")
    record = json.loads((tmp_path / "raw/mine/licence.json").read_text())
    assert record["url"] == f"hub:me/rows@{sha}:9" and record["licence"] == "cc-by-nc-4.0"
    frame = read(tmp_path / "raw").table("instructions")
    assert len(frame) == 9 and set(frame["source"]) == {"mine"} and set(frame["licence"]) == {"cc-by-nc-4.0"}


def test_rows_of_the_hub_become_the_table_that_a_stage_reads(hub, project, capfd):
    sha = hub.add("datasets", "me/rows", FILES)
    found = curated(compose(["stage=finetune", "data=hub:me/rows"]), perform).inputs["instructions"]
    frame = pl.read_parquet(found)
    assert len(frame) == 40 and set(frame["licence"]) == {"cc-by-nc-4.0"} and set(frame["source"]) == {"me--rows"}
    told = capfd.readouterr().out
    assert f"main of hub:me/rows is commit {sha}" in told and "finetune needs curate first" in told
    recorded = artifact.read_json(project / f"{found.rpartition('/')[0]}.provenance.json")
    assert sha in recorded["inputs"]["data"]["path"] and "127.0.0.1" not in json.dumps(recorded)
    before = len(hub.requests)
    assert curated(compose(["stage=finetune", f"data=hub:me/rows@{sha}"]), perform).inputs["instructions"] == found
    assert len(hub.requests) == before


def test_every_door_refuses_a_wrong_reference_before_any_work(hub, project, fmcycle):
    for wrong, why in (
        ("inputs.instructions=hub:me/", "inputs.instructions: hub:me/: not of the form hub:OWNER/NAME@REVISION"),
        ("inputs.instructions=me/rows", "did you mean hub:me/rows?"),
        ("data=hub:me/rows/x/../y", "not of the form"),
    ):
        refused = fmcycle("finetune", wrong)
        assert refused.returncode == 2 and why in refused.stderr and "Traceback" not in refused.stderr, refused.stderr
    refused = fmcycle("collect", "+source@source.mine=hub", "source.mine.name=me/rows", "--cfg", "job")
    assert refused.returncode == 2 and "source.mine.name: must be hub:OWNER/NAME@REVISION (docs/hub.md), not 'me/rows'" in refused.stderr
    refused = fmcycle("finetune", "data=hub:me/rows", env={"HF_HUB_OFFLINE": "1"})
    assert refused.returncode == 2 and "HF_HUB_OFFLINE is set; run `fmcycle fetch dataset hub:me/rows`" in refused.stderr
    refused = fmcycle("fetch", "dataset", "hub:me/nothing")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "shows no dataset of this name" in refused.stderr


def test_the_pipeline_takes_commits_alone(hub, project):
    sha = hub.add("datasets", "me/rows", FILES)
    chosen = "stages:\n  collect: {+source@source.mine: hub, source.mine.name: '%s'}\n"
    (project / "params.yaml").write_text(chosen % "hub:me/rows@main")
    with pytest.raises(ConfigError, match=r"source.mine.name: hub:me/rows@main: main may move, and the pipeline takes commits alone"):
        pipeline()
    (project / "params.yaml").write_text(chosen % f"hub:me/rows@{sha}")
    assert pipeline()["collect"]["source"]["mine"]["name"] == f"hub:me/rows@{sha}"
    (project / "params.yaml").write_text("model: 'hub:me/tiny@v1'\n")
    with pytest.raises(ConfigError, match=r"params.yaml: model: hub:me/tiny@v1: v1 may move, and the pipeline takes commits alone"):
        pipeline()


def test_a_stage_of_the_pipeline_reads_the_cache_alone(hub, tmp_path, monkeypatch):
    name = f"hub:me/rows@{hub.add('datasets', 'me/rows', FILES)}"
    monkeypatch.setenv("DVC_STAGE", "collect")
    with pytest.raises(InputError, match=f"a stage of the pipeline fetches nothing; run `fmcycle fetch dataset {name}`"):
        source(tmp_path / "raw/mine", name=name)
    assert not hub.requests
    monkeypatch.delenv("DVC_STAGE")
    fetched(name, "dataset")
    before = len(hub.requests)
    monkeypatch.setenv("DVC_STAGE", "collect")
    source(tmp_path / "raw/mine", name=name)
    assert len(read(tmp_path / "raw").table("instructions")) == 40 and len(hub.requests) == before
