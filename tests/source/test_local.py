import json

import pytest

from fmcycle.error import InputError
from fmcycle.source.local import local, record_of
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


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"licence": "MIT", "origin": "heaven"}', "7"])
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
