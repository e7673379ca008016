import json

import polars as pl
import pytest

from fmcycle.errors import InputError
from fmcycle.source.local import local
from fmcycle.source.reader import read


@pytest.fixture
def folder(tmp_path):
    """One of everything that can go wrong, and three good documents."""
    root = tmp_path / "mine"
    (root / "deep").mkdir(parents=True)
    (root / "good.txt").write_text("A good text.")
    (root / "empty.txt").write_text(" \n ")
    (root / "binary.txt").write_bytes(b"MZ\0\0\1\2")
    (root / "latin.txt").write_bytes("Größe".encode("latin-1"))
    (root / "picture.png").write_bytes(b"\x89PNG")
    (root / "table.xls").write_bytes(b"\xd0\xcf")
    lines = [
        b'{"text": "One.", "licence": "CC0-1.0", "url": 1}',
        b'{"content": "Two."}',
        b"",
        b'{"text": 7}',
        b'{"title": "x"}',
        b"[1]",
        b'{"text": "\xff"}',
        b'{"text": "half',
    ]
    (root / "deep/rows.jsonl").write_bytes(b"\n".join(lines))
    (root / "cut.parquet").write_bytes(b"PAR1" + b"\0" * 40)
    pl.DataFrame({"text": [None, "\0bin"]}, schema={"text": pl.String}).write_parquet(root / "rows.parquet")
    return root


WRONG = {
    ("empty.txt", None): "empty",
    ("binary.txt", None): "binary",
    ("latin.txt", None): "invalid UTF-8 at byte 2",
    ("picture.png", None): "not a .png file: its first bytes are those of another format",
    ("table.xls", None): ".xls: not a supported format; docs/sources.md lists them",
    ("deep/rows.jsonl", 4): "text is not a string but int",
    ("deep/rows.jsonl", 5): "no table fits the columns title; name them, for instance 'source.map={text: title}'",
    ("deep/rows.jsonl", 6): "not a JSON object",
    ("deep/rows.jsonl", 7): "invalid UTF-8 at byte 10",
    ("deep/rows.jsonl", 8): "not valid JSON: half-written?",
    ("rows.parquet", 1): "text is not a string but NoneType",
    ("rows.parquet", 2): "binary",
}


def test_nothing_is_lost_and_every_reason_is_told(folder):
    reading = read(folder)
    found = {(entry["file"], entry["line"]): entry["reason"] for entry in reading.quarantine}
    assert found.pop(("cut.parquet", None)).startswith("not readable as Parquet")
    assert found == WRONG
    assert sum(rows.height for rows in reading.tables.values()) + len(reading.quarantine) == reading.read == 16


def test_what_is_missing_is_filled_honestly(folder):
    rows = {row["id"]: row for row in read(folder).table("documents").to_dicts()}
    assert rows["good.txt"] == {
        "id": "good.txt",
        "text": "A good text.",
        "source": "mine",
        "domain": "unknown",
        "licence": "unknown",
        "group": "good.txt",
        "time": "",
        "type": "text",
        "origin": "unknown",
        "label": "",
        "split": "",
    }
    assert rows["deep/rows.jsonl#1"]["licence"] == "CC0-1.0" and rows["deep/rows.jsonl#1"]["source"] == "deep"
    assert rows["deep/rows.jsonl#2"]["text"] == "Two."


def test_the_local_source_gives_the_same_and_writes_few_files(folder, tmp_path):
    local(tmp_path / "out", path=str(folder), licence="CC-BY-4.0")
    assert {file.name for file in (tmp_path / "out").rglob("*") if file.is_file()} == {
        "files.zip",
        "rows.parquet",
        "cut.parquet",
        "rows.jsonl",
        "licence.json",
    }
    reading = read(tmp_path / "out")
    assert reading.read == 16 and len(reading.quarantine) == 13
    assert set(reading.table("documents")["licence"]) == {"CC-BY-4.0", "CC0-1.0"}


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(InputError, match="leads out of"):
        read(tmp_path / "mine")


def test_conversations_are_known_by_their_columns_and_checked(tmp_path):
    turn, answer = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
    rows = [
        {"messages": [turn, answer]},
        {"messages": [turn]},
        {"messages": []},
        {"messages": [{"role": "robot", "content": "x"}, answer]},
        {"prompt": "Hi", "chosen": "Hello", "rejected": "Go"},
        {"prompt": "Hi", "chosen": "Go", "rejected": "Go"},
        {"text": "How?", "kind": "harmless"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    reading = read(tmp_path)
    assert {name: rows.height for name, rows in reading.tables.items() if rows.height} == {
        "instructions": 1,
        "preferences": 1,
        "prompts": 1,
    }
    assert [entry["line"] for entry in reading.quarantine] == [2, 3, 4, 6]
    assert reading.table("preferences")["prompt"].to_list() == [[turn]]


def test_real_folders_of_many_kinds_are_read_whole(root):
    folder = root.parent / "shared/data"
    if not (folder / "text").is_dir():
        pytest.skip(f"no texts for development in {folder}")
    for name, least in (("text", 5_000_000), ("code", 1_000_000), ("redteam", 100_000)):
        reading = read(folder / name)
        assert sum(rows.height for rows in reading.tables.values()) + len(reading.quarantine) == reading.read > 0
        assert reading.table("documents")["text"].str.len_bytes().sum() > least, name
        assert reading.table("documents")["id"].is_unique().all() and reading.tables["documents"]["row"].is_sorted()


def test_an_id_that_is_there_twice_stays_two_rows(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "text": "One."}\n{"id": "a", "text": "Two."}\n')
    assert read(tmp_path).table("documents")["id"].to_list() == ["a", "a"]
