import json
import os

import pytest

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.source.local import local, names_in, record_of
from fmcycle.source.reader import read


def test_the_nearest_record_holds_and_a_row_says_it_better(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "licence.json").write_text(json.dumps({"licence": "MIT", "origin": "public"}))
    (tmp_path / "a/b/licence.json").write_text(json.dumps({"licence": "CC0-1.0"}))
    rows = [
        {"text": "own", "licence": "BSD-3-Clause", "origin": "proprietary"},
        {"text": "wrong", "origin": "heaven"},
        {"text": "no", "licence": ""},
    ]
    (tmp_path / "a/rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "a/b/deep.txt").write_text("deep")
    found = {row["text"]: (row["licence"], row["origin"]) for row in read(tmp_path).table("documents").to_dicts()}
    assert found == {
        "own": ("BSD-3-Clause", "proprietary"),
        "wrong": ("MIT", "public"),
        "no": ("MIT", "public"),
        "deep": ("CC0-1.0", "unknown"),
    }


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"licence": "MIT", "origin": "heaven"}', '{"licence": "MIT", "licence": "GPL-3.0-only"}', "7"]
)
def test_a_record_that_says_nothing_stops_instead_of_guessing(tmp_path, content):
    (tmp_path / "licence.json").write_text(content)
    with pytest.raises(InputError, match=r"licence\.json"):
        record_of(tmp_path, tmp_path)


def test_two_runs_write_the_same_bytes_and_the_record_says_where_it_is_from(tmp_path):
    (tmp_path / "texts").mkdir()
    for name in ("b.txt", "a.md", "c.html"):
        (tmp_path / "texts" / name).write_text(name * 100)
    for out in ("one", "two"):
        local(tmp_path / out / "mine", path=str(tmp_path / "texts"), licence="CC0-1.0", origin="proprietary")
        (tmp_path / "texts/a.md").touch()
    for name in ("files.zip", "licence.json"):
        assert (tmp_path / "one/mine" / name).read_bytes() == (tmp_path / "two/mine" / name).read_bytes()
    assert set(read(tmp_path / "one").table("documents")["origin"]) == {"proprietary"}
    with pytest.raises(InputError, match=r"inputs\.local=FOLDER"):
        local(tmp_path / "three", path=str(tmp_path / "nowhere"))


def odd(folder):
    """A folder with one good file and everything that a file name or a link can be."""
    folder.mkdir()
    (folder / "good.txt").write_text("A good text.")
    (folder.parent / "elsewhere").mkdir(exist_ok=True)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "round").symlink_to(folder)
    (folder / "broken.txt").symlink_to(folder / "nowhere.txt")
    (folder / "far").symlink_to(folder.parent / "elsewhere")
    (folder / "again.txt").symlink_to(folder / "good.txt")
    cache = folder.parent / ".dvc/cache/files"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "ab12").write_text("A text in DVC's cache.")
    (folder / "cached.txt").symlink_to(cache / "ab12")
    shared = folder.parent / "shared/files/md5/ab/0123456789abcdef0123456789abcd"
    shared.parent.mkdir(parents=True, exist_ok=True)
    shared.write_text("A text in a shared cache.")
    (folder / "shared.txt").symlink_to(shared)
    with open(os.fsencode(folder) + b"/caf\xe9.txt", "w") as file:
        file.write("A text with an old name.")
    (folder / "manifest.json").write_text('{"name": "A web app", "text": "A text in a manifest."}')
    return folder


def test_odd_names_and_links_end_nothing_and_are_told(tmp_path):
    found = read(odd(tmp_path / "odd"))
    assert sorted(found.table("documents")["text"]) == [
        "A good text.",
        "A good text.",
        "A text in DVC's cache.",
        "A text in a manifest.",
        "A text in a shared cache.",
        "A text with an old name.",
    ]
    assert {entry["file"]: entry["reason"].split(" out of ")[0].split(";")[0] for entry in found.quarantine} == {
        "loop": "a link that leads to itself",
        "round": "a link to a folder",
        "far": "a link to a folder",
        "broken.txt": "No such file or directory",
    }
    assert any("caf\\xe9.txt" in name for name in found.table("documents")["id"])


def test_they_come_through_collect_and_the_stages_digests(tmp_path, capsys):
    folder = odd(tmp_path / "odd")
    (folder / "rows.jsonl").write_text('{"text": "One."}')
    os.rename(folder / "rows.jsonl", os.fsencode(folder) + b"/r\xf6ws.jsonl")
    with artifact.create(tmp_path / "sources") as inside:
        local(inside / "mine", path=str(folder))
    assert capsys.readouterr().out.count("was skipped: ") == 4
    assert len(read(tmp_path / "sources").table("documents")) == 7 and artifact.verify(tmp_path / "sources")
    before = artifact.verify(folder, raw=True)
    (folder / "manifest.json").write_text("[]")
    assert artifact.verify(folder, raw=True) != before


def test_a_folder_that_cannot_be_listed_is_refused_by_name(tmp_path):
    (tmp_path / "a.txt").write_text("A text that can be read.")
    where = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # a path longer than any call takes
        os.mkdir("x" * 250, dir_fd=where)
        where, above = os.open("x" * 250, os.O_RDONLY, dir_fd=where), where
        os.close(above)
    os.close(where)
    with pytest.raises(InputError, match="x: the folder can't be listed: File name too long"):
        names_in(tmp_path)
    assert names_in(tmp_path / "not-there") == []


def test_files_are_listed_in_the_order_of_their_folders(tmp_path):
    names = ["b.txt", "a/z.txt", "a-b/c.txt", "a/b/c.txt", "a.txt", ".git/x.txt", "a/.hidden", "LICENSE", "a/README.md"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("A text.")
    assert names_in(tmp_path) == ["a/README.md", "a/b/c.txt", "a/z.txt", "a-b/c.txt", "a.txt", "b.txt"]
    assert names_in(tmp_path) == [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path / name for name in names_in(tmp_path))]
