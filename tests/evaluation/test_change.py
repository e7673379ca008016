"""What alignment and fine-tuning changed is drawn on the same rows, or not at all."""

from fmcycle.evaluation.change import charts, paired
from fmcycle.evaluation.report import page, rows

ENDS = {"": 0.6, "/low": 0.5, "/high": 0.7, "/n": 9}


def figures(*names: str) -> dict[str, float]:
    return {name + end: value for name in names for end, value in ENDS.items()}


def test_a_chart_needs_both_sides():
    found = {row.key: row for row in rows(figures("preference_accuracy", "bits_per_byte", "chosen_logp_change"))}
    assert charts(found) == [] == paired(found)


def test_before_and_after_stand_side_by_side_with_their_paired_difference():
    metrics = figures("preference_accuracy", "unaligned/preference_accuracy", "preference_accuracy_gain", "bits_per_byte")
    metrics |= figures("reference/bits_per_byte", "bits_per_byte_rise", "chosen_logp_change", "rejected_logp_change")
    html = page(metrics, {}, {}, [], {"model": "ab" * 32})
    part = html.split(">Before and after</h2>")[1].split("<h2")[0]
    assert part.count("<figure") == 2 and "the model before alignment" in part
    assert "Bits per byte forgotten since the base model <b>0.600</b> [0.500, 0.700], n = 9" in part
    assert html.count("Preference-accuracy gain over the model before alignment <b>") == 1
    assert "than the model before alignment in preference accuracy (+0.600 [+0.500, +0.700])" in html
    assert "Worse than the base model in bits per byte (+0.600 [+0.500, +0.700])" in html
