import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from fmcycle.artifact.wheel import Archive
from fmcycle.source.dataset.python_code import read, shorten, summary_of

SOURCE = '''
import os; os._exit(3)

def walk(graph, start, *, depth=None):
    """Walk the nodes of ``graph`` from ``start`` outward, nearest first.

    Parameters
    ----------
    graph : Graph
        Every node is visited at most once, in the order of its distance from the start.

    References
    ----------
    .. [1] A book
    """

def _hidden():
    """Nobody should read this, it is private although it is long enough to be read by somebody."""

def bare(): pass
'''


def test_public_functions_become_documents_and_nothing_runs(make_wheel):
    file, _ = make_wheel("graphs", {"graphs/walks.py": SOURCE, "graphs/tests/test_walks.py": SOURCE, "graphs/broken.py": "def ("})
    with Archive(file) as wheel:
        tables = read(wheel, package="graphs")
    (document,) = tables["documents"]
    assert document["id"] == "graphs/graphs.walks.walk" and document["group"] == "graphs/graphs.walks"
    assert document["text"].startswith("graphs.walks.walk\n\ndef walk(graph, start, *, depth=None):\n\nWalk the nodes of ``graph``")
    assert "References" not in document["text"]
    (asked,) = tables["instructions"]
    assert "graphs.walks.walk(graph, start, *, depth=None)" in asked["messages"][0]["content"]
    assert asked["messages"][1]["content"] == "Walk the nodes of graph from start outward, nearest first."


def test_poor_first_lines_are_no_summary():
    assert summary_of("See below.") == ""
    assert summary_of("Compute the transform of F, defined as") == ""
    assert summary_of("Returns x such that $x^2 = 1$ for all x.") == ""
    assert summary_of("Return the :class:`Graph` of edges.\n\nMore.") == "Return the Graph of edges."


def test_directives_and_further_examples_go():
    doc = "Draws a graph.\n\nThe formula is:\n\n.. math::\n\n    a = b\n\nExamples\n--------\n>>> a\n1\n\n>>> b\n2\n\nNotes\n-----\nFast."
    assert shorten(doc, 1000) == "Draws a graph.\n\nExamples\n--------\n>>> a\n1\n\nNotes\n-----\nFast."


def test_a_real_package_reads_well(make_wheel):
    spec = find_spec("networkx")
    if spec is None or spec.origin is None:
        pytest.skip("networkx is not installed here")
    folder = Path(spec.origin).parent
    names = ["algorithms/dag.py", "algorithms/cycles.py", "algorithms/clique.py"]
    file, _ = make_wheel("networkx", {f"networkx/{name}": (folder / name).read_text() for name in names})
    with Archive(file) as wheel:
        tables = read(wheel, package="networkx")
    assert len(tables["documents"]) > 25
    for row in tables["documents"]:
        head, signature = row["text"].split("\n\n")[:2]
        assert head == row["id"].removeprefix("networkx/")
        ast.parse(f"{signature} ...")
    answers = [row["messages"][1]["content"] for row in tables["instructions"]]
    assert "Returns a generator of _all_ topological sorts of the directed graph G." in answers
    assert len(answers) == len(set(answers))
