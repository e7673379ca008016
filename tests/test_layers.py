"""Imports point to a lower floor or stay inside their room; no two modules import each other, however long the way round."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src/fmcycle"
# from the ground up; rooms of one floor do not import each other
FLOORS = (
    {"errors", "ranges"},
    {"tables", "pii", "artifact", "statistics", "kernels", "distributed", "executor", "search"},
    {"config", "hardware"},
    {"processor", "optimizer", "strategy", "monitor", "guardrail"},
    {"model", "licence", "tracking"},
    {"engine"},
    {"training", "source", "compress", "gate"},
    {"objective", "data", "curation", "serving"},
    {"evaluation", "cost"},
    {"runner", "stage"},
    {"cli"},
    {"python"},
)
LOOSE = {"errors", "ranges"}  # modules that stand in no room
TYPES = "TYPE_CHECKING"
SAMPLES = "fmcycle.config.example"  # samples for tests and nothing else: it may use every room
COMPOSES = {"config", "cli", "stage", "runner"}  # rooms that may know Hydra and OmegaConf


def room_of(file: Path) -> str:
    """The room of a source file: its folder right below fmcycle, or its own name."""
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def module_of(file: Path) -> str:
    return "fmcycle." + ".".join(file.relative_to(SOURCE).with_suffix("").parts)


MODULES = {module_of(file): file for file in sorted(SOURCE.rglob("*.py")) if file.name != "__init__.py"}


def imports(file: Path) -> set[str]:
    """Modules of fmcycle that `file` imports anywhere but in a sample for tests, or for types alone."""
    if module_of(file) == SAMPLES:
        return set()
    found, tree = set(), ast.parse(file.read_text())
    apart = [node for node in ast.walk(tree) if getattr(node, "name", "") == "example" or ast.unparse(getattr(node, "test", node)) == TYPES]
    left_out = {id(each) for node in apart for each in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(MODULES)


def test_every_room_has_a_floor():
    assert {room_of(file) for file in MODULES.values()} == set().union(*FLOORS)
    assert {file.stem for file in SOURCE.glob("*.py")} - {"__init__"} == LOOSE


@pytest.mark.parametrize("number", range(len(FLOORS)))
def test_imports_point_to_a_lower_floor_or_stay_in_their_room(number):
    below = set().union(*FLOORS[:number])
    wrong = {
        module: others
        for module, file in MODULES.items()
        if room_of(file) in FLOORS[number]
        and (others := {other for other in imports(file) if room_of(MODULES[other]) not in below | {room_of(file)}})
    }
    assert not wrong


def test_no_circle_of_imports():
    try:
        TopologicalSorter({module: imports(file) for module, file in MODULES.items()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_samples_are_made_for_samples_alone():
    """Nothing but a function `example` imports what makes them, so that no run waits for it or is another one because of it."""
    for file in MODULES.values():
        tree = ast.parse(file.read_text())
        inside = {id(each) for node in ast.walk(tree) if getattr(node, "name", "") == "example" for each in ast.walk(node)}
        found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and id(node) not in inside]
        assert not [node for node in found if node.module == SAMPLES or "example" in [each.name for each in node.names]], file


def test_only_what_composes_knows_hydra():
    for file in MODULES.values():
        if room_of(file) not in COMPOSES:
            text = file.read_text()
            assert not [name for name in ("import hydra", "from hydra", "omegaconf") if name in text], file


def test_every_init_is_empty_but_the_first_which_imports_nothing():
    assert [file for file in SOURCE.rglob("__init__.py") if file.read_text().strip()] == [SOURCE / "__init__.py"]
    script = "import fmcycle, sys; print([name for name in sys.modules if name.split('.')[0] in ('fmcycle', 'torch', 'hydra', 'yaml')])"
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(SOURCE.parent)}, capture_output=True, text=True)
    assert done.stdout == "['fmcycle']\n", done.stderr


def test_editors_see_what_import_fmcycle_offers():
    stub = ast.parse((SOURCE / "__init__.pyi").read_text())
    assert {node.module for node in stub.body} == {"fmcycle.python.calls"}
    import fmcycle

    assert sorted(alias.asname for node in stub.body for alias in node.names) == fmcycle.__all__ == dir(fmcycle)
    assert all(callable(getattr(fmcycle, name)) for name in fmcycle.__all__)
    with pytest.raises(AttributeError, match="fmcycle has no tain; it has ask, compose"):
        fmcycle.tain  # noqa: B018


def test_files_stay_short():
    long = {str(file): count for file in SOURCE.rglob("*.py") if (count := len(file.read_text().splitlines())) > 300}
    assert not long
    conf = SOURCE.parents[1] / "conf"
    assert not {str(file): count for file in conf.rglob("*.yaml") if (count := len(file.read_text().splitlines())) > 25}
