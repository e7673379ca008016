import re

import polars as pl

from fmcycle.curation.page import page
from fmcycle.curation.profile import profile


def made():
    row = {
        "id": "a",
        "text": "<script>alert(1)</script> text",
        "source": "s",
        "domain": "d",
        "licence": "MIT",
        "group": "g",
        "split": "train",
    }
    documents = pl.DataFrame([row, row | {"id": "b", "text": "more text"}])
    dropped = pl.DataFrame([row | {"id": "c", "reason": "too short", "rule": "words < 5", "value": "2"}])
    flow = [{"step": "quality", "before": 3, "after": 2, "dropped": 1, "changed": 0}]
    return profile({"documents": documents}, dropped, [{"file": "x.txt", "line": None, "reason": "binary"}], flow, 4)


def test_the_profile_adds_up():
    found = made()
    assert (found["read"], found["kept"], found["dropped"], found["quarantined"]) == (4, 2, 1, 1)
    assert found["shares"]["domain"] == [{"name": "d", "rows": 2, "megabytes": 0.0}]
    assert found["reasons"] == [{"step": "curation", "domain": "d", "reason": "too short", "rule": "words < 5", "rows": 1}]
    assert [entry["rows"] for entry in found["lengths"]] == [1, 1]


def test_the_page_loads_nothing_and_runs_nothing():
    text = page(made())
    assert not re.search(r"<script|src=|href=|url\(|@import|https?://", text)
    assert "&lt;script&gt;alert(1)" in text
    assert "4 read = 2 kept + 1 dropped + 1 quarantined" in text and "x.txt" in text
