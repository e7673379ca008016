"""Imports point down: doors, stage, nouns, floor."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src/fmcycle"
NOUNS = {
    "source",
    "curation",
    "processor",
    "model",
    "objective",
    "strategy",
    "data",
    "optimizer",
    "evaluation",
    "guardrail",
    "engine",
    "monitor",
    "executor",
}
FLOOR = {
    "adapter",
    "artifact",
    "build",
    "checksum",
    "code_digest",
    "durable",
    "error",
    "example",
    "given",
    "int8",
    "known",
    "licence",
    "lineage",
    "media",
    "memory",
    "model_store",
    "national",
    "manifest",
    "noun",
    "number",
    "personal",
    "pipeline",
    "part",
    "phone",
    "search",
    "signature",
    "threads",
    "estimate",
    "training",
    "watching",
    "vouched",
    "weights",
    "wheel",
}
DOORS = {"cli", "door"}


def imports(file: Path) -> set[str]:
    """Names right below fmcycle that `file` imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "fmcycle":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fmcycle."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("fmcycle.")}
    return found


def files(part: str) -> list[Path]:
    return [SOURCE / f"{part}.py"] if (SOURCE / f"{part}.py").is_file() else sorted((SOURCE / part).glob("*.py"))


def test_every_module_has_a_place():
    parts = {item.stem for item in SOURCE.iterdir() if item.suffix == ".py" or item.is_dir()} - {"__init__", "__pycache__"}
    assert parts == NOUNS & parts | FLOOR | DOORS | {"stage", "serving"}


def test_the_floor_stands_on_itself():
    wrong = {str(file): imports(file) - FLOOR for part in FLOOR for file in files(part) if imports(file) - FLOOR}
    assert not wrong


def test_nouns_never_import_each_other_nor_what_is_above():
    wrong = {str(file): imports(file) - FLOOR - {noun} for noun in NOUNS for file in files(noun) if imports(file) - FLOOR - {noun}}
    assert not wrong


def test_samples_are_made_for_samples_alone():
    """Nothing but a function `example` imports what makes them, so that no run waits for it or is another one because of it."""
    for file in SOURCE.rglob("*.py"):
        tree = ast.parse(file.read_text())
        inside = {id(each) for node in ast.walk(tree) if getattr(node, "name", "") == "example" for each in ast.walk(node)}
        found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and id(node) not in inside]
        assert not [node for node in found if node.module == "fmcycle.example" or "example" in [each.name for each in node.names]], file


def test_serving_knows_no_hydra_and_no_stage():
    for file in files("serving"):
        assert not imports(file) & (DOORS | {"stage"}), file
        assert "hydra" not in file.read_text().replace("hydrate", ""), file


def test_only_the_doors_and_stages_know_hydra():
    for file in SOURCE.rglob("*.py"):
        part = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        text = file.read_text()
        if part not in DOORS | {"stage"}:
            assert "import hydra" not in text and "from hydra" not in text and "omegaconf" not in text, file


def test_every_init_is_empty():
    assert not [file for file in SOURCE.rglob("__init__.py") if file.read_text().strip()]


def test_files_stay_short():
    long = {str(file): count for file in SOURCE.rglob("*.py") if (count := len(file.read_text().splitlines())) > 300}
    assert not long
    conf = SOURCE.parents[1] / "conf"
    assert not {str(file): count for file in conf.rglob("*.yaml") if (count := len(file.read_text().splitlines())) > 25}
