"""docs/notebook.ipynb runs in a kernel of its own; its cells show bars, pictures and errors, and little else."""

import json
import sys

import nbclient
import nbformat
import pytest


@pytest.fixture
def kernel(project, root, monkeypatch):
    """The name of a kernel of this interpreter, described in a folder of the test's own: the person's home is not written."""
    folder = project / "jupyter/kernels/own"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    variables = {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1", "IPYTHONDIR": str(project / "ipython")}
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "own", "language": "python", "env": variables}))
    for name in ("PATH", "RUNTIME_DIR", "CONFIG_DIR", "DATA_DIR"):
        monkeypatch.setenv(f"JUPYTER_{name}", str(project / "jupyter"))
    return "own"


def executed(notebook, kernel, folder):
    nbclient.NotebookClient(notebook, timeout=600, kernel_name=kernel, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def displayed(cell, mime: str = "text/plain") -> list[str]:
    """What a cell shows of one kind, in order."""
    return [output.data[mime] for output in cell.outputs if mime in output.get("data", {})]


def test_the_notebook_runs_and_shows_bars_and_pictures(project, root, kernel):
    notebook = nbformat.read(root / "docs/notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells) and len(notebook.cells) <= 8
    _, pretrain, finetune, evaluate, answer, asked, wrong = executed(notebook, kernel, project)
    for cell in (pretrain, finetune):
        *_, bar, figures = displayed(cell, "text/html")
        assert '<progress value="20" max="20">' in bar and "loss" in bar and "<svg" in figures and "train_loss" in figures
        told = "".join(output.text for output in cell.outputs if output.output_type == "stream")
        assert len(told.splitlines()) < 40 and "\x1b" not in told, told
    *_, bar, figures = displayed(evaluate, "text/html")
    assert '<progress value="1" max="1">' in bar and "rouge_l" in figures and "report.html" in figures
    assert "What does" in displayed(answer)[0] and displayed(asked)
    (error,) = wrong.outputs
    assert error.traceback == ["ConfigError: strategy=lorra: no such option in conf/strategy; did you mean lora?"]


def test_a_bar_changes_in_place(project, kernel):
    source = "from fmcycle.tracking import notebook, progress\nnotebook.EVERY = 0\nfor _ in progress.track(range(500), 'count'): pass"
    (cell,) = executed(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import IPython\n" + source)]), kernel, project)
    assert displayed(cell) == ["count 500/500"]
