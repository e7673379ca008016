import polars as pl

from fmcycle.curation.licence import policy


def test_what_may_not_enter_goes_with_its_licence():
    frame = pl.DataFrame({"id": ["a", "b", "c", "d"], "licence": ["MIT", "CC-BY-NC-4.0", None, "MIT OR GPL-3.0-only"]})
    found = policy(frame, allow=["permissive"])
    assert dict(found.select("id", "value").iter_rows()) == {"a": None, "b": "CC-BY-NC-4.0", "c": "unknown", "d": None}
    assert found["reason"].to_list() == [None, "licence", "licence", None] and found["rule"][1] == "licence not in permissive"
