"""The verdict: an interval that holds zero is no difference, and a fall of a metric of which less is better is a gain."""

import pytest

from fmcycle.evaluation.report import rows
from fmcycle.evaluation.verdict import BASE, comparisons, difference, direction, outcome, sentence, signed, word_of


def row(name, value, low, high):
    return {name: value, f"{name}/low": low, f"{name}/high": high, f"{name}/n": 9}


def found(*figures):
    return {each.key: each for figure in figures for each in rows(row(*figure))}


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("bits_per_byte", "lower"),
        ("baseline/trigram_bits_per_byte", "lower"),
        ("over_refusal_rate", "lower"),
        ("refusal_rate", "higher"),
        ("text_recall@5", "higher"),
        ("describe/rouge_l", "higher"),
        ("probe_accuracy", "higher"),
        ("acme_score", ""),
    ],
)
def test_every_metric_has_its_direction_or_none(key, word):
    assert direction(key) == word


@pytest.mark.parametrize(
    ("key", "low", "high", "word"),
    [
        ("rouge_l", 0.1, 0.2, "better"),
        ("rouge_l", -0.2, -0.1, "worse"),
        ("bits_per_byte", -0.2, -0.1, "better"),
        ("rouge_l", -0.1, 0.2, "no difference can be told"),
        ("rouge_l", 0.0, 0.2, "no difference can be told"),
        ("rouge_l", 0.0, 0.0, "no difference can be told"),
        ("acme_score", 0.1, 0.2, "different"),
    ],
)
def test_a_difference_counts_only_if_its_interval_excludes_zero(key, low, high, word):
    assert word_of(key, low, high) == word


def test_paired_rows_are_compared_by_their_difference_others_by_their_intervals():
    given = found(("rouge_l", 0.5, 0.4, 0.6), ("reference/rouge_l", 0.45, 0.3, 0.55), ("rouge_l_gain", 0.05, 0.01, 0.09))
    (paired,) = comparisons(given, "rouge_l")
    assert (paired.against, paired.word, difference(paired)) == (BASE, "better", "+0.050 [+0.010, +0.090]")
    del given["rouge_l_gain"]
    (alone,) = comparisons(given, "rouge_l")
    assert (alone.word, difference(alone)) == ("no difference can be told", "+0.050, intervals overlap")
    given = found(("bits_per_byte", 1.7, 1.6, 1.8), ("reference/bits_per_byte", 2.0, 1.9, 2.1))
    (alone,) = comparisons(given, "bits_per_byte")
    assert (alone.against, alone.word, difference(alone)) == (BASE, "better", "\u22120.300, intervals apart")


def test_a_baseline_minus_this_model_is_read_as_this_model_minus_the_baseline():
    given = found(("bits_per_byte", 1.7, 1.6, 1.8), ("baseline/kneser_ney_5gram_bits_per_byte", 1.4, 1.3, 1.5))
    given |= found(("bits_per_byte_under_baseline", -0.3, -0.35, -0.25))
    (compared,) = comparisons(given, "bits_per_byte")
    assert (compared.against, compared.word, difference(compared)) == ("Kneser-Ney 5-gram", "worse", "+0.300 [+0.250, +0.350]")


def test_figures_of_other_rows_are_not_compared():
    given = found(("bits_per_byte", 1.7, 1.6, 1.8), ("reference/bits_per_byte", 2.0, 1.9, 2.1), ("baseline/a_bits_per_byte", 1.4, 1.3, 1.5))
    assert len(comparisons(given, "bits_per_byte")) == 2
    given = {key: row._replace(n=99) if "/" in key else row for key, row in given.items()}
    assert comparisons(given, "bits_per_byte") == []


