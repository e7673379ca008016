"""Two clones of one project and a DVC remote between them: what one knows of its artifacts, the other knows too, or it says so."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import provenance, vouched
from fmcycle.cli import forget, lineage, trace
from fmcycle.errors import InputError

RUN = "exec env PYTHONPATH=src python -m fmcycle.cli.main"
STEP = {"_target_": "fmcycle.curation.text.normalize", "_partial_": True}
SECTIONS = {
    "collect": {"source": {}},
    "curate": {"curation": {"normalize": STEP}, "order": {"curation": ["normalize"]}},
    "tokens": {},
    "pretrain": {},
    "finetune": {},
}
INPUTS = {
    "collect": {"erased": "erased.jsonl"},
    "curate": {"data": "data"},
    "tokens": {"documents": "artifacts/curate/documents.parquet"},
    "pretrain": {"tokens": "artifacts/tokens", "documents": "artifacts/curate/documents.parquet"},
    "finetune": {"model": "artifacts/pretrain/model", "instructions": "artifacts/curate/instructions.parquet"},
}
OUTS = {"pretrain": ["artifacts/pretrain/model", "artifacts/pretrain/curve.json"], "finetune": ["artifacts/finetune/model"]}


def run(*command: str, cwd: Path | str = ".") -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def dvc(*arguments: str, cwd: Path | str = ".") -> None:
    run(sys.executable, "-m", "dvc", *arguments, cwd=cwd)


def write(folder: str, **files: str | pl.DataFrame) -> None:
    with artifact.create(folder) as partial:
        for name, content in files.items():
            file = partial / name.replace("__", "/").replace("_dot_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            content.write_parquet(file) if isinstance(content, pl.DataFrame) else file.write_text(content)


def make_artifacts() -> None:
    """What the stages left, in small: a document of Jo Doe's, its shard, a model of it, and one made of that."""
    rows = [{"id": f"d{n}", "text": f"Text {n} of Jo Doe." if n == 1 else f"Text {n}.", "group": f"{n}"} for n in range(3)]
    write("sources", mine__d_dot_jsonl="".join(json.dumps(row) + "\n" for row in rows))
    shutil.copytree("sources", "data")
    common = {name: pl.lit(value) for name, value in (("source", "mine"), ("licence", "MIT"), ("split", "train"), ("domain", "unknown"))}
    kept, asked = (pl.DataFrame(some).with_columns(**common) for some in (rows, [{"id": "i1", "messages": [], "document": "d0"}]))
    write("artifacts/curate", documents_dot_parquet=kept, instructions_dot_parquet=asked, quarantine_dot_jsonl="")
    write("artifacts/tokens", train__shard_dot_parquet=pl.DataFrame({"id": ["d0", "d1"], "start": [0, 5], "length": [5, 7]}))
    write("artifacts/pretrain/model", weights="pretrained")
    Path("artifacts/pretrain/curve.json").write_text("{}")
    write("artifacts/finetune/model", weights="tuned")


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    """A git and DVC project whose graph has run, its outs pushed to a remote; the provenance of its stages lies beside them."""
    folder = tmp_path_factory.mktemp("first")
    graph = {}
    for stage, inputs in INPUTS.items():
        given = " ".join(f"inputs.{name}={path}" for name, path in inputs.items())
        outs = OUTS.get(stage, ["sources" if stage == "collect" else f"artifacts/{stage}"])
        graph[stage] = {"cmd": f"{RUN} {stage} selection=params.yaml base=require {given}", "deps": list(inputs.values()), "outs": outs}
        graph[stage]["params"] = [{"artifacts/config.yaml": [stage, f"code.{stage}"]}]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in ("init -q -b main", "config user.name t", "config user.email t@localhost"):
            run("git", *command.split())
        dvc("init", "-q")
        shutil.copy(Path(__file__).parents[2] / ".gitignore", ".gitignore")
        make_artifacts()
        Path("erased.jsonl").touch()
        codes = {stage: f"code of {stage}" for stage in SECTIONS}
        Path("artifacts/config.yaml").write_text(yaml.safe_dump(SECTIONS | {"code": codes}))
        Path("dvc.yaml").write_text(yaml.safe_dump({"stages": graph}))
        dvc("add", "-q", "data")
        dvc("commit", "-q", "-f")
        for stage, inputs in INPUTS.items():
            given = {name: {"path": path, "digest": artifact.digest(path)} for name, path in inputs.items()}
            out, identity = "sources" if stage == "collect" else f"artifacts/{stage}", artifact.digest_of([stage, "an identity"])
            times = {"start": "2026-01-01T00:00:00", "seconds": 1.0}
            provenance.record(out, stage, identity, SECTIONS[stage], codes[stage], given, times)
        dvc("remote", "add", "-q", "-d", "team", str(tmp_path_factory.mktemp("remote")))
        dvc("push", "-q")
        run("git", "add", "-A")
        run("git", "commit", "-q", "-m", "all")
    return folder


