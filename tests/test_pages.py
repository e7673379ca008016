"""Every page of a stage or run: readable at 390 pixels, light and dark, by itself, whatever stands in its rows."""

import json

import pytest

from fmcycle.evaluation import report
from fmcycle.tracking import run_page, run_record
from tests.helpers.browser import HOSTILE, check, chromium

LINEAGE = {"model": "ab" * 32, "reference": "cd" * 32, "documents": "ef" * 32}


@pytest.fixture(scope="module")
def browser():
    with chromium() as made:
        yield made


def row(name, value, low, high, n=40):
    return {name: value, f"{name}/low": low, f"{name}/high": high, f"{name}/n": n}


METRICS = (
    row("bits_per_byte", 1.9, 1.8, 2.0)
    | row("baseline/kneser_ney_5gram_bits_per_byte", 2.5, 2.4, 2.6)
    | row("rouge_l", 0.5, 0.4, 0.6)
    | row("reference/rouge_l", 0.2, 0.1, 0.3)
    | row("rouge_l_gain", 0.3, 0.2, 0.4)
    | row("exact_match", 0.1, 0.05, 0.2)
    | row("reference/exact_match", 0.1, 0.0, 0.2)
    | row("exact_match_gain", 0.0, -0.1, 0.1)
    | row("a_metric_" + "long" * 30, 0.5, 0.4, 0.6)
    | row("toxicity_rate", 0.0, 0.0, 0.1)
)
CURVES = {"pretrain": {"step": [*range(1, 101)], "loss": [9 / n for n in range(1, 101)], "validation_step": [50], "validation_loss": [4.2]}}


def answers():
    """30 rows of two tasks with scores 0, 1/30, ...; the base's answer is better in the first, worse in the others, and once the same."""
    rows = []
    for place in range(30):
        text = HOSTILE[place % len(HOSTILE)]
        own, other = place / 30, 0.5 if place == 0 else place / 30 if place == 7 else place / 60
        words = {"prompt": f"prompt {place} {text}", "expected": text, "answer": f"answer {place} {text}", "reference": text}
        words |= {"reference": f"answer 7 {text}"} if place == 7 else {}
        scores = {"scores": {"exact_match": 0.0, "rouge_l": own}, "reference_scores": {"exact_match": 0.0, "rouge_l": other}}
        rows.append({"id": f"row/{place}{text[:80]}", "task": "ab"[place % 2], "refused": place == 3} | words | scores)
    return [*rows, {"id": "safe", "task": "harmful", "prompt": "How?", "expected": "", "answer": "No.", "refused": True}]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    gate = {"metric": "rouge_l", "of": "low", "min": 0.45, "max": None, "value": 0.4, "passed": False, "misses_by": 0.05, "why": "misses"}
    contaminated = [{"table": "documents", "id": text, "share": 0.9, "by": text} for text in HOSTILE]
    given = (METRICS, {"pretrain": METRICS}, CURVES, answers(), LINEAGE, contaminated, {"passed": False, "checks": [gate]})
    (folder / "report.html").write_text(report.page(*given))
    return folder


def trained(folder, name: str, *, lr: float, day: int, state: str = "done"):
    """A run of 40 steps as a training leaves it."""
    run = folder / "runs/finetune" / name
    facts = {"stage": "finetune", "identity": name * 4, "section": {"optimizer": {"lr": lr}, "name": HOSTILE[1][:200]}, "code": "c" * 64}
    run_record.begin(
        run, facts | {"inputs": {"model": {"path": HOSTILE[0], "digest": "d1"}}, "differs": {"optimizer.lr": str(lr)}, "total": 40}
    )
    steps = [{"step": step, "loss": 9 * lr / step, "lr": lr, "memory": 2**30, "tokens_per_s": 1000.0 + step} for step in range(1, 41)]
    steps.insert(20, {"step": 20, "validation_loss": lr})
    (run / run_record.STEPS).write_text("".join(json.dumps(each) + "\n" for each in steps))
    samples = [{"step": 5, "prompt": text, "continuation": text, "expected": text} for text in HOSTILE]
    (run / run_record.SAMPLES).write_text("".join(json.dumps(each) + "\n" for each in samples))
    run_record.note(run, state=state, metrics=row("rouge_l", lr, lr - 0.01, lr + 0.01), starts=[{"at": f"2026-01-0{day}T00:00:00+00:00"}])
    return run


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    runs = [trained(folder, letter * 16, lr=lr, day=day) for letter, lr, day in (("a", 0.5, 1), ("b", 0.25, 2), ("c", 0.125, 3))]
    for run in reversed(runs):
        run_page.write(run)
    return runs


def test_the_report_fits_and_nothing_in_a_row_does_harm(browser, written):
    check(browser, written / "report.html")


def test_the_page_of_a_run_fits_and_nothing_in_a_row_does_harm(browser, three):
    check(browser, three[0] / "run.html")


def test_the_report_prints_dark_on_white_with_everything_opened(browser, written):
    page = browser.new_page(viewport={"width": 700, "height": 900}, color_scheme="dark")
    page.goto((written / "report.html").as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(29, 36, 48)" and page.locator("nav").is_hidden()
    assert page.evaluate("[...document.querySelectorAll('details td')].every((cell) => cell.getBoundingClientRect().height > 0)")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".answer:visible").count() == 31
    page.close()


