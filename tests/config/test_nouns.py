"""What docs/nouns.md says of a noun is what every option of it is, by `signature` alone."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fmcycle.cli import view
from fmcycle.config import build, compose, example, groups, library, nouns, signature

ROOT = Path(__file__).parents[2]
ASKED = re.compile(r"(\w*)\(([\w, *]*)\)")


def nodes(node, kind: nouns.Noun, inside: bool = False) -> Iterator[tuple[dict, bool]]:
    """(node, is it inside another) of everything that an option of a noun builds."""
    if isinstance(node, list | dict):
        if isinstance(node, dict) and "_target_" in node:
            yield node, inside
        for each in node.values() if isinstance(node, dict) else node:
            yield from nodes(each, kind, inside or "_target_" in node)


def options(name: str) -> list:
    """Every node of every option of conf/NAME."""
    files = sorted((compose.conf_dir() / name).glob("*.yaml"))
    found = [(file.stem, node, inside) for file in files for node, inside in nodes(yaml.safe_load(file.read_text()), nouns.NOUNS[name])]
    return [pytest.param(name, node, inside, id=f"{name}={option}: {node['_target_']}") for option, node, inside in found]


GROUPS = [name for name in nouns.NOUNS if (compose.conf_dir() / name).is_dir()]


@pytest.mark.parametrize(("name", "node", "inside"), [each for name in GROUPS for each in options(name)])
def test_an_option_has_the_signature_that_the_page_says(name, node, inside):
    target, kind = node["_target_"], nouns.NOUNS[name]
    found = signature.read(target)
    assert found, target
    if library.rules(target):
        if node.get("_partial_"):  # what its library says: the first parameter by place is the stage's
            first = next(iter(inspect.signature(build.resolve(target)).parameters))
            assert first == next(iter(nouns.CALLS[name]))[0]
        return
    if found.function:
        room = target.split(".")[2 if target.startswith("fmcycle.stage.") else 1]
        if room == nouns.AT_ONCE:
            assert not inside or not node.get("_partial_")
            return
        given = ("*archives",) if [p.kind for p in found.positional.values()] == ["Archive"] * len(found.positional) != [] else None
        assert (given or tuple(found.positional)) in nouns.CALLS[room], target
        return
    if inside:
        return  # a part: what it is called with is the matter of what holds it
    for method, parameters in ASKED.findall(kind.call.partition(" -> ")[0]):
        wanted = tuple(each.strip() for each in parameters.split(","))
        said = found.methods.get(method or "__call__") or tuple(inspect.signature(getattr(build.resolve(target), method)).parameters)[1:]
        assert tuple(each.lstrip("_") for each in said) == tuple(filter(None, wanted)), f"{target}.{method or '__call__'}"


@pytest.mark.parametrize("stage", sorted({compose.compose([f"stage={stage}"]).section["_target_"] for stage in groups.stages()}))
def test_a_stage_has_the_signature_that_the_page_says(stage):
    asked = ASKED.search(nouns.STAGE.call)
    assert stage.endswith(f".{asked.group(1)}") and tuple(inspect.signature(build.resolve(stage)).parameters) == (asked.group(2),)


def test_every_group_is_a_noun_or_says_what_it_is():
    assert set(groups.names()) - set(nouns.NOUNS) == {"experiment", "search", "stage"}
    assert not [name for name, kind in nouns.NOUNS.items() if not kind.what]


def test_the_tests_and_sections_that_the_page_names_are_there():
    headings = set(re.findall(r"^### (.+)$", (ROOT / "CONTRIBUTING.md").read_text(), re.M))
    kinds = {nouns.STAGE, *nouns.NOUNS.values()}
    assert not [kind.test for kind in kinds if not (ROOT / kind.test).is_file()]
    assert {kind.section for kind in kinds} - {""} == headings


def test_the_page_of_nouns_is_that_of_the_table(root):
    assert (root / "docs/nouns.md").read_text() == view.nouns(), "run `PYTHONPATH=src python -m fmcycle.cli.view`"


def samples() -> list[str]:
    """Every function `example` of fmcycle, of modules and of classes."""
    found = []
    for file in sorted((ROOT / "src/fmcycle").rglob("*.py")):
        module = ".".join(file.relative_to(ROOT / "src").with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text())):
            names = [each.name for each in ast.iter_child_nodes(node) if isinstance(each, ast.FunctionDef)]
            inner = f".{node.name}" if isinstance(node, ast.ClassDef) else ""
            found += [f"{module}{inner}.{name}" for name in names if name == "example"]
    return found


@pytest.mark.parametrize("target", samples())
def test_no_config_builds_a_sample(target):
    for kind in [None, *nouns.NOUNS.values()]:
        for node in ({"_target_": target}, {"_target_": target, "_partial_": True}):
            assert nouns.problem(target, node, kind) and nouns.problem(target, node, kind, inside=True)


def test_what_a_sample_needs_is_no_code_of_a_stage(tmp_path, monkeypatch):
    from fmcycle.config import code_digest

    assert "fmcycle.config.example/example.py" not in code_digest.files({"_target_": "fmcycle.objective.sft.SFT"})
    assert "fmcycle.model.diffusion/pipeline.py" not in code_digest.files({"_target_": "fmcycle.objective.denoising.Denoising"})
    assert example.of("strategy", "peft.get_peft_model").keys() == {"model"}