def clone(first: Path, folder: Path, monkeypatch, *pulled: str, record: bool) -> Path:
    """Another clone, in which `dvc pull` brought what is named, or all; without `record` the provenance was never committed."""
    run("git", "clone", "-q", str(first), str(folder))
    dvc("pull", "-q", *pulled, cwd=folder)
    if not record:
        for file in [*folder.glob("artifacts/*.provenance.json"), *folder.glob("*.provenance.json")]:
            file.unlink()
    monkeypatch.chdir(folder)
    return folder


def told(capsys, function, *arguments) -> list[str]:
    capsys.readouterr()
    function(*arguments)
    return capsys.readouterr().out.splitlines()


def everything(capsys) -> list[list[str]]:
    """What the three commands say, without the words for where they know it from."""
    said = [
        told(capsys, lineage.show, "artifacts/finetune/model"),
        told(capsys, forget.main, ["--match", "jo doe"]),
        told(capsys, trace.main, ["doc", "d1"]),
    ]
    return [[line.partition(" identity ")[0].partition(" from dvc.lock")[0].partition(" (")[0] for line in lines] for lines in said]


def test_git_takes_the_record_with_it(first):
    names = subprocess.run(["git", "ls-files"], cwd=first, capture_output=True, text=True, check=True).stdout.split()
    assert {"sources.provenance.json", *(f"artifacts/{stage}.provenance.json" for stage in INPUTS if stage != "collect")} <= set(names)
    assert not [name for name in names if name.startswith(("data/", "sources/")) or name.endswith(".parquet")]