def test_a_few_rows_tell_no_difference():
    given = found(("rouge_l", 0.9, 0.9, 0.9), ("reference/rouge_l", 0.1, 0.1, 0.1), ("rouge_l_gain", 0.8, 0.8, 0.8))
    for n, word in ((5, "no difference can be told"), (6, "better")):
        (paired,) = comparisons({key: each._replace(n=n) for key, each in given.items()}, "rouge_l")
        (alone,) = comparisons({key: each._replace(n=n) for key, each in given.items() if "gain" not in key}, "rouge_l")
        assert (paired.word, alone.word) == (word, word)


def test_a_gain_over_the_only_baseline_is_paired_with_it():
    given = found(("rouge_l", 0.5, 0.4, 0.6), ("baseline/copy_rouge_l", 0.45, 0.3, 0.55), ("rouge_l_gain", 0.05, 0.01, 0.09))
    (compared,) = comparisons(given, "rouge_l")
    assert (compared.against, compared.word, compared.low) == ("copy", "better", 0.01)


def test_the_strongest_baseline_is_compared_by_paired_rows_beside_the_base():
    given = found(
        *(("rouge_l", 0.5, 0.4, 0.6), ("reference/rouge_l", 0.1, 0.0, 0.2), ("rouge_l_gain", 0.4, 0.3, 0.5)),
        *(
            ("baseline/copy_rouge_l", 0.3, 0.2, 0.4),
            ("baseline/constant_rouge_l", 0.5, 0.4, 0.6),
            ("rouge_l_over_baseline", 0.0, -0.1, 0.1),
        ),
    )
    compared = comparisons(given, "rouge_l")
    assert {each.against: each.low for each in compared} == {BASE: 0.3, "copy": None, "constant": -0.1}
    told = sentence(compared)
    assert "Better than the base model in ROUGE-L" in told and "No difference to the strongest baseline can be told in ROUGE-L" in told


def test_the_sentence_says_what_is_better_worse_and_undecided():
    given = found(
        ("rouge_l", 0.5, 0.4, 0.6), ("reference/rouge_l", 0.4, 0.3, 0.5), ("rouge_l_gain", 0.1, 0.05, 0.15),
        ("exact_match", 0.1, 0.0, 0.2), ("reference/exact_match", 0.1, 0.0, 0.2), ("exact_match_gain", 0.0, -0.1, 0.1),
        ("bits_per_byte", 3.0, 2.9, 3.1), ("baseline/trigram_bits_per_byte", 2.0, 1.9, 2.1),
    )  # fmt: skip
    every = [each for key in ("bits_per_byte", "rouge_l", "exact_match") for each in comparisons(given, key)]
    assert sentence(every) == (
        "Better than the base model in ROUGE-L (+0.100 [+0.050, +0.150]); no difference to the base model can be told in exact match "
        "(0.000 [\u22120.100, +0.100])."
    )
    assert sentence(every[:1]) == "Worse than the strongest baseline in bits per byte (trigram: +1.000, intervals apart)."
    given |= found(("baseline/a_accuracy", 0.3, 0.2, 0.4), ("baseline/b_accuracy", 0.8, 0.7, 0.85), ("accuracy", 0.9, 0.86, 0.95))
    assert sentence(comparisons(given, "accuracy")) == "Better than the strongest baseline in accuracy (b: +0.100, intervals apart)."
    assert sentence([], figures=3).startswith("3 figures, and nothing to compare them with")


def test_the_gate_comes_first():
    checks = [{"metric": "a", "passed": True, "why": ""}, {"metric": "b", "passed": False, "why": "b is 1, min 2: misses by 1"}]
    assert outcome({"passed": False, "checks": checks}) == "Refused by the gate, 1 of 2 checks failed: b is 1, min 2: misses by 1."
    assert sentence([], {"passed": True, "checks": checks[:1]}) == "Passed the gate: all 1 checks."


def test_a_difference_has_its_sign_and_zero_has_none():
    assert [signed(value) for value in (0.1, -0.1, 0.0, -0.0001, 1234.5)] == ["+0.100", "\u22120.100", "0.000", "0.000", "+1,234.500"]
