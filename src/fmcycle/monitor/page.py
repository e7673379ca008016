"""Renders the findings of monitors as one HTML page."""

from pathlib import Path

from fmcycle.artifact.page import render

TEMPLATE = "page.html"
VERDICT = {True: "Retrain", False: "No need to retrain", None: "No verdict"}


def page(result: dict) -> str:
    """Return the page of a findings.json."""
    return render(Path(__file__).with_name(TEMPLATE), word=VERDICT[result["retrain"]], **result)
