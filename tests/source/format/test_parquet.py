import datetime
import hashlib
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmcycle.source.format import parquet
from fmcycle.source.reader import frames, read, units


def test_columns_and_single_rows_give_the_same(tmp_path):
    rows = {"text": ["One.", "Two.", None, " ", "nul \0"], "label": ["a", None, "c", "d", "e"], "extra": [1, 2, 3, 4, 5]}
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")  # strings all over: columns
    pl.DataFrame(rows | {"time": [datetime.date(2024, 2, 9)] * 5, "id": [10, 11, 12, 13, 14]}).write_parquet(tmp_path / "b.parquet")
    reading = read(tmp_path)
    found = reading.table("documents").select("id", "text", "label", "time").rows()
    assert found == [
        ("a.parquet#1", "One.", "a", ""),
        ("a.parquet#2", "Two.", "", ""),
        ("10", "One.", "a", "2024-02-09"),
        ("11", "Two.", "", "2024-02-09"),
    ]
    why = ["text is not a string but NoneType", "empty", "binary"]
    assert [(entry["file"], entry["line"], entry["reason"]) for entry in reading.quarantine] == [
        (file, line, reason) for file in ("a.parquet", "b.parquet") for line, reason in zip((3, 4, 5), why, strict=True)
    ]


def test_a_string_that_is_no_utf8_is_told_alone(tmp_path):
    broken = pa.Array.from_buffers(pa.string(), 2, [*pa.array(["good", "xxxx"]).buffers()[:2], pa.py_buffer(b"good\xff\xfexx")])
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    reading = read(tmp_path)
    assert reading.table("documents")["text"].to_list() == ["good"]
    assert reading.quarantine == [{"file": "a.parquet", "line": 2, "reason": "invalid UTF-8 at byte 0"}]


def test_a_large_file_comes_in_pieces_and_rows_number_through(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH", 100)
    pl.DataFrame({"text": [f"Text {number}." for number in range(1000)]}).write_parquet(tmp_path / "a.parquet", row_group_size=300)
    (unit,) = units(tmp_path)
    pieces = [piece.tables["documents"] for piece in frames(unit)]
    assert len(pieces) >= 10 and pl.concat(pieces)["row"].to_list() == list(range(1000))


def test_rows_of_other_tables_and_of_none_are_known(tmp_path):
    turns = [{"role": "user", "content": "Hi", "name": "Jo"}, {"role": "assistant", "content": "Hello", "name": ""}]
    pl.DataFrame({"messages": [turns, []], "origin": ["synthetic", "x"]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"id": [1, 2], "value": [3, 4]}).write_parquet(tmp_path / "b.parquet")
    pl.DataFrame({"media": [b"\x89PNG", b""], "text": ["A dot.", None], "type": ["image", "image"]}).write_parquet(tmp_path / "c.parquet")
    reading = read(tmp_path)
    (row,) = reading.table("instructions").to_dicts()
    assert row["messages"] == [{"role": turn["role"], "content": turn["content"]} for turn in turns] and row["origin"] == "synthetic"
    assert reading.table("examples").select("media", "text").rows() == [(b"\x89PNG", "A dot.")]
    assert [(entry["file"], entry["line"]) for entry in reading.quarantine] == [
        ("a.parquet", 2), ("b.parquet", 1), ("b.parquet", 2), ("c.parquet", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("bytes", [1, 20_000, 1 << 30])
def test_pieces_together_are_the_file(tmp_path, bytes):
    texts = [hashlib.sha256(str(number).encode()).hexdigest() if number % 50 else None for number in range(2000)]
    pl.DataFrame({"text": texts, "n": range(2000)}).write_parquet(tmp_path / "a.parquet", row_group_size=100)
    parts = units(tmp_path, bytes=bytes)
    assert len(parts) == 20 if bytes == 1 else len(parts) == 1 if bytes == 1 << 30 else 2 < len(parts) < 10
    assert [part.begin for part in parts[1:]] == [part.end for part in parts[:-1]] and parts[-1].end == parts[0].size
    found = [piece for part in parts for piece in frames(part)]
    whole = read(tmp_path)
    assert pl.concat(piece.tables["documents"] for piece in found).equals(whole.tables["documents"])
    assert [entry for piece in found for entry in piece.quarantine] == whole.quarantine
    assert [entry["line"] for entry in whole.quarantine] == list(range(1, 2000, 50)) and whole.read == 2000


def test_a_value_that_is_meant_many_times_is_a_bomb_and_costs_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "FREE", 4 << 20)
    long = hashlib.sha256(b"seed").hexdigest() * 2000  # 128 kB, which 20,000 rows point at: 2.6 GB
    rows = pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), [long])})
    pq.write_table(rows, tmp_path / "a.parquet", store_schema=False)
    pq.write_table(pa.table({"text": ["x" * (8 << 20)]}), tmp_path / "b.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 1 << 20
    found = list(frames(units(tmp_path)[0]))
    assert max(part.tables["documents"].estimated_size() for part in found if part.tables) < 64 << 20
    reading = read(tmp_path)
    assert [(entry["file"], entry["line"], entry["reason"]) for entry in reading.quarantine] == [
        (name, None, "expands more than 200 times: a decompression bomb?") for name in ("a.parquet", "b.parquet")
    ]
    assert 0 < reading.table("documents").height < 1000 and reading.read == reading.table("documents").height + 2


def test_a_dictionary_of_honest_size_is_read_whole(tmp_path):
    text = "A licence that stands in every file. " * 30
    pq.write_table(pa.table({"text": [text] * 3000, "id": list(map(str, range(3000)))}), tmp_path / "a.parquet")
    reading = read(tmp_path)
    assert reading.table("documents").height == 3000 and not reading.quarantine


def test_an_optional_column_of_an_odd_type_costs_no_row(tmp_path):
    text = "A text beside an odd column."
    for name, value in {
        "struct": {"source": {"name": "a"}},
        "bytes": {"id": b"7"},
        "decimal": {"time": Decimal("1.50"), "domain": [1, 2]},
    }.items():
        pl.DataFrame([{"text": text} | value]).write_parquet(tmp_path / f"{name}.parquet")
    reading = read(tmp_path)
    assert reading.quarantine == [] and reading.table("documents")["text"].to_list() == [text] * 3
    assert dict(reading.unread) == {"id (bytes)": 1, "source (dict)": 1}
    assert reading.table("documents").sort("time")["time"].to_list()[-1] == "1.50"
