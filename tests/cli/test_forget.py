"""A whole tiny project: a document is traced into its shard and its model, forgotten, and does not come back."""

import json
import sys
from pathlib import Path

import polars as pl
import pytest
import tiny

from fmcycle.cli import forget, trace
from fmcycle.errors import InputError

ENTRY = {"code": "c", "revision": "", "section": {}, "times": {}}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Provenances of a curation, its shards and two models, the second from the first; a raw folder; no model weights."""
    monkeypatch.chdir(tmp_path)
    Path("data/mine").mkdir(parents=True)
    rows = [{"id": f"d{n}", "text": f"Text {n} of Jo Doe." if n == 1 else f"Text {n}.", "group": "g"} for n in range(4)]
    Path("data/mine/d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    talk = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "A person."}]
    Path("data/mine/i.jsonl").write_text(json.dumps({"id": "i", "messages": talk, "document": "d1"}) + "\n")
    for folder in ("artifacts/curate", "artifacts/tokens/train", "artifacts/pretrain/model", "artifacts/finetune/model"):
        Path(folder).mkdir(parents=True)
    kept = pl.DataFrame(rows[:3]).with_columns(
        source=pl.lit("mine"), licence=pl.lit("MIT"), split=pl.lit("train"), domain=pl.lit("unknown")
    )
    kept.write_parquet("artifacts/curate/documents.parquet")
    verdict = {"reason": "too short", "rule": "words < 9", "value": "2", "step": "quality"}
    dropped = pl.DataFrame([rows[3] | verdict]).with_columns(
        source=pl.lit("mine"), licence=pl.lit("MIT"), split=pl.lit("train"), domain=pl.lit("unknown")
    )
    dropped.write_parquet("artifacts/curate/dropped.parquet")
    pl.DataFrame({"id": ["d0", "d1"], "start": [0, 5], "length": [5, 7]}).write_parquet("artifacts/tokens/train/shard-00000.parquet")
    for folder in ("pretrain", "finetune"):
        Path(f"artifacts/{folder}/model/manifest.json").write_text("{}")
    step = {"_target_": "fmcycle.curation.privacy.mask", "_partial_": True}
    quality = {"_target_": "fmcycle.curation.quality.gopher", "_partial_": True}
    record(
        "curate",
        {"data": ("data", "1")},
        {"documents.parquet": "2", "dropped.parquet": "3"},
        curation={"privacy": step, "quality": quality},
        order={"curation": ["privacy", "quality"]},
    )
    record("tokens", {"documents": ("artifacts/curate/documents.parquet", "2")}, {"train/shard-00000.parquet": "4"})
    record("pretrain", {"tokens": ("artifacts/tokens", "4")}, {"model": "5"})
    record("finetune", {"model": ("artifacts/pretrain/model", "other bytes")}, {"model": "6"})
    return tmp_path


def record(stage, inputs, outs, **section):
    entry = ENTRY | {"stage": stage, "identity": stage * 9, "section": section}
    entry |= {"inputs": {name: {"path": path, "digest": digest} for name, (path, digest) in inputs.items()}}
    entry |= {"outs": {f"artifacts/{stage}/{name}": digest for name, digest in outs.items()}}
    Path(f"artifacts/{stage}.provenance.json").write_text(json.dumps(entry))


def test_a_documents_way_is_told_from_its_byte_to_the_models(made, capsys):
    assert trace.main(["doc", "d1"]) == 0
    told = capsys.readouterr().out
    place = Path("data/mine/d.jsonl").read_text().index('{"id": "d1"')
    assert f"data/mine/d.jsonl, at byte {place}" in told and "artifacts/tokens/train/shard-00000.npy: tokens 5 to 12" in told
    assert "privacy      kept" in told and "artifacts/pretrain/model (pretrain" in told and "artifacts/finetune/model" not in told
    assert trace.main(["doc", "d3"]) == 0
    told = capsys.readouterr().out
    assert "privacy      kept" in told and "quality      dropped: too short (words < 9: 2)" in told and "shard" not in told
    with pytest.raises(InputError, match="no row of artifacts/curate has this id"):
        trace.main(["doc", "d9"])


def test_what_a_rule_removed(made, capsys):
    for name in ("quality", "too short", "words < 9", "words"):
        trace.main(["rule", name])
        assert "1 rows of mine: too short (words < 9)" in (told := capsys.readouterr().out) and "Text 3." in told
    with pytest.raises(InputError, match="there are quality, too short, words < 9"):
        trace.main(["rule", "none"])


def test_two_versions_differ_in_what_came_went_and_changed(made, capsys):
    Path("old").mkdir()
    old = pl.read_parquet("artifacts/curate/documents.parquet").with_columns(pl.col("text").str.replace("Text 0", "Text zero"))
    pl.concat([old.filter(pl.col("id") != "d2"), old.head(1).with_columns(id=pl.lit("d3"))]).write_parquet("old/documents.parquet")
    trace.main(["diff", "old", "artifacts/curate"])
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"came 1 mine", "went 1 mine", "changed 1 mine", "same 1 mine", "went d3: too short (words < 9: 2)"} <= set(told)
    assert "dropped 0 -> 1 too short (words < 9)" in told


def test_forgetting_names_every_holder_and_changes_nothing_by_itself(made, capsys):
    before = {file: file.read_bytes() for file in made.rglob("*") if file.is_file()}
    assert forget.main(["--match", "jo doe"]) == 0
    told = capsys.readouterr().out
    for line in (
        "data/mine/d.jsonl: 1 rows",
        "data/mine/i.jsonl: 1 rows",  # asks about it
        "artifacts/curate/documents.parquet: 1 rows",
        "artifacts/tokens/train/shard-00000.parquet: 1 rows",
        "artifacts/pretrain/model: made by pretrain",
        "artifacts/finetune/model: made by finetune",
    ):
        assert line in told
    assert {file: file.read_bytes() for file in made.rglob("*") if file.is_file()} == before
    forget.main(["--match", "nobody"])
    assert "nothing under data/ holds nobody" in capsys.readouterr().out
    for wrong in ([], ["--match"], ["--all", "x"], ["--regex", "("]):
        with pytest.raises(InputError, match="forget"):
            forget.main(wrong)


def test_what_people_said_of_answers_is_listed_too(made, capsys):
    for file in ("feedback/snapshots/1.parquet", "data/feedback/feedback.parquet"):
        Path(file).parent.mkdir(parents=True)
        pl.DataFrame({"answer_id": ["1", "2"], "prompt": [[{"content": "Who is Jo Doe?"}], [{"content": "Why?"}]]}).write_parquet(file)
    forget.main(["--match", "Jo Doe"])
    told = capsys.readouterr().out
    assert "feedback/snapshots/1.parquet: 1 rows" in told and "data/feedback/feedback.parquet: 1 rows" in told


def test_the_list_is_written_on_apply(made, capsys):
    forget.main(["--source", "mine", "--apply"])
    assert Path("erased.jsonl").read_text() == '{"source": "mine"}\n'
    forget.main(["--regex", r"jo\s+doe", "--apply"])
    assert len(Path("erased.jsonl").read_text().splitlines()) == 3 and "Doe" not in Path("erased.jsonl").read_text()


@pytest.mark.prove
def test_what_was_forgotten_does_not_come_back(tmp_path):
    folder = tiny.make(tmp_path / "project")
    environment = {"PYTHONPATH": str(folder / "src")}

    def fmcycle(*arguments):
        done = tiny.run(folder, sys.executable, "-m", "fmcycle.cli.main", *arguments, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def repro(target):
        done = tiny.run(folder, sys.executable, "-m", "dvc", "repro", target)
        assert done.returncode == 0, done.stdout + done.stderr

    repro("tokens")
    documents = pl.read_parquet(folder / "artifacts/curate/documents.parquet")
    row = documents.filter(pl.col("split") == "train").to_dicts()[0]
    assert row["id"] in fmcycle("trace", "doc", row["id"])
    told = fmcycle("forget", "--match", row["text"], "--apply")
    assert "artifacts/tokens/train/shard-00000.parquet: 1 rows" in told and "stages to run again: collect, curate" in told
    for place in ("sources", "data"):
        assert not any(row["text"].split("\n")[-1].encode() in file.read_bytes() for file in (folder / place).rglob("*") if file.is_file())
    repro("tokens")
    assert row["id"] not in set(pl.read_parquet(folder / "artifacts/curate/documents.parquet")["id"])
    assert "nothing under data/" in fmcycle("forget", "--match", row["text"])
