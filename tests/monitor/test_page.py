from fmcycle.monitor.page import page

EVIL = "<script>alert(1)</script>"
FINDING = {"value": 0.25, "low": 0.2, "high": 0.3, "n": 60, "bound": 0.1, "alarm": True, "what": f"words such as {EVIL}"}


def test_findings_are_rows_and_what_people_wrote_is_escaped():
    text = page({"interactions": 60, "retrain": True, "reason": EVIL, "findings": {"words": FINDING, "quiet": FINDING | {"alarm": False}}})
    assert "<script" not in text and text.count("&lt;script&gt;") == 3
    assert text.count('<tr class="alarm">') == 1 and "0.2 to 0.3" in text and "<h1>Retrain</h1>" in text


def test_no_findings_make_no_table():
    text = page({"interactions": 0, "retrain": None, "reason": "0 interactions, no verdict", "findings": {}})
    assert "<table" not in text and "<h1>No verdict</h1>" in text
