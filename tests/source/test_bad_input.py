"""Everything that is wrong with files somewhere: never a crash, never a row that is neither there nor in the quarantine."""

import bz2
import gzip
import io
import json
import os
import stat
import tracemalloc
import zipfile

import polars as pl
import pytest
import zstandard

from fmcycle.source import reader
from fmcycle.source.format import stream
from fmcycle.source.reader import read


def told(reading):
    """{(file, line): reason}; what was read is what is kept and what is told."""
    assert sum(frame.height for frame in reading.tables.values()) + len(reading.quarantine) == reading.read
    return {(entry["file"], entry["line"]): entry["reason"] for entry in reading.quarantine}


def texts(reading):
    return reading.table("documents")["text"].to_list()


LINES = {
    b'{"text": "plain"}': "plain",
    b'{"text": "\xff\xfe"}': ("invalid UTF-8 at byte 10",),
    b'{"text": "half \\ud83d"}': ("half of a surrogate pair",),
    b'{"text": "pair \\ud83d\\ude00"}': "pair \U0001f600",
    b'{"text": "nul \\u0000"}': ("binary",),
    b'{"text": "\\u0001\\u0002 x"}': ("binary",),
    b'{"text": "raw\0nul"}': ("binary",),
    b"\0\0\0\0": ("not valid JSON: half-written?",),
    b'{"text": "tab\there"}': "tab\there",
    b'{"text": "windows"}\r': "windows",
    b'{"text": "score", "score": NaN, "rank": -Infinity}': "score",
    b'{"text": NaN}': ("text is not a string but NoneType",),
    b'{"text": "one", "text": "two"}': ("the key 'text' twice",),
    b'{"text": "deep", "meta": {"a": 1, "a": 2}}': ("the key 'a' twice",),
    b'{"text": "quoted \\u0022key\\u0022", "a": 1, "a": 2}': ("the key 'a' twice",),
    b'{"text": "quoted \\u0022key\\u0022"}': 'quoted "key"',
    b'{"text": "quoted \\"key\\": \\\\"}': 'quoted "key": \\',
    b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}": ("nested too deep",),
    b'{"text": "meta", "meta": ' + b"[" * 253 + b"]" * 253 + b"}": "meta",
    b'{"text": "meta", "meta": ' + b"[" * 300 + b"]" * 300 + b"}": ("nested too deep",),
    b'{"title": "x"}': ("no table fits the columns title; name them, for instance 'source.map={text: title}'",),
    b'{"text": {"a": 1}}': ("text is not a string but dict",),
    b'{"text": null}': ("text is not a string but NoneType",),
    b'{"text": ""}': ("empty",),
    b'{"text": "wrong id", "id": {"a": 1}}': "wrong id",
    b'{"text": "half id", "id": "\\ud83d"}': ("id: half of a surrogate pair",),
    b'{"text": "number", "id": 123456789012345678901234567890}': "number",
    b'{"text": "labels", "label": ["a", 1]}': "labels",
    b"[1]": ("not a JSON object",),
    b'"text"': ("not a JSON object",),
    b"null": ("not a JSON object",),
    b'{"text": "a"}, {"text": "b"}': ("not valid JSON: half-written?",),
    b'{"text": "half': ("not valid JSON: half-written?",),
}


def test_every_bad_line_is_told_with_its_number_and_the_good_ones_stay(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(LINES))
    reading = read(tmp_path)
    wrong = {("rows.jsonl", number): want[0] for number, want in enumerate(LINES.values(), 1) if isinstance(want, tuple)}
    assert told(reading) == wrong
    assert texts(reading) == [want for want in LINES.values() if isinstance(want, str)]
    found = {row["text"]: row for row in reading.table("documents").to_dicts()}
    assert found["number"]["id"] == "123456789012345678901234567890" and found["labels"]["label"] == "a, 1"
    assert found["plain"]["id"] == "rows.jsonl#1"


@pytest.mark.parametrize("raw", LINES)
def test_a_line_among_good_ones_is_judged_as_alone(tmp_path, raw):
    good = [b'{"text": "before"}', b'{"text": "after"}']
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join([good[0], raw, good[1], b""]))
    reading, want = read(tmp_path), LINES[raw]
    assert texts(reading) == ["before", *([want] if isinstance(want, str) else []), "after"]
    assert told(reading) == ({("rows.jsonl", 2): want[0]} if isinstance(want, tuple) else {})


