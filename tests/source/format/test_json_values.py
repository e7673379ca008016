"""JSON files that are no lines: what is in them, and what is wrong with them."""

import io
import json

import pytest

from fmcycle.source.format import json_values
from fmcycle.source.reader import read

GOOD = [{"text": "One [of] {many}, it says."}, {"text": 'größe \U0001f600 \\ "'}, {"text": "Three.", "id": "c", "score": 1.5}]


def told(reading):
    assert sum(frame.height for frame in reading.tables.values()) + len(reading.quarantine) == reading.read
    return [(entry["file"], entry["line"], entry["reason"]) for entry in reading.quarantine]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(GOOD).encode(),
        b"\xef\xbb\xbf" + json.dumps(GOOD, indent=2, ensure_ascii=False).encode(),
        "\n".join(map(json.dumps, GOOD)).encode(),
        b"".join(json.dumps(row).encode() for row in GOOD),
    ],
    ids=["array", "indented, with byte order mark", "lines", "one behind another"],
)
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_rows_are_read_however_they_stand_and_are_cut(tmp_path, monkeypatch, content, chunk):
    monkeypatch.setattr(json_values, "CHUNK", chunk)
    (tmp_path / "a.json").write_bytes(content)
    reading = read(tmp_path)
    assert reading.table("documents").select("id", "text").rows() == [
        ("a.json#1", GOOD[0]["text"]), ("a.json#2", GOOD[1]["text"]), ("c", "Three."),
    ]  # fmt: skip
    assert told(reading) == []


def test_one_object_is_one_row_and_a_setting_is_none(tmp_path):
    talk = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]
    (tmp_path / "a.json").write_text(json.dumps({"messages": talk}))
    (tmp_path / "b.json").write_text('{"name": "a package", "version": 1}')
    reading = read(tmp_path)
    assert reading.table("instructions")["messages"].to_list() == [talk]
    assert told(reading) == [
        (
            "b.json",
            1,
            "no table fits the columns name, version; name them, for instance 'source.map={prompt: name, completion: version}'",
        )
    ]


def test_what_is_wrong_with_a_value_spoils_it_alone(tmp_path):
    (tmp_path / "a.json").write_bytes(
        b'[{"text": "good"}, {"text": "\xff"}, {"text": "a", "text": "b"}, 7, null, {"text": NaN}, {"text": "\\ud83d"}, {"text": "end"}]'
    )
    reading = read(tmp_path)
    assert reading.table("documents")["text"].to_list() == ["good", "end"]
    assert told(reading) == [
        ("a.json", 2, "invalid UTF-8 at byte 10"),
        ("a.json", 3, "the key 'text' twice"),
        ("a.json", 4, "not a JSON object"),
        ("a.json", 5, "not a JSON object"),
        ("a.json", 6, "text is not a string but NoneType"),
        ("a.json", 7, "half of a surrogate pair"),
    ]


@pytest.mark.parametrize("content", [b'[{"text": "good"}, {"text": "ha', b'[{"text": "good"}, ', b'[{"text": "good"}'])
def test_a_file_that_is_cut_short_is_told(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    reading = read(tmp_path)
    assert reading.table("documents")["text"].to_list() == ["good"]
    assert told(reading) == [("a.json", 2, "not valid JSON: half-written?")]


def test_a_value_without_an_end_and_one_too_deep_are_told_after_what_was_good(tmp_path, monkeypatch):
    monkeypatch.setattr(json_values, "LIMIT", 1000)
    monkeypatch.setattr(json_values, "CHUNK", 100)
    (tmp_path / "a.json").write_bytes(b'[{"text": "good"}, {"text": "' + b"x" * 5000 + b'"}, {"text": "after"}]')
    (tmp_path / "b.json").write_bytes(b'[{"text": "good"}, ' + b"[" * 100_000)
    reading = read(tmp_path)
    assert reading.table("documents")["text"].to_list() == ["good"] * 2
    assert [(file, line) for file, line, _ in told(reading)] == [("a.json", None), ("b.json", None)]


def test_empty_arrays_hold_nothing():
    assert list(json_values.records(io.BytesIO(b" [ ] "))) == [[]]
    assert list(json_values.records(io.BytesIO(b"[[], {}]"))) == [[(0, 1, "not a JSON object"), (1, 2, {})]]


def test_an_object_around_all_rows_gives_its_rows_and_the_splits_that_it_names(tmp_path):
    rows = [{"text": f"The text number {number}."} for number in range(3)]
    (tmp_path / "a.json").write_text(json.dumps({"data": rows}))
    (tmp_path / "b.json").write_text(json.dumps({"train": rows[:2], "test": rows[2:]}))
    reading = read(tmp_path)
    found = reading.table("documents")
    assert reading.quarantine == [] and found["id"].to_list() == ["a.json#1", "a.json#2", "a.json#3", "b.json#1", "b.json#2", "b.json#3"]
    assert found["split"].to_list() == ["", "", "", "train", "train", "test"]
    (tmp_path / "b.json").write_text(
        json.dumps({"text": "A text.", "data": rows}) + json.dumps({"messages": [{"role": "user", "content": "?"}]})
    )
    assert read(tmp_path).table("documents")["text"].to_list()[-1] == "A text.", "columns of a row that are lists stay columns"
