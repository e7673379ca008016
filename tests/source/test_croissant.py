import json
import subprocess
from pathlib import Path

import polars as pl
import pytest

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.source.croissant import describe
from fmcycle.tables import schema

REQUIRED = {"@context", "@type", "conformsTo", "name", "description", "license", "url", "creator", "datePublished"}  # by the format, 1.0


@pytest.fixture
def folder(tmp_path):
    """Two tables, one with turns."""
    common = {"source": "made", "licence": "MIT"}
    documents = [{"id": "a", "text": "One.", "time": "2024-02-09"}, {"id": "b", "text": "Two.", "time": "2023-01-01T10:00:00"}]
    talk = [{"id": "i", "messages": schema.ask("Hi?", "Hello.")}]
    schema.write(tmp_path, {"documents": documents, "instructions": talk}, **common)
    return tmp_path


def test_every_required_field_is_there_and_every_column_is_described(folder):
    found = describe(folder)
    assert set(found) >= REQUIRED and found["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert (found["license"], found["creator"], found["datePublished"]) == (
        ["MIT"], [{"@type": "sc:Organization", "name": "made"}], "2024-02-09",
    )  # fmt: skip
    for entry in found["distribution"]:
        assert entry["sha256"] == artifact.sha256(folder / entry["contentUrl"]) and entry["@type"] == "cr:FileObject"
    for record_set in found["recordSet"]:
        frame = pl.read_parquet(folder / f"{record_set['name']}.parquet")
        assert [column["name"] for column in record_set["field"]] == frame.columns
        assert {column["source"]["extract"]["column"] for column in record_set["field"]} == set(frame.columns)
    (messages,) = (field for field in found["recordSet"][1]["field"] if field["name"] == "messages")
    assert messages["repeated"] and [part["name"] for part in messages["subField"]] == ["role", "content"]


def test_the_same_tables_are_the_same_version_and_others_another(folder, tmp_path):
    before = describe(folder)
    assert before == describe(folder)
    schema.write(folder, {"documents": [{"id": "c", "text": "Three."}]}, source="made", licence="CC0-1.0")
    after = describe(folder)
    assert before["url"].startswith("ni:///sha-256;") and len(before["url"]) == 57 and before["url"] != after["url"]
    assert before["identifier"] != after["identifier"] and after["license"] == ["CC0-1.0", "MIT"] and "datePublished" not in after


def test_the_reference_implementation_finds_no_error_and_reads_the_rows(folder, root):
    python = root / ".cache/benchmarks/mlcroissant/bin/python"
    if not python.is_file():
        pytest.skip(f"mlcroissant is not in {Path(python).parents[1]}; make it with python -m venv and pip install mlcroissant pyarrow")
    atomic.write_json(folder / "croissant.json", describe(folder))
    code = (
        "import json, sys, mlcroissant as m; d = m.Dataset(jsonld=sys.argv[1]);"
        "print(json.dumps([sorted(d.metadata.ctx.issues.errors), [r['documents/text'].decode() for r in d.records('documents')]]))"
    )
    done = subprocess.run([str(python), "-c", code, str(folder / "croissant.json")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [[], ["One.", "Two."]]