def test_the_fast_way_and_the_careful_way_read_the_same(tmp_path, monkeypatch):
    rows = [{"text": f'größe {n} "q" \\ \n\t\U0001f600', "id": n, "score": n / 3, "meta": {"x": ["y", None]}} for n in range(50)]
    raw = "\n".join(json.dumps(row, ensure_ascii=bool(row["id"] % 2)) for row in rows)
    (tmp_path / "rows.jsonl").write_bytes(raw.encode())
    fast = read(tmp_path)
    monkeypatch.setattr(reader.json_lines, "fair", lambda lines, block: None)
    careful = read(tmp_path)
    assert fast.tables["documents"].equals(careful.tables["documents"]) and texts(fast) == [row["text"] for row in rows]


def test_byte_order_mark_and_mixed_line_ends(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "b"}\r{"text": "c"}\n\n \r\n{"text": "d"}\r{"text": 1}')
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbftext\r\nmore\rend")
    reading = read(tmp_path)
    assert texts(reading) == ["text\r\nmore\rend", "a", "b", "c", "d"]
    assert told(reading) == {("rows.jsonl", 5): "text is not a string but int"}
    assert reading.tables["documents"]["row"].to_list()[1:] == [(1 << 40) + place for place in (3, 18, 32, 50)]


def test_a_line_beyond_the_limit_is_told_and_costs_no_memory(tmp_path):
    long = 100 << 20
    with open(tmp_path / "rows.jsonl", "wb") as file:
        file.write(b'{"text": "before"}\n{"text": "')
        for _ in range(long >> 20):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n{"text": "after"}\n')
    tracemalloc.start()
    reading = read(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert texts(reading) == ["before", "after"] and told(reading) == {("rows.jsonl", 2): "a line longer than 32 MiB"}
    assert reading.table("documents")["id"].to_list() == ["rows.jsonl#1", "rows.jsonl#3"]
    assert peak < 2 * stream.LIMIT + 3 * stream.CHUNK


@pytest.mark.parametrize("size", [1, 3, 7, 64])
def test_whether_a_line_is_too_long_does_not_depend_on_how_it_is_read(tmp_path, monkeypatch, size):
    monkeypatch.setattr(stream, "LIMIT", 20)
    monkeypatch.setattr(stream, "CHUNK", size)
    lines = [b"x" * 20, b"y" * 21, b"", b"z" * 60, b"w" * 19, b"v" * 21]
    for end in (b"", b"\n"):
        content, found = b"\n".join(lines) + end, []
        for place, block in stream.blocks(io.BytesIO(content)):
            found += [(place, None)] if block is None else [(place, line) for line in block.splitlines() if line]
        assert [line for _, line in found] == [lines[0], None, None, lines[4], None]
        assert [place for place, line in found if line is None] == [21, 44, 125]


@pytest.mark.parametrize("bytes", [1, 40, 100, 10_000])
def test_pieces_together_are_the_file(tmp_path, bytes):
    rows = [json.dumps({"text": "größer" * (n % 5 + 1)}, ensure_ascii=False) for n in range(40)]
    rows[7], rows[20] = '{"text": 7}', ""
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    units = reader.units(tmp_path, bytes=bytes)
    pieces = [piece for unit in units for piece in reader.frames(unit)]
    frame = pl.concat(piece.tables["documents"] for piece in pieces if piece.tables)
    assert frame.equals(read(tmp_path).tables["documents"]) and frame["row"].is_sorted() and frame["row"].n_unique() == 38
    assert [entry for piece in pieces for entry in piece.quarantine] == [
        {"file": "rows.jsonl", "line": 8, "reason": "text is not a string but int"}
    ]
    assert len(units) == {1: 40, 40: 24, 100: 10, 10_000: 1}[bytes]


def test_empty_files_are_told_whatever_they_are(tmp_path):
    for name in ("a.jsonl", "b.parquet", "c.csv", "d.txt", "e.jsonl.gz", "f.png", "g.zip"):
        (tmp_path / name).write_bytes(b"")
    found = told(read(tmp_path))
    assert {name for name, _ in found} == {"a.jsonl", "b.parquet", "c.csv", "d.txt", "e.jsonl.gz", "f.png", "g.zip"}
    assert {reason for (name, _), reason in found.items() if name != "f.png"} == {"empty"}


def test_packed_files_are_read_and_broken_ones_told_after_what_was_good(tmp_path):
    raw = b"".join(b'{"text": "number %d"}\n' % number for number in range(3))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(raw) + gzip.compress(raw))
    (tmp_path / "b.jsonl.zst").write_bytes(zstandard.compress(raw) + zstandard.compress(raw))
    (tmp_path / "c.jsonl.bz2").write_bytes(bz2.compress(raw))
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress(b"A text."))
    (tmp_path / "no.jsonl.gz").write_bytes(b"no gzip")
    (tmp_path / "no.jsonl.zst").write_bytes(b"no zstd")
    big = b"".join(b'{"text": "%s"}\n' % os.urandom(500).hex().encode() for _ in range(20_000))
    whole = gzip.compress(big, 1)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) * 2 // 3])
    reading = read(tmp_path)
    found = told(reading)
    assert set(found) == {("no.jsonl.gz", None), ("no.jsonl.zst", None), ("cut.jsonl.gz", None)}
    assert reading.table("documents").filter(pl.col("id").str.starts_with("cut")).height > 5_000  # what came before the break
    assert reading.table("documents").filter(~pl.col("id").str.starts_with("cut")).height == 16