def test_labels_of_charts_are_whole_and_large_enough_at_390_pixels(browser, three):
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto((three[0] / "run.html").as_uri())
    cut = """() => [...document.querySelectorAll("svg text")].filter((text) => {
      const own = text.getBoundingClientRect(), all = text.closest("svg").getBoundingClientRect(), half = 0.5;
      const outside = own.left < all.left - half || own.right > all.right + half || own.top < all.top - half;
      return outside || own.bottom > all.bottom + half || own.height < 11; }).length"""
    assert page.locator("svg text").count() > 20 and page.evaluate(cut) == 0
    assert page.locator(".legend li").filter(has_text="optimizer.lr 0.25").first.is_visible()
    page.close()


def test_a_value_under_the_pointer_and_at_a_key_is_that_of_the_data(browser, three):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((three[0] / "run.html").as_uri())
    chart = page.locator("figure.curve").first
    box = json.loads(chart.get_attribute("data-box"))
    svg, told = chart.locator("svg"), chart.locator("output")
    svg.focus()
    page.keyboard.press("Home")
    assert told.inner_text() == "step 1: training 4.5 · validation 0.5 (step 20)"
    page.keyboard.press("ArrowRight")
    assert told.inner_text().startswith("step 2: training 2.25 ·")
    page.keyboard.press("End")
    assert told.inner_text().startswith("step 40: training 0.1125 ·")
    edges, width = svg.bounding_box(), 400
    across = (box["left"] + 20 / box["end"] * (width - box["left"] - box["right"])) / width
    page.mouse.move(edges["x"] + across * edges["width"], edges["y"] + 50)
    assert told.inner_text() == "step 20: training 0.225 · validation 0.5"
    line = svg.locator("polyline").first
    linear = line.get_attribute("points")
    chart.get_by_role("button", name="log scale").click()
    assert line.get_attribute("points") != linear
    heights = [float(point.split(",")[1]) for point in line.get_attribute("points").split()]
    assert abs((heights[3] - heights[1]) - (heights[1] - heights[0])) < 0.3  # 9/1, 9/2 and 9/4 are equally far apart
    chart.get_by_role("button", name="log scale").click()
    assert line.get_attribute("points") == linear
    page.close()


def test_the_runs_of_a_stage_stand_beside_one_another_with_the_keys_that_differ(browser, three):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((three[0] / "run.html").as_uri())
    table = page.locator("table.compared")
    assert [each.split()[0] for each in table.locator("th").all_inner_texts()[1:4]] == [
        "aaaaaaaa",
        "cccccccc",
        "bbbbbbbb",
    ]  # the newest first
    assert table.locator("tr", has_text="optimizer.lr").inner_text().split() == ["optimizer.lr", "0.5", "0.125", "0.25"]
    assert "rouge_l *" in table.inner_text() and "data: the same" in table.inner_text()
    overlaid = page.locator("figure.curve").filter(has_text="(this run)").first
    assert overlaid.locator("polyline").count() == 3
    overlaid.locator("svg").focus()
    assert overlaid.locator("output").inner_text().startswith("step 40: aaaaaaaa (this run) 0.1125 · cccccccc 0.02813")
    table.get_by_role("link", name="bbbbbbbb").click()
    page.wait_for_url("**/bbbbbbbbbbbbbbbb/run.html")
    assert "bbbbbbbb" in page.locator("h1").inner_text()
    page.close()


def test_answers_are_searched_filtered_and_ordered(browser, written):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((written / "report.html").as_uri())
    rows, number = page.locator(".answer:visible"), page.locator("#number")
    assert rows.count() == 20 and number.inner_text() == "20 of 31"
    page.locator("#more").click()
    assert rows.count() == 31 and page.locator("#more").is_hidden()
    page.locator("#show").select_option("worst")
    assert rows.first.get_attribute("data-score") == "0.0" and number.inner_text() == "20 of 30"
    page.locator("#show").select_option("best")
    assert rows.first.locator(".q").inner_text().startswith("prompt 29")
    page.locator("#show").select_option("worse")
    assert rows.count() == 1 and rows.first.locator(".q").inner_text().startswith("prompt 0")
    page.locator("#show").select_option("changed")
    assert number.inner_text() == "20 of 29"  # all but the one that the base answers alike
    page.locator("#show").select_option("")
    page.locator("#find").fill("PROMPT 12")
    assert rows.count() == 1
    page.locator("#find").fill("")
    page.locator("#task").select_option("harmful")
    assert rows.all_inner_texts()[0].split("\n")[0] == "How?"
    page.close()


def test_the_check_sees_pale_text_wide_content_and_dead_anchors(browser, tmp_path):
    head = "<!doctype html><title>x</title><body style='background:#fff; color: #222; overflow-wrap: anywhere'><h1>x</h1>"
    for name, text in (("pale", "<p style='color:#999'>x</p>"), ("wide", "<p style='width:2000px'>x</p>"), ("dead", "<a href='#no'>x</a>")):
        (tmp_path / name).with_suffix(".html").write_text(head + text)
        with pytest.raises(AssertionError):
            check(browser, (tmp_path / name).with_suffix(".html"))
    (tmp_path / "good.html").write_text(head + "<p>x</p>")
    check(browser, tmp_path / "good.html")
