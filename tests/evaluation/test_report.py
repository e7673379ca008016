"""The page: whole without a network, safe with hostile answers, and every figure on it."""

import re

from fmcycle.evaluation.report import page, rows, tasks

METRICS = {
    "bits_per_byte": 1.9, "bits_per_byte/low": 1.8, "bits_per_byte/high": 2.0, "bits_per_byte/n": 1000,
    "rouge_l": 0.5, "rouge_l/low": 0.4, "rouge_l/high": 0.6, "rouge_l/n": 20,
    "describe/rouge_l": 0.5, "describe/rouge_l/low": 0.4, "describe/rouge_l/high": 0.6, "describe/rouge_l/n": 20,
    "bleu/n": 0, "exact_match/n": 0, "describe/bleu/n": 0, "describe/exact_match/n": 0,
}  # fmt: skip
CURVES = {"pretrain": {"step": [1, 2, 3], "loss": [9.0, 5.0, 4.0], "validation_step": [3], "validation_loss": [4.2]}}
SAMPLES = [{"id": "x/1", "task": "describe", "prompt": "What?", "answer": "<script>alert(1)</script>", "expected": "That."}]
LINEAGE = {"model": "ab" * 32, "documents": "cd" * 32}


def test_the_page_loads_nothing_and_runs_nothing_of_a_row():
    html = page(METRICS, {"pretrain": METRICS}, CURVES, SAMPLES, LINEAGE)
    assert not re.search(r"<(link|img|iframe)\b|src=|https?://|@import|url\(", html)
    assert "&lt;script&gt;alert(1)" in html and html.count("<script>") == 2


def test_same_content_same_bytes_and_every_digest_is_there():
    first, second = (page(METRICS, {}, CURVES, SAMPLES, LINEAGE) for _ in range(2))
    assert first == second
    assert LINEAGE["model"] in first and LINEAGE["documents"] in first


def test_each_metric_is_one_row_with_its_interval():
    found = {row.key: row for row in rows(METRICS)}
    assert (found["bits_per_byte"].low, found["bits_per_byte"].n) == (1.8, 1000)
    assert found["bleu"].value is None and found["bleu"].n == 0
    assert [task for task, _ in tasks(METRICS)] == ["all", "describe"]


def test_a_page_with_little_to_say_still_stands():
    assert "<h1>" in page({"bits_per_byte/n": 0}, {}, {}, [], LINEAGE)


def test_a_small_count_has_no_decimals():
    html = page(METRICS | {"contaminated/prompts": 1, "contaminated/prompts/n": 7, "rouge_l/n": 5}, {}, {}, [], LINEAGE)
    assert "prompts: <b>1</b> of 7." in html and "n = 5;" in html


def test_a_figure_stands_beside_the_baselines_of_its_kind():
    ends = {"": 0.6, "/low": 0.5, "/high": 0.7, "/n": 9}
    names = ("probe_accuracy", "baseline/pixels_accuracy", "text_recall@5", "image_recall@5", "baseline/chance_recall@5", "alone_gain")
    html = page({name + end: value for name in names for end, value in ends.items()}, {}, {}, [], LINEAGE)
    first, second = (part.split("</figure>")[0] for part in html.split("<figure")[1:])
    assert ">probe accuracy</span>" in first and ">pixels</span>" in first and "recall" not in first
    assert ">image recall@5</span>" in second and ">chance</span>" in second and "alone" not in first + second


def test_a_chart_compares_the_same_rows_or_is_not_drawn():
    """Of every chart with intervals on a page, whatever the figures: each bar is of the rows of the first."""
    same = {name: figure(name, n) for name, n in (("accuracy", 9), ("baseline/a_accuracy", 9), ("baseline/b_accuracy", 8))}
    bits = {name: figure(f"{name}bits_per_byte", n) for name, n in (("", 70), ("reference/", 71), ("baseline/kneser_ney_5gram_", 70))}
    metrics = {key: value for part in (same | bits).values() for key, value in part.items()} | {"counted_tokens": 5000}
    first, second = charts(page(metrics, {"pretrain": bits["reference/"]}, {}, [], LINEAGE))
    assert ">this model<" in first and ">Kneser-Ney 5-gram<" in first and "base model" not in first
    assert ">a<" in second and ">b<" not in second
    metrics |= figure("baseline/a_accuracy", 8) | figure("baseline/kneser_ney_5gram_bits_per_byte", 71)
    assert charts(page(metrics, {"pretrain": bits[""]}, {}, [], LINEAGE)) == []


def figure(name: str, n: int) -> dict[str, float]:
    return {name: 0.6, f"{name}/low": 0.5, f"{name}/high": 0.7, f"{name}/n": n}


def charts(html: str) -> list[str]:
    return [part.split("</figure>")[0] for part in html.split('<figure class="intervals"')[1:]]