def test_a_bomb_stops_at_its_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "FREE", 1 << 20)
    monkeypatch.setattr(stream, "CHUNK", 1 << 16)
    line = b'{"text": "' + b" " * 990 + b'x"}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line * 20_000))
    (tmp_path / "b.jsonl.zst").write_bytes(zstandard.compress(line * 20_000))
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"\0" * (40 << 20)))
    reading = read(tmp_path)
    why = "expands more than 200 times: a decompression bomb?"
    assert told(reading) == {("a.jsonl.gz", None): why, ("b.jsonl.zst", None): why, ("c.txt.gz", None): why}
    assert 0 < len(texts(reading)) < 20_000


def test_members_that_lead_out_are_links_or_explode_are_told_and_the_others_read(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "FREE", 1 << 20)
    monkeypatch.setattr(reader.packed, "FREE", 1 << 20)
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "pack.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("../out.txt", "/etc/passwd", "a/../../b.txt", "c:/x.txt"):
            archive.writestr(name, "evil")
        archive.writestr(link, "/etc/passwd")
        archive.writestr("bomb.txt", b"\0" * (4 << 20))
        archive.writestr("good.txt", "A good text.")
        archive.writestr("in/rows.jsonl", '{"text": "row"}\n{"text": 1}')
        archive.writestr("in/empty.txt", "")
        archive.writestr("in/inner.zip", b"PK")
        archive.writestr(".hidden.txt", "no data")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("good.txt", "Another text of that name.")
    reading = read(tmp_path)
    out = "a name that leads out of the archive"
    assert told(reading) == {
        ("pack.zip/../out.txt", None): out,
        ("pack.zip//etc/passwd", None): out,
        ("pack.zip/a/../../b.txt", None): out,
        ("pack.zip/c:/x.txt", None): out,
        ("pack.zip/link.txt", None): "a symbolic link",
        ("pack.zip/bomb.txt", None): "expands more than 200 times: a decompression bomb?",
        ("pack.zip/good.txt", None): "a name that another member has as well",
        ("pack.zip/in/rows.jsonl", 2): "text is not a string but int",
        ("pack.zip/in/empty.txt", None): "empty",
        ("pack.zip/in/inner.zip", None): ".zip: not a supported format; docs/sources.md lists them",
    }
    assert reading.table("documents")["id"].to_list() == ["pack.zip/good.txt", "pack.zip/in/rows.jsonl#1"]
    assert not (tmp_path / "out.txt").exists() and reading.tables["documents"]["row"].n_unique() == 2


