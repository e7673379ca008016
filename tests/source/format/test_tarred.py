"""Tar archives: what is in them is read as if it lay in a folder, and what is wrong with them is told."""

import gzip
import io
import json
import tarfile

import polars as pl
import pytest
import zstandard

from fmcycle.source.format import stream
from fmcycle.source.local import local
from fmcycle.source.reader import read


def told(reading):
    assert sum(frame.height for frame in reading.tables.values()) + len(reading.quarantine) == reading.read
    return {entry["file"]: entry["reason"] for entry in reading.quarantine}


def tar(members):
    """The bytes of an archive of {name: content} or TarInfos without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


PICTURE = b"\x89PNG\r\n\x1a\n" + b"picture"
SHARD = [
    ("000.png", PICTURE), ("000.txt", b"A red square."), ("001.png", PICTURE), ("001.json", b'{"caption": "A blue one.", "label": "blue"}'),
    ("002.png", PICTURE), ("./texts/a.md", b"# A text"), ("rows.jsonl", b'{"text": "One."}\n{"text": 2}\n'),
]  # fmt: skip


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".tar.zst"])
def test_members_are_read_and_pictures_have_what_stands_beside_them(tmp_path, suffix):
    pack = {".tar": bytes, ".tar.gz": gzip.compress, ".tgz": gzip.compress, ".tar.zst": zstandard.compress}[suffix]
    name = f"shard{suffix}"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(pack(tar(SHARD)))
    local(tmp_path / "data/mine", path=str(tmp_path / "in"))
    assert (tmp_path / "data/mine" / name).is_file()  # copied as it is
    reading = read(tmp_path / "in")
    assert reading.table("examples").select("id", "text", "label", "media").rows() == [
        (f"{name}/000.png", "A red square.", "", PICTURE), (f"{name}/001.png", "A blue one.", "blue", PICTURE),
        (f"{name}/002.png", "", "", PICTURE),
    ]  # fmt: skip
    assert reading.table("documents").select("id", "text").rows() == [(f"{name}/rows.jsonl#1", "One."), (f"{name}/texts/a.md", "# A text")]
    assert told(reading) == {f"{name}/rows.jsonl": "text is not a string but int"}
    rows = pl.concat([reading.tables["examples"]["row"], reading.tables["documents"]["row"]])
    assert rows.n_unique() == 5


def test_members_that_lead_out_are_links_or_lie_are_told_and_the_others_read(tmp_path):
    link, hard, pipe = tarfile.TarInfo("link.txt"), tarfile.TarInfo("hard.txt"), tarfile.TarInfo("pipe.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hard.type, hard.linkname = tarfile.LNKTYPE, "good.txt"
    pipe.type = tarfile.FIFOTYPE
    sparse = tarfile.TarInfo("sparse.txt")
    sparse.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 50)}
    wrong = [("../out.txt", b"evil"), ("/etc/passwd", b"evil"), ("a/../../b.txt", b"evil"), ("c:/x.txt", b"evil")]
    members = [*wrong, (link, b""), (hard, b""), (pipe, b""), (sparse, b"x"), ("good.txt", b"A good text."), ("good.txt", b"Another.")]
    (tmp_path / "a.tar").write_bytes(tar([*members, ("empty.txt", b""), (".hidden.txt", b"no data"), ("in.tar", b"x")]))
    reading = read(tmp_path)
    out = "a name that leads out of the archive"
    assert reading.table("documents").select("id", "text").rows() == [("a.tar/good.txt", "A good text.")]
    assert told(reading) == {
        "a.tar/../out.txt": out, "a.tar//etc/passwd": out, "a.tar/a/../../b.txt": out, "a.tar/c:/x.txt": out,
        "a.tar/link.txt": "a link", "a.tar/hard.txt": "a link", "a.tar/pipe.txt": "not a regular file", "a.tar/sparse.txt": "a sparse file",
        "a.tar/good.txt": "a name that another member has as well", "a.tar/empty.txt": "empty",
        "a.tar/in.tar": ".tar: not a supported format; docs/sources.md lists them",
    }  # fmt: skip


def test_a_cut_or_broken_archive_is_told_after_what_was_good(tmp_path):
    whole = tar([("a.txt", b"A text."), ("b.txt", b"B text."), ("c.txt", b"C text.")])
    (tmp_path / "cut.tar").write_bytes(whole[: 512 * 3])  # a, and the header of b
    (tmp_path / "end.tar").write_bytes(whole[: 512 * 2])
    (tmp_path / "flip.tar").write_bytes(whole[: 512 * 2] + b"\xff" * 512 + whole[512 * 3 :])
    (tmp_path / "no.tar").write_bytes(b"no tar at all" * 100)
    (tmp_path / "no.tar.gz").write_bytes(b"no gzip")
    reading = read(tmp_path)
    assert reading.table("documents")["id"].to_list() == ["cut.tar/a.txt", "end.tar/a.txt", "flip.tar/a.txt"]
    assert {name.split("/")[0] for name in told(reading)} == {"cut.tar", "end.tar", "flip.tar", "no.tar", "no.tar.gz"}


def test_a_packed_bomb_stops_at_its_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "FREE", 1 << 20)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tar([("a.txt", b"\0" * (8 << 20))])))
    assert told(read(tmp_path)) == {"a.tar.gz": "expands more than 200 times: a decompression bomb?"}


def test_a_member_that_says_it_is_longer_than_the_archive_is_told(tmp_path):
    content = bytearray(tar([("a.txt", b"A text.")]))
    info = tarfile.TarInfo("a.txt")
    info.size = 1 << 40
    content[:512] = info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar").write_bytes(content)
    reading = read(tmp_path)
    assert reading.table("documents").height == 0 and json.dumps(told(reading)).count("cut short") >= 1
