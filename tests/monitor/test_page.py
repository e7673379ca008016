from fmcycle.monitor.page import page
from tests.helpers.browser import HOSTILE, check, chromium

EVIL = "<script>alert(1)</script>"
FINDING = {"value": 0.25, "low": 0.2, "high": 0.3, "n": 60, "bound": 0.1, "alarm": True, "what": f"words such as {EVIL}"}
NOTHING = {"unit": "day", "times": [], "drift": {"times": []}, "models": []}
MODEL = {
    "model": "a" * 64,
    "first": "2026-01-01T10:00:00",
    "last": "2026-01-02T11:00:00",
    "interactions": 9,
    "retrain": True,
    "reason": EVIL,
}
HISTORY = {
    "unit": "day", "times": ["2026-01-01", "2026-01-02", "2026-01-03"], "answers": [3, 0, 6], "read": [9, 0, 9], "written": [9, 0, 9],
    "p50": [0.1, None, 0.2], "p95": [0.2, None, 0.4], "refused": [0.0, None, 0.5],
    "disliked": [0.5, None, None], "disliked_low": [0.1, None, None], "disliked_high": [0.9, None, None],
    "drift": {"times": ["2026-01-03T11:00"], "prompt_words": [1.5]},
    "models": [MODEL, MODEL | {"model": "b" * 64, "first": "2026-01-03T09:00:00", "retrain": False}],
}  # fmt: skip
RESULT = {"interactions": 60, "retrain": True, "reason": EVIL, "reasons": [EVIL], "history": HISTORY}


def test_findings_are_rows_and_what_people_wrote_is_escaped():
    text = page(RESULT | {"findings": {"words": FINDING, "quiet": FINDING | {"alarm": False}}})
    assert "<script>alert" not in text and text.count("&lt;script&gt;") == 5
    assert text.count('<tr class="alarm">') == 1 and "0.2 to 0.3" in text
    assert text.index("Retrain:") < text.index("because") < text.index("<h2")


def test_the_charts_show_the_traffic_over_time_with_bounds_and_models():
    text = page(RESULT | {"findings": {"refusals": FINDING | {"bound": 0.2}, "latency": FINDING | {"bound": 10}}})
    assert text.count('<figure class="curve"') == 6
    assert "alarms above 0.2" in text and "alarms above 10" in text
    assert "bbbbbbbbbbbb answers from here; the verdict on the model before: retrain: yes" in text and text.count('class="event"') == 5
    assert "2026-01-02" in text and "nan" not in text


def test_no_traffic_is_said_once_and_makes_no_table():
    text = page(
        {"interactions": 0, "retrain": None, "reason": "0 interactions, no verdict", "reasons": [], "findings": {}, "history": NOTHING}
    )
    assert text.count("0 interactions") == 1 and "<table" not in text and "<svg" not in text


def test_it_fits_into_a_browser(tmp_path):
    (tmp_path / "monitor.html").write_text(
        page(RESULT | {"findings": {"words": FINDING | {"what": " ".join(HOSTILE)}, "latency": FINDING}})
    )
    with chromium() as browser:
        check(browser, tmp_path / "monitor.html")
