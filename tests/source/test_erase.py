import gzip
import json
import zipfile

import polars as pl
import pytest

from fmcycle.errors import InputError
from fmcycle.source import reader
from fmcycle.source.erase import Erased, add, digest, erase, listed

SECRET = "Jo lives at 12 Hill Road."


@pytest.fixture
def data(tmp_path):
    """A folder in which every kind of file holds the secret beside something else."""
    folder = tmp_path / "data"
    (folder / "mine").mkdir(parents=True)
    (folder / "other").mkdir()
    lines = [{"id": "a", "text": "The tide."}, {"id": "b", "text": SECRET}, {"text": "No id."}]
    text = "\n".join(map(json.dumps, lines)) + "\nhalf{"
    (folder / "mine/lines.jsonl").write_text(text)
    (folder / "mine/packed.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "mine/licence.json").write_text('{"licence": "CC0-1.0"}')
    pl.DataFrame({"id": ["p", "q"], "text": [SECRET, "The gull."]}).write_parquet(folder / "mine/table.parquet")
    pl.DataFrame({"text": ["A row.", SECRET]}).write_csv(folder / "mine/rows.csv")
    (folder / "mine/note.txt").write_text(SECRET)
    with zipfile.ZipFile(folder / "mine/files.zip", "w") as archive:
        archive.writestr("one.txt", SECRET)
        archive.writestr("two.txt", "Two.")
    talk = [{"role": "user", "content": "Where is Jo?"}, {"role": "assistant", "content": SECRET}]
    (folder / "other/talk.jsonl").write_text(json.dumps({"id": "t", "messages": talk}) + "\n" + json.dumps({"text": "Untouched."}))
    return folder


def ids(folder):
    return sorted(name for table in reader.read(folder).tables.values() for name in table["id"])


def test_a_text_goes_from_every_kind_of_file_and_the_other_rows_keep_their_ids(data):
    before, untouched = reader.read(data), (data / "other/talk.jsonl").read_bytes()
    gone = [row["id"] for row in before.tables["documents"].to_dicts() if row["text"].strip() == SECRET]
    assert len(gone) == 6
    assert erase(data, Erased(digests={digest(SECRET)})) == 6
    after = reader.read(data)
    assert set(after.tables["documents"]["id"]) == set(before.tables["documents"]["id"]) - set(gone)
    assert set(after.tables["documents"]["licence"]) == {"CC0-1.0", "unknown"} and not (data / "mine/note.txt").exists()
    assert (data / "other/talk.jsonl").read_bytes() == untouched
    assert not any(SECRET.encode() in file.read_bytes() for file in data.glob("mine/*"))
    assert erase(data, Erased(digests={digest(SECRET)})) == 0


def test_a_conversation_goes_by_all_its_turns(data):
    both = digest(f"Where is Jo?\n{SECRET}")
    assert erase(data, Erased(digests={both})) == 1
    assert "t" not in ids(data) and "Untouched." in reader.read(data).tables["documents"]["text"]


def test_a_source_goes_as_a_whole(data):
    erase(data, Erased(sources={"mine"}))
    assert ids(data) == ["other/talk.jsonl#2", "t"] and (data / "mine/licence.json").is_file()


def test_the_list_holds_no_text_and_each_line_once(tmp_path):
    file = tmp_path / "erased.jsonl"
    assert add(file, {"spam"}, {digest(SECRET)}) == 2 and add(file, {"spam"}, {digest(SECRET), digest("x")}) == 1
    found = listed(file)
    assert found.sources == {"spam"} and found.digests == {digest(SECRET), digest("x")} and "Jo" not in file.read_text()
    assert listed(None) == Erased()
    file.write_text('{"text": "no"}\n')
    with pytest.raises(InputError, match="line 1 is neither"):
        listed(file)