@pytest.mark.parametrize("record", [True, False])
def test_a_clone_that_pulled_knows_what_the_first_one_knows(record, first, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(first)
    here = everything(capsys)
    assert any("curate" in line for line in here[0]) and "artifacts/finetune/model: made by finetune from data that holds it" in here[1]
    assert any(line.startswith("source       data/mine/d.jsonl, at byte") for line in here[2])
    clone(first, tmp_path / "second", monkeypatch, record=record)
    there = everything(capsys)
    assert [line for line in here[0] if "sources" not in line] == there[0]
    assert [line for line in here[1] if not line.startswith("sources")] == there[1] and here[2] == there[2]


def test_the_record_says_the_same_identity_in_both(first, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(first)
    here = told(capsys, lineage.show, "artifacts/finetune/model")
    clone(first, tmp_path / "second", monkeypatch, record=True)
    assert told(capsys, lineage.show, "artifacts/finetune/model") == here
    assert vouched.records({}) == ([], [])


@pytest.mark.parametrize("record", [True, False])
def test_what_was_not_pulled_is_named_and_not_left_out(record, first, tmp_path, monkeypatch, capsys):
    clone(first, tmp_path / "second", monkeypatch, "data.dvc", "curate", record=record)
    found = told(capsys, forget.main, ["--match", "jo doe"])
    assert "artifacts/curate/documents.parquet: 1 rows" in found
    for out, stage in (("artifacts/tokens", "tokens"), ("artifacts/pretrain/model", "pretrain"), ("artifacts/finetune/model", "finetune")):
        assert f"{out}: made by {stage} from data that holds it; not here, but dvc.lock names it" in found
    way = told(capsys, trace.main, ["doc", "d1"])
    assert [line for line in way if line.startswith("shard        artifacts/tokens: not here") and "`dvc pull tokens`" in line]
    assert [line for line in way if line.startswith("model        artifacts/pretrain/model") and line.endswith("; not here")]


def test_curated_tables_that_are_not_here_are_not_taken_for_empty(first, tmp_path, monkeypatch, capsys):
    clone(first, tmp_path / "second", monkeypatch, "data.dvc", record=False)
    found = told(capsys, forget.main, ["--match", "jo doe"])
    assert "artifacts/curate: not here; run `dvc pull curate` to know what it holds" in found
    assert "artifacts/finetune/model: made by finetune from data that holds it; not here, but dvc.lock names it" in found
    with pytest.raises(InputError, match="`dvc pull curate`"):
        trace.main(["doc", "d1"])


def test_a_version_of_which_nothing_tells_is_refused(first, tmp_path, monkeypatch):
    clone(first, tmp_path / "second", monkeypatch, record=False)
    write("artifacts/curate", documents_dot_parquet=pl.read_parquet("artifacts/curate/documents.parquet").head(2))
    for command in (
        lambda: forget.main(["--match", "jo doe"]),
        lambda: trace.main(["doc", "d1"]),
        lambda: lineage.show("artifacts/curate"),
    ):
        with pytest.raises(InputError, match=r"artifacts/curate: neither a provenance beside it nor dvc\.lock tells") as error:
            command()
        assert "dvc checkout --force artifacts/curate" in str(error.value)


def test_without_a_lock_the_tables_are_looked_at_all_the_same(first, tmp_path, monkeypatch, capsys):
    clone(first, tmp_path / "second", monkeypatch, record=False)
    Path("dvc.lock").unlink()
    assert "artifacts/tokens/train/shard.parquet: 1 rows" in told(capsys, forget.main, ["--match", "jo doe"])
    with pytest.raises(InputError, match="its origin is unknown"):
        lineage.show("artifacts/finetune/model")


def test_a_record_of_another_version_gives_way_to_the_lock(first, tmp_path, monkeypatch, capsys):
    """DVC's run cache brings back an earlier version of an out, and the record beside it tells of the later one."""
    clone(first, tmp_path / "second", monkeypatch, record=True)
    file = Path("artifacts/tokens.provenance.json")
    entry = json.loads(file.read_text())
    file.write_text(json.dumps(entry | {"outs": dict.fromkeys(entry["outs"], "other"), "inputs": {}}))
    assert "artifacts/pretrain/model: made by pretrain from data that holds it" in told(capsys, forget.main, ["--match", "jo doe"])
    shown = "\n".join(told(capsys, lineage.show, "artifacts/tokens"))
    assert "tokens from dvc.lock" in shown and "documents: artifacts/curate/documents.parquet" in shown


def test_what_a_run_by_hand_left_elsewhere_is_found(first, tmp_path, monkeypatch, capsys):
    clone(first, tmp_path / "second", monkeypatch, record=True)
    write("mine/tuned", weights="mine")
    given = {"documents": {"path": "artifacts/curate/documents.parquet", "digest": artifact.digest("artifacts/curate/documents.parquet")}}
    provenance.record("mine/tuned", "pretrain", "by hand", {}, "code", given, {"start": "2026-01-01T00:00:00", "seconds": 1.0})
    Path("runs/pretrain/0123456789abcdef").mkdir(parents=True)
    Path("runs/pretrain/0123456789abcdef/run.json").write_text(json.dumps({"out": "mine/tuned"}))
    assert "mine/tuned: made by pretrain from data that holds it" in told(capsys, forget.main, ["--match", "jo doe"])


def test_the_deployed_model_is_named_unless_another_origin_is_known(first, tmp_path, monkeypatch, capsys):
    clone(first, tmp_path / "second", monkeypatch, record=True)
    line = "deployed.json: the deployed model stays until a new package passes its gate"
    Path("deployed/tag").mkdir(parents=True)
    Path("deployed.json").write_text(json.dumps({"current": "tag", "history": []}))
    for model, listed in ((artifact.digest("artifacts/finetune/model"), True), ("of an earlier lifecycle", True)):
        Path("deployed/tag/package.json").write_text(json.dumps({"model": model}))
        assert (line in told(capsys, forget.main, ["--match", "jo doe"])) == listed
    write("mine/other", weights="of other data")
    provenance.record("mine/other", "pretrain", "other", {}, "code", {}, {"start": "2026-01-01T00:00:00", "seconds": 1.0})
    shutil.move("mine/other.provenance.json", "artifacts/other.provenance.json")
    Path("deployed/tag/package.json").write_text(json.dumps({"model": artifact.digest("mine/other")}))
    assert line not in told(capsys, forget.main, ["--match", "jo doe"])
