import re

import polars as pl

from fmcycle.curation.profile import finish, merge, of_shard, of_table
from fmcycle.curation.profile_page import page
from tests.helpers.browser import check, chromium

ROW = {"id": "a", "text": "<script>alert(1)</script> text", "source": "s", "domain": "d", "licence": "CC-BY-SA-4.0", "group": "g"}
STEPS = ("normalize", "a_step_with_a_long_name", "quality")


def made():
    before = pl.DataFrame([ROW, ROW | {"id": "b", "text": "more text"}, ROW | {"id": "c", "text": "short, jo@example.org"}])
    after = before.with_columns(
        reason=pl.Series([None, None, "too short"]), rule=pl.Series([None, None, "words < 5"]), value=pl.Series([None, None, "2"])
    ).with_columns(pl.Series("count:email", [0, 1, 2]))
    kept = before.head(2).with_columns(split=pl.lit("train"), quality=pl.Series([0.12, 0.98]))
    sums = [of_shard(name, before, before) for name in STEPS[:2]] + [of_shard(STEPS[2], before, after), of_table("documents", kept)]
    found = {"near": {"clusters": 3, "by_size": {"2": 1, "3": 2}, "pairs": [{"one": "a<b", "other": "c", "overlap": 0.91234}]}}
    found["bias"] = {"beside": {"career": {"men": {"gap": 0.25, "sentences": 27}, "women": {"gap": -0.25, "sentences": 5}}}}
    quarantine = [{"file": "x.txt", "line": None, "reason": "binary"}]
    return finish(merge(sums), steps=STEPS, read=4, quarantine=quarantine, quarantined=1, findings=found)


def test_the_page_loads_nothing_and_runs_nothing():
    text = page(made())
    assert not re.search(r"<script|src=|href=\"(?!#)|url\(|@import|https?://", text)
    assert "&lt;script&gt;alert(1)" in text and "a&lt;b" in text
    assert "4 read = 2 kept + 1 dropped + 1 quarantined" in text and "x.txt" in text


def test_the_page_says_what_the_profile_has():
    text = page(made())
    assert "CC-BY-SA-4.0 (share-alike)" in text and "Score of the kept documents: quality" in text and "Counted by quality" in text
    assert "Found by near" in text and "by_size" in text and "0.9123" in text
    assert '<h3>career</h3><div class="scroll"><table><tr><th></th><th class="n">gap</th>' in text and '<td class="n">-0.25</td>' in text
    assert "short, &lt;email&gt;" in text and "jo@example.org" not in text


def test_the_picture_is_as_thick_as_the_bytes():
    text = page(made())
    assert text.count('class="band"') == len(STEPS) + 1 and text.count('class="gone"') == 1
    assert "−21\u00a0B" in text and ">a_step_with_a_long_name<" in text and ">60\u00a0B<" in text and ">39\u00a0B<" in text


def test_a_long_list_is_cut_to_the_largest():
    found = made()
    found["shares"]["source"] = [{"name": f"s{n}", "rows": n, "megabytes": n / 10} for n in range(100)]
    text = page(found)
    assert "70 more" in text and ">s99<" in text and ">s5<" not in text


def test_no_documents_make_a_page_too():
    assert "0 read" in page(finish({}, steps=[], read=0, quarantine=[], quarantined=0))


def test_it_fits_into_a_browser(tmp_path):
    (tmp_path / "profile.html").write_text(page(made()))
    with chromium() as browser:
        check(browser, tmp_path / "profile.html")
        shown = browser.new_page(viewport={"width": 390, "height": 900})
        shown.goto((tmp_path / "profile.html").as_uri())
        assert shown.locator("svg path.band").count() == len(STEPS) + 1
        cut = """() => [...document.querySelectorAll("svg text.name")].map((text) => text.getBoundingClientRect())
          .filter((own, place, all) => place && all.some((other) => other !== own && other.top === own.top
            && own.left < other.left && own.right > other.left)).length"""
        assert shown.evaluate(cut) == 0  # no name runs into the next
