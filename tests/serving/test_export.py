"""Snapshots: what is new, in order, without personal data, never twice, and under DVC."""

import hashlib
import shutil
import subprocess
import sys

import polars as pl
import pytest

from fmcycle.errors import InputError
from fmcycle.serving.export import export
from fmcycle.serving.store import Store
from fmcycle.source.feedback import COLUMNS, feedback

SAID = {"rating": 1, "comment": "write to a@b.com", "corrected": "", "preferred": "", "role": "user"}


def add(store, name, *media, **changes):
    prompt = [{"role": "user", "content": "Call 415-555-0132?"}]
    row = {"answer_id": name, "time": f"2026-01-01T00:00:0{name[-1]}", "kind": "chat", "prompt": prompt, "answer": "Yes."}
    row |= {"finish": "stop", "model": "m", "processor": "p", "config": "c", "prompt_tokens": 3, "answer_tokens": 2}
    store.add_answer(row | {"latency": 0.5, "refused": False} | changes, media)


@pytest.fixture
def store(tmp_path):
    return Store(f"sqlite:///{tmp_path}/store/feedback.db")


def snapshots(root):
    return sorted((root / "feedback/snapshots").glob("*.parquet"))


def test_a_snapshot_holds_the_contracts_columns_and_no_personal_data(tmp_path, store):
    add(store, "ans-1")
    store.add_feedback("ans-1", "t", SAID)
    assert "1 interactions, 1 with feedback" in export(tmp_path, store)
    frame = pl.read_parquet(snapshots(tmp_path)[0])
    assert frame.columns == list(COLUMNS) and frame["rating"].to_list() == [1]
    assert frame["prompt"][0][0]["content"] == "Call <phone>?" and frame["comment"][0] == "write to <email>"


def test_only_what_is_new_or_changed_is_written_and_nothing_is_rewritten(tmp_path, store):
    add(store, "ans-1")
    export(tmp_path, store)
    before = snapshots(tmp_path)[0].read_bytes()
    assert "nothing new" in export(tmp_path, store) and len(snapshots(tmp_path)) == 1
    add(store, "ans-2")
    store.add_feedback("ans-1", "t", SAID)
    export(tmp_path, store)
    assert snapshots(tmp_path)[0].read_bytes() == before
    assert pl.read_parquet(snapshots(tmp_path)[1])["answer_id"].to_list() == ["ans-1", "ans-2"]


def test_the_same_store_gives_the_same_bytes(tmp_path, store):
    for number in range(3):
        add(store, f"ans-{number}")
    for name in ("a", "b"):
        export(tmp_path / name, store)
    assert [file.name for file in snapshots(tmp_path / "a")] == [file.name for file in snapshots(tmp_path / "b")]
    assert snapshots(tmp_path / "a")[0].read_bytes() == snapshots(tmp_path / "b")[0].read_bytes()


def classified(store, name, content, **changes):
    digest = hashlib.sha256(content).hexdigest()
    prompt = [{"role": "user", "content": f"[{len(content)} bytes, sha256 {digest}]", "media": digest}]
    add(store, name, content, kind="classification", prompt=prompt, answer='["cat"]', **changes)
    return digest


def test_every_kind_is_exported_and_only_chats_teach_instructions(tmp_path, store):
    for number, kind in enumerate(("chat", "image_chat", "completion", "image", "embedding")):
        add(store, f"ans-{number}", kind=kind)
        store.add_feedback(f"ans-{number}", "t", SAID | {"corrected": "No."})
    export(tmp_path, store)
    frame = pl.read_parquet(snapshots(tmp_path)[0])
    assert frame["kind"].to_list() == ["chat", "image_chat", "completion", "image", "embedding"]
    assert frame["prompt"].list.len().to_list() == [1, 1, 1, 1, 0], "of vectors no texts: there may be a whole corpus of them"
    feedback(tmp_path / "out", path=str(tmp_path / "feedback"))
    for name in ("instructions", "preferences"):
        assert pl.read_parquet(tmp_path / f"out/{name}.parquet")["id"].to_list() == ["feedback/ans-0"]
    assert not (tmp_path / "out/documents.parquet").exists() and not (tmp_path / "out/examples.parquet").exists()


def test_bytes_are_exported_once_and_only_where_somebody_said_what_they_are(tmp_path, store):
    first, second = (classified(store, name, content) for name, content in (("ans-1", b"one"), ("ans-2", b"two")))
    assert classified(store, "ans-3", b"two") == second
    folder = tmp_path / "feedback/snapshots/media"
    export(tmp_path, store)
    assert not folder.exists() and pl.read_parquet(snapshots(tmp_path)[0])["media"].to_list() == [[first], [second], [second]]
    for name in ("ans-2", "ans-3"):
        store.add_feedback(name, "t", SAID | {"corrected": "dog"})
    store.add_feedback("ans-1", "t", SAID | {"rating": -1})
    export(tmp_path, store)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {second: b"two"}


def test_a_snapshot_of_before_is_read_and_its_answers_are_not_exported_again(tmp_path, store):
    add(store, "ans-1")
    export(tmp_path, store)
    file = snapshots(tmp_path)[0]
    pl.read_parquet(file).drop("kind", "media").write_parquet(file)
    assert "nothing new" in export(tmp_path, store)


def test_the_source_reads_what_is_exported_and_the_latest_word_counts(tmp_path, store):
    add(store, "ans-1")
    store.add_feedback("ans-1", "t", SAID)
    export(tmp_path, store)
    store.add_feedback("ans-1", "t", SAID | {"rating": -1, "corrected": "No.", "comment": ""})
    export(tmp_path, store)
    (tmp_path / "out").mkdir()
    feedback(tmp_path / "out", path=str(tmp_path / "feedback"))
    row = pl.read_parquet(tmp_path / "out/feedback.parquet").to_dicts()[0]
    assert (row["rating"], row["corrected"]) == (-1, "No.")
    assert pl.read_parquet(tmp_path / "out/preferences.parquet")["chosen"].to_list() == ["No."]


def test_dvc_takes_the_snapshots_and_a_clone_without_them_refuses(tmp_path, store):
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    add(store, "ans-1")
    export(tmp_path, store)
    pointer = tmp_path / "feedback/snapshots.dvc"
    first = pointer.read_text()
    classified(store, "ans-2", b"picture")
    store.add_feedback("ans-2", "t", SAID)
    export(tmp_path, store)
    assert pointer.read_text() != first and len(snapshots(tmp_path)) == 2
    shutil.rmtree(tmp_path / "feedback/snapshots")
    with pytest.raises(InputError, match="0 of 3 files"):
        export(tmp_path, store)