def test_a_file_that_changes_while_it_is_read_is_told_and_read_no_further(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "CHUNK", 1000)
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"text": "a row of the file as it was"}\n' * 200)
    (unit,) = reader.units(tmp_path)
    pieces = reader.frames(unit)
    first = next(pieces)
    with open(file, "ab") as more:
        more.write(b'{"text": "a new row"}\n')
    (last,) = list(pieces)
    assert first.read > 0 and not last.tables
    assert last.quarantine == [{"file": "rows.jsonl", "line": None, "reason": "changed while it was read: the rest is left out"}]
    os.truncate(file, 10)  # and before it is read
    assert [piece.quarantine[0]["reason"] for piece in reader.frames(unit)] == [last.quarantine[0]["reason"]]
    file.unlink()
    assert [piece.quarantine[0]["reason"] for piece in reader.frames(unit)] == ["No such file or directory"]


def test_what_is_no_file_or_has_no_name_in_utf8_is_told(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    (tmp_path / os.fsdecode(b"gr\xf6\xdfe.txt")).write_text("A text.")
    (tmp_path / os.fsdecode(b"gr\xf6\xdfe.jsonl")).write_text('{"text": 1}')
    reading = read(tmp_path)
    assert told(reading) == {
        ("pipe.jsonl", None): "not a regular file",
        ("gone.txt", None): "No such file or directory",
        ("gr\\xf6\\xdfe.jsonl", 1): "text is not a string but int",
    }
    assert reading.table("documents")["id"].to_list() == ["gr\\xf6\\xdfe.txt"]


def test_damage_anywhere_in_a_file_is_one_row_of_the_quarantine(tmp_path):
    rows = pl.DataFrame({"text": [f"Text number {number} of many." for number in range(8_000)]})
    rows.write_parquet(tmp_path / "good.parquet", row_group_size=1000, compression="zstd")
    whole = (tmp_path / "good.parquet").read_bytes()
    for place in range(4, len(whole), max(1, len(whole) // 24)):
        flipped = bytearray(whole)
        flipped[place : place + 8] = b"\xff" * 8
        (tmp_path / "bad.parquet").write_bytes(flipped)
        reading = read(tmp_path)
        wrong = told(reading)
        assert reading.table("documents").filter(pl.col("id").str.starts_with("good")).height == 8_000
        kept = reading.table("documents").filter(pl.col("id").str.starts_with("bad")).height
        assert kept == 8_000 or wrong, place


def test_json_under_a_name_of_json_lines_is_read_and_so_are_lines_that_end_in_a_comma(tmp_path):
    rows = [{"text": f"A text of the number {number}."} for number in range(3)]
    array = json.dumps(rows, indent=1)
    files = {"array.jsonl": array.encode(), "bom.ndjson": b"\xef\xbb\xbf" + array.encode(), "array.jsonl.gz": gzip.compress(array.encode())}
    files |= {"commas.jsonl": b"".join(json.dumps(row).encode() + b",\n" for row in rows), "opened.jsonl": b"[\n" + array[1:].encode()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for bytes in (1, 1 << 20):
        pieces = [*reader.frames(*reader.units(tmp_path, bytes=bytes))]
        assert sum(frame.height for piece in pieces for frame in piece.tables.values()) == 15 and not any(
            piece.quarantine for piece in pieces
        )
    (tmp_path / "lists.jsonl").write_text('[{"text": "A text."}]\n[{"text": "Another."}]\n')
    assert [entry["line"] for entry in read(tmp_path).quarantine] == [1, 2], "a list on each line is JSON Lines, but not of rows"


def test_a_text_in_utf_16_is_read_and_a_table_in_it_is_named(tmp_path):
    row = json.dumps({"text": "A gr\u00f6\u00dfer text."})
    for name in ("a.txt", "b.jsonl", "c.json"):
        (tmp_path / name).write_bytes((row if name != "a.txt" else "A gr\u00f6\u00dfer text.\r\n").encode("utf-16"))
    (tmp_path / "d.txt").write_bytes(b"\xff\xfeA")
    reading = read(tmp_path)
    assert reading.table("documents")["text"].to_list() == ["A gr\u00f6\u00dfer text.\r\n"]
    reasons = {entry["file"]: entry["reason"] for entry in reading.quarantine}
    named = "UTF-16: save it as UTF-8"
    assert reasons == {"b.jsonl": named, "c.json": named, "d.txt": "invalid UTF-16 at byte 2"}
