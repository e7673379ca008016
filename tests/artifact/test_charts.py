"""Charts: the same bytes for the same numbers, valid XML, nothing fetched."""

import xml.etree.ElementTree as ElementTree

import pytest

from fmcycle.artifact.charts import curve, intervals, ticks


@pytest.mark.parametrize(("low", "high"), [(0, 500), (1.71, 1.93), (-0.2, 0.3), (3, 3), (0.0001, 0.00013)])
def test_ticks_span_the_values_with_few_round_numbers(low, high):
    marks = ticks(low, high)
    assert 2 <= len(marks) <= 8
    assert marks[0] <= low + 1e-9 and marks[-1] >= high - 1e-9


def test_charts_are_xml_and_escape_their_names():
    drawn = curve([("<loss> & more", [1, 2, 3], [3.0, float("nan"), 1.0])], label="step"), intervals([("a<b", 1.0, 0.5, 1.5)], label="bits")
    for svg in drawn:
        ElementTree.fromstring(svg)
    assert "nan" not in drawn[0]


def test_a_curve_lists_its_values_and_keeps_every_number_inside_the_image():
    drawn = ElementTree.fromstring(curve([("training", range(1, 100_001, 1000), [1e-5 * n for n in range(100)])], label="step"))
    cells = [cell.text for cell in drawn.iter("td")]
    assert cells[:2] == ["1", "0"] and cells[-2:] == ["99001", "0.00099"] and len(cells) <= 2 * 13
    for text in drawn.iter("text"):
        half = 6.6 * len(text.text) * (1 if text.get("text-anchor") == "end" else 0.5)
        assert float(text.get("x")) >= half - 1 and float(text.get("x")) + (text.get("text-anchor") == "middle") * half <= 401


def test_a_curve_without_points_is_not_drawn():
    assert curve([("training", [], [])], label="step") == ""
    assert curve([("training", [1], [float("inf")])], label="step") == ""
