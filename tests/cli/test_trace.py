"""A row is found in the raw data by the id that curation gave it."""

import json

from fmcycle.cli.trace import found_in
from fmcycle.curation import corpus_step
from fmcycle.curation.ids import Unique
from fmcycle.source import reader


def test_a_numbered_id_is_the_row_that_curation_means(tmp_path):
    names = ["a", "a~2", "a", "b", "a", "a~2", "a~2~2"]
    rows = [json.dumps({"id": name, "text": f"Text {number}."}) for number, name in enumerate(names)]
    (tmp_path / "one.jsonl").write_text("\n".join(rows[:4]))
    (tmp_path / "two.jsonl").write_text("\n".join(rows[4:]))
    curated = corpus_step.whole(Unique(), reader.read(tmp_path).tables["documents"])
    assert curated["id"].to_list() == ["a", "a~2", "a~3", "b", "a~4", "a~2~3", "a~2~2"]
    for name, text in curated.select("id", "text").rows():
        place, row = found_in(name, tmp_path)
        assert row.select("id", "text").rows() == [(name, text)]
        assert ("one.jsonl" if int(text[5]) < 4 else "two.jsonl") in place
    assert found_in("a~5", tmp_path) is None
