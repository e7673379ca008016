import subprocess

import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import provenance
from fmcycle.cli import lineage


def test_identity_is_what_was_read_and_run_and_nothing_else():
    section = {"model": {"hidden_size": 8}, "seed": 0}
    first = provenance.identity(section, "code", {"documents": "abc"})
    assert first == provenance.identity(dict(reversed(section.items())), "code", {"documents": "abc"})
    assert first != provenance.identity(section, "other", {"documents": "abc"})
    assert first != provenance.identity(section, "code", {"documents": "abd"})
    assert first != provenance.identity(section | {"seed": 1}, "code", {"documents": "abc"})


def test_the_way_back_from_an_artifact_to_what_it_was_made_from(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    times = {"start": "2026-01-01T00:00:00", "seconds": 1.0}
    for stage, inputs in (("curate", {}), ("pretrain", {"documents": "artifacts/curate"})):
        out = tmp_path / "artifacts" / stage
        with artifact.create(out) as partial:
            (partial / "file").write_text(stage)
        given = {name: {"path": path, "digest": artifact.digest(path)} for name, path in inputs.items()}
        provenance.record(f"artifacts/{stage}", stage, f"identity-{stage}", {}, "code", given, times)
    lineage.show("artifacts/pretrain")
    shown = capsys.readouterr().out
    assert shown.index("pretrain") < shown.index("documents: artifacts/curate") < shown.index("curate identity identity-cur")


def test_a_revision_tells_of_changed_code_and_not_of_what_stages_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert provenance.revision() == ""
    files = ("code.py", "dvc.lock", "artifacts/curate.provenance.json", "sources.provenance.json")
    (tmp_path / "artifacts").mkdir()
    for name in files:
        (tmp_path / name).write_text("before")
    for command in ("init -q", "add -A", "-c user.name=t -c user.email=t@localhost commit -q -m t"):
        subprocess.run(["git", *command.split()], check=True)
    for name in files[1:]:
        (tmp_path / name).write_text("after")
    assert len(provenance.revision()) == 40
    (tmp_path / "code.py").write_text("after")
    assert provenance.revision().endswith("+")


def test_git_keeps_the_records_that_a_clone_needs_to_tell_where_an_artifact_is_from(root):
    stages = [name for name in yaml.safe_load((root / "dvc.yaml").read_text())["stages"] if name != "compose"]
    records = [*(f"artifacts/{name}.provenance.json" for name in stages if name != "collect"), "sources.provenance.json"]
    ignored = subprocess.run(
        ["git", "check-ignore", *records, "artifacts/curate/documents.parquet"], cwd=root, capture_output=True, text=True
    )
    assert ignored.stdout.split() == ["artifacts/curate/documents.parquet"]
