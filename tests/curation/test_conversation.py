import polars as pl

from fmcycle.curation.conversation import asked, rewrite
from fmcycle.curation.privacy import mask
from fmcycle.curation.text import normalize
from fmcycle.tables.text import as_text


def test_every_turn_is_changed_and_the_order_stays():
    talks = [
        [{"role": "user", "content": "I am a@b.org "}, {"role": "assistant", "content": "Hello\r\nyou"}],
        [{"role": "user", "content": "x"}],
    ]
    frame = pl.DataFrame({"id": ["2", "1"], "messages": talks})
    found = rewrite(frame, "messages", [normalize, mask])
    assert found["messages"].to_list() == [
        [{"role": "user", "content": "I am <email>"}, {"role": "assistant", "content": "Hello\nyou"}],
        [{"role": "user", "content": "x"}],
    ]
    assert found["id"].to_list() == ["2", "1"]
    assert as_text(found).to_list() == ["I am <email>\nHello\nyou", "x"]


def test_a_column_of_strings_and_a_frame_without_rows():
    assert rewrite(pl.DataFrame({"chosen": ["a@b.org"]}), "chosen", [mask])["chosen"].to_list() == ["<email>"]
    empty = pl.DataFrame({"chosen": []}, schema={"chosen": pl.String})
    assert rewrite(empty, "chosen", [mask]).equals(empty)


def test_what_is_asked_and_what_is_answered():
    talk = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "x?"}, {"role": "assistant", "content": "y"}]
    assert asked(pl.DataFrame({"messages": [talk]})).row(0) == ("Be short.\nx?", "y")
    assert asked(pl.DataFrame({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]})).row(0) == ("a", "b")
    assert asked(pl.DataFrame({"prompt": [talk], "chosen": ["b"]})).row(0) == ("Be short.\nx?\ny", "b")
    assert asked(pl.DataFrame({"text": ["How?"], "kind": ["k"]})).row(0) == ("How?", "")
